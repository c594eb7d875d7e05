"""A training host with a daemon whose calls can fail, and what must hold whatever failed."""

from __future__ import annotations

import itertools
import sqlite3
import subprocess
import time
from typing import Any

from conftest import JOB
from control import Control
from daemon import policy, rule
from failing import Faults
from flight_checks import flight_rule
from flight_world import MORE_PORTS, NAME, NEIGHBOUR, QUIET
from lab import PYTHON, WORLD_TCP
from names_checks import named_rule
from names_world import POOL_PORT
from namespaces import LabError
from probes import flight_wire as wire

OTHER = "training.slice/neighbour.service"
# A program sends its SYN again after a second, and after two more.
PATIENCE = 2.8
NEWCOMER = """
import json, socket, sys
def attempt(address, port):
    try:
        return socket.create_connection((address, port), float(sys.argv[3])).recv(10) != b""
    except OSError:
        return False
print(json.dumps([attempt(sys.argv[1], int(sys.argv[4])), attempt(sys.argv[2], 443)]))
"""


def wait_for(look, timeout: float, what: str) -> Any:
    """What it finds, as soon as it finds something."""
    deadline = time.monotonic() + timeout
    while not (found := look()):
        assert time.monotonic() < deadline, what
        time.sleep(0.02)
    return found


