"""A daemon that is killed before any of the calls that it makes while it starts, or stops: no denial is lost, none told twice."""

from __future__ import annotations

import signal
import time

from conftest import JOB
from failing import Faults

# Of each request that nobody allows: the first is asked about, the kernel counts the others.
ATTEMPTS = 3


class KilledCalls:
    """A host with a service manager, whose daemon serves between two trials."""

    def __init__(self, ground, managed, address: str):
        self.daemon, self.address = managed, address
        self.faults = Faults(ground.directory)
        ground.stack.callback(self.faults.close)
        self.agent, self.other = ground.agent(JOB, uid=1001), ground.agent(JOB, uid=1001)
        self.port = 10_000
        # By port: before which call it was killed, how many attempts there were.
        self.trials: dict[int, tuple[str, int]] = {}
        self.kills = 0

    def learn(self, way: str) -> list[str]:
        """The calls of a start or of a stop that nobody ends."""
        self.refuse(self.port)
        self.daemon.kill()
        if way == "start":
            self.faults.arm()
        self.daemon.start(prefix=self.faults.prefix)
        if way == "stop":
            self.refuse(self.port)
            self.faults.arm()
            assert self.daemon.stop() == 0
        self.faults.disarm()
        if way == "stop":
            self.daemon.start()
        return self.faults.names()

    def refuse(self, port: int) -> None:
        for _ in range(ATTEMPTS):
            self.expect(self.agent.tcp(self.address, port, timeout=20))

    @staticmethod
    def expect(answer) -> None:
        assert answer["error"] == "ECONNREFUSED", answer

    def kill(self, way: str, first: int) -> None:
        """Kills it before this call, and starts it anew; somebody tries on meanwhile."""
        self.port += 1
        if way == "stop":
            self.daemon.kill()
            self.daemon.start(prefix=self.faults.prefix)
        self.refuse(self.port)
        if way == "start":
            self.daemon.kill()
        self.faults.arm(first, times=0)
        if way == "start":
            self.daemon.launch(*self.faults.prefix)
        else:
            self.daemon.process.terminate()
        # The kernel refuses it, or it waits for the next daemon.
        meanwhile = [self.agent.begin("tcp", to=[self.address, self.port], timeout=20)]
        # There may be fewer calls than when they were counted: it serves then, and is killed later.
        deadline = time.monotonic() + 5
        while self.daemon.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
        meanwhile.append(self.other.begin("tcp", to=[self.address, self.port], timeout=20))
        names = self.faults.names()
        self.kills += self.daemon.process.poll() == -signal.SIGKILL
        self.faults.disarm()
        self.daemon.kill()
        self.daemon.start()
        for one in meanwhile:
            self.expect(one.wait())
        # What it took over it has told of, and not had time to store all of.
        self.daemon.kill()
        self.daemon.start()
        name = names[first - 1] if first <= len(names) else "none"
        self.trials[self.port] = (f"{way}, call {first}: {name}", ATTEMPTS + len(meanwhile))

    def problems(self) -> list[str]:
        """What the record has otherwise."""
        assert self.kills, "no call killed it"
        assert self.daemon.stop() == 0
        self.daemon.start()
        counts: dict[int, int] = {}
        for event in self.daemon.events(to=self.address, verdict="deny"):
            port = event["destination"]["port"]
            counts[port] = counts.get(port, 0) + event.get("count", 1)
        requests = {one["destination"]["port"]: one["count"] for one in self.daemon.ctl("requests")["requests"]}
        found = []
        for port, (what, attempts) in self.trials.items():
            told = counts.get(port, 0), requests.get(port, 0)
            if told != (attempts, attempts):
                found.append(f"{what}: {told[0]} in the record, {told[1]} in the requests, {attempts} attempts")
        return found