class Bench:
    """The host, its programs, and what is asked of the daemon before and after."""

    def __init__(self, ground, daemon, flights, site, family):
        self.ground, self.daemon, self.flights, self.site, self.family = ground, daemon, flights, site, family
        daemon.configure(dns={"upstream": [site.upstream], "budget": 100_000})
        self.faults = Faults(ground.directory)
        self.control = Control(daemon.socket)
        # Fewer than the requests of a workload that are kept one by one.
        self.ports = itertools.cycle(range(10_000, 10_900))
        self.others = itertools.cycle(port for port in WORLD_TCP if port != 443)
        self.quiet = itertools.cycle(MORE_PORTS)
        self.names = itertools.cycle(flights.names.bulk(site, 4000))
        self.numbers = itertools.count(1)
        self.job = ground.agent(JOB, uid=1001)
        self.neighbour = ground.agent(OTHER, uid=1001)
        self.asker = flights.names.asker(JOB, nameservers=[site.resolver])
        self.client = flights.client(site)
        self.capture = ground.capture()
        ground.stack.callback(self.faults.close)
        ground.stack.callback(self.capture.close)
        self.log_end = self.last_event = 0
        self.usual: list[str] = []
        self.was_down = False

    def policies(self, wide: bool = False) -> dict[str, str]:
        """With `wide` the job may reach `other` as well."""
        allow = [
            rule("storage", self.family.storage_prefix, [443]),
            rule("asked", self.family.third, WORLD_TCP, executable=PYTHON),
            named_rule("*.pool.lab.test", [POOL_PORT]),
            flight_rule([NAME, QUIET], [443, f"{MORE_PORTS[0]}-{MORE_PORTS[-1]}"]),
        ]
        if wide:
            allow.append(rule("wide", self.family.other_prefix, [443]))
        return {
            # No user: programs of several take part.
            "job": policy("job", self.ground.glob("training.slice/job*.service"), allow=allow),
            "neighbour": policy("neighbour", self.ground.glob(OTHER), allow=[rule("none", "192.0.2.1", [1])]),
        }

    # Life

    @property
    def runs(self) -> bool:
        return self.daemon.process is not None and self.daemon.process.poll() is None

    def launch(self) -> bool:
        """Starts it and waits until it serves or has ended; whether it serves."""
        self.daemon.launch(*self.faults.prefix)
        deadline = time.monotonic() + 10
        while self.runs:
            try:
                self.control.call("Status")
                return True
            except LabError:
                assert time.monotonic() < deadline, f"it neither serves nor ends: {self.new_log()}"
                time.sleep(0.01)
        return False

    def start(self) -> None:
        self.daemon.write(self.policies())
        assert self.launch(), self.daemon.log()[-2000:]
        for name in (NAME, QUIET):
            assert self.client.do("resolve", name=name)["ok"]
        self.usual = self.control.call("Status")["warnings"]

    def open(self) -> None:
        """No daemon and no table: nothing is refused."""
        self.daemon.kill()
        # What was refused in the middle would be sent again.
        self.ground.host.command("ss", "-K", "-t", "exclude", "listening", check=False)
        self.daemon.clear_kernel()

    # What is said

    def mark(self) -> None:
        """What is said from here on is about what fails next."""
        self.was_down = False
        self.log_end = len(self.daemon.log())
        if self.runs:
            self.last_event = self.control.last()
        self.capture.clear()

    def new_log(self) -> str:
        return self.daemon.log()[self.log_end :]

    def news(self) -> list[dict[str, Any]]:
        return self.control.events(self.last_event)

    def said(self) -> list[str]:
        """What log, alarms and status say of something that went wrong."""
        # A warning goes when an alarm is recorded in its place.
        words = list(self.control.call("Status")["warnings"])
        words += [event.get("message", "") for event in self.news() if event["kind"] == "alarm"]
        words += [line for line in self.new_log().splitlines() if "error: " in line or "warning: " in line]
        return [word for word in words if not any(usual in word for usual in self.usual)]

    def denials(self, address: str, port: int) -> int:
        """How many attempts the record has."""
        found = [event for event in self.news() if event.get("verdict") == "deny"]
        to = {"address": address, "port": port}
        return sum(event.get("count", 1) for event in found if to.items() <= (event.get("destination") or {}).items())

    def wait_denied(self, address: str, port: int, count: int = 1, timeout: float = 8) -> None:
        # Without a daemon the kernel refuses what it does not know, and remembers nothing of it.
        if self.was_down:
            return
        what = f"{count} denials of {address} port {port} are not in the record"
        wait_for(lambda: self.denials(address, port) >= count, timeout, what)

    def stored_grants(self) -> set[int]:
        """Those in the database that a start would bring back."""
        database = sqlite3.connect(f"file:{self.daemon.state}/egressd.db?mode=ro", uri=True, timeout=5)
        try:
            rows = database.execute("SELECT id FROM grants WHERE state = 'active' AND remaining > 0")
            return {number for (number,) in rows}
        finally:
            database.close()

    # What must hold

    def nothing_left(self) -> None:
        """Nothing unknown was on the wire."""
        left = self.capture.find(destination=self.family.stranger) + self.capture.find(payload=NEIGHBOUR.encode())
        assert left == [], f"opened: {left[:3]}"

    def reaches(self, address: str, port: int = 443) -> bool:
        return self.job.tcp(address, port, timeout=PATIENCE)["ok"]

    def recovers(self) -> None:
        """It answers, lets through what is allowed, refuses the rest, and takes an approval."""
        self.control.call("Status")
        assert self.reaches(self.family.storage), "what the kernel allows is out of reach"
        # What was refused wrongly is refused for a while; other ports are other requests.
        what = "what the broker allows stays out of reach"
        wait_for(lambda: self.reaches(self.family.third, next(self.others)), 6, what)
        assert not self.neighbour.tcp(self.family.third, 443, timeout=PATIENCE)["ok"], "another's rule was taken"
        request = self.deny()
        self.nothing_left()
        grant = self.control.call("Approve", request=request["request"], seconds=600)["grant"]
        # Nobody listens there: the refusal comes from the world.
        self.job.tcp(self.family.stranger, request["destination"]["port"], timeout=PATIENCE)
        assert self.capture.wait(destination=self.family.stranger), "what was approved stays out of reach"
        self.control.call("Revoke", grant=grant["grant"])
        self.capture.clear()

    def deny(self) -> dict[str, Any]:
        """Has something denied, and gives the request."""
        port = next(self.ports)
        assert not self.job.tcp(self.family.stranger, port, timeout=PATIENCE)["ok"]
        return self.request_for(self.family.stranger, port)

    def request_for(self, address: str, port: int) -> dict[str, Any]:
        def look() -> list[dict[str, Any]]:
            to = {"address": address, "port": port}
            requests = self.control.call("Requests")["requests"]
            asked = [one for one in requests if to.items() <= one["destination"].items()]
            return [one for one in asked if one.get("workload") == "job"]

        return wait_for(look, 8, f"no request for {address} port {port}")[0]

    # Programs

    def newcomer(self, port: int) -> str:
        """A program in a cgroup that nobody has seen tries the stranger, and storage."""
        argv = [PYTHON, "-I", "-S", "-c", NEWCOMER, self.family.stranger, self.family.storage, str(PATIENCE), str(port)]
        cgroup = f"training.slice/job{next(self.numbers)}.service"
        process = self.ground.spawn(argv, cgroup=cgroup, uid=1001, stdout=subprocess.PIPE, text=True)
        return process.communicate(timeout=10)[0]

    def hello(self, address: str, port: int, name: str) -> bool:
        """Whether anybody answers a connection that names this."""
        return self.flights.speak(self.client, address, wire.hello(name), port=port, timeout=PATIENCE + 1)["ok"]
