"""What a daemon is doing while one of its calls fails, and what must have come of it."""

from __future__ import annotations

import json
import signal
from typing import Any

from control import UNHEARD
from failing_bench import PATIENCE, Bench, wait_for
from flight_world import NAME, NEIGHBOUR, QUIET
from names_world import POOL_PORT
from namespaces import LabError

ATTEMPTS = 3
LOSS = "events are lost"


class Phase:
    """`prepare` and `check` go before and after; in `act` a call fails."""

    def prepare(self, bench: Bench) -> Any:
        del bench

    def act(self, bench: Bench, prepared: Any) -> Any:
        raise NotImplementedError

    def check(self, bench: Bench, prepared: Any, answer: Any) -> bool:
        """Asserts what must hold; whether somebody was told of what went another way than when nothing fails."""
        raise NotImplementedError


def attempt(bench: Bench, method: str, **parameters: Any) -> str | None:
    """What ctl would say was wrong; nothing when it was done."""
    try:
        bench.control.call(method, timeout=5, **parameters)
        return None
    except LabError as error:
        return str(error)


def told(bench: Bench, address: str, port: int) -> bool:
    """What was refused though it is allowed is in the record, or an alarm says why."""
    assert bench.said() or bench.denials(address, port), f"{address} port {port} was refused without a word"
    return True


class Denied(Phase):
    """A request that nobody allows."""

    def prepare(self, bench):
        return next(bench.ports)

    def act(self, bench, prepared):
        return bench.job.tcp(bench.family.stranger, prepared, timeout=PATIENCE)

    def check(self, bench, prepared, answer):
        assert not answer["ok"], f"opened: {answer}"
        bench.wait_denied(bench.family.stranger, prepared)
        return False


class Brokered(Phase):
    """A request that a rule with a program allows."""

    def prepare(self, bench):
        return next(bench.others)

    def act(self, bench, prepared):
        return bench.reaches(bench.family.third, prepared)

    def check(self, bench, prepared, answer):
        return not answer and told(bench, bench.family.third, prepared)


class Newcomer(Phase):
    """The first packets of a cgroup."""

    def prepare(self, bench):
        return next(bench.ports)

    def act(self, bench, prepared):
        return json.loads(bench.newcomer(prepared))

    def check(self, bench, prepared, answer):
        opened, allowed = answer
        assert not opened, "opened"
        bench.wait_denied(bench.family.stranger, prepared)
        return not allowed and told(bench, bench.family.storage, 443)


class Name(Phase):
    """A question for a name; its answer is given when the address can be reached."""

    def prepare(self, bench):
        return next(bench.names)

    def act(self, bench, prepared):
        keys = {"server": bench.site.resolver, "timeout": 3, "questions": [[prepared, bench.site.type]]}
        return bench.asker.do("ask", **keys)["answers"][0]

    def check(self, bench, prepared, answer):
        again = answer if answer.get("code") == "NOERROR" else self.act(bench, prepared)
        assert again.get("code") == "NOERROR", f"the name stays unanswered: {again}"
        address = [one["data"] for one in again["answers"] if one["type"] == bench.site.type][0]
        assert bench.reaches(address, POOL_PORT), "the answer was given, and its address is out of reach"
        # SERVFAIL, or nothing: who asked knows, and asks again.
        return again is not answer


class Flight(Phase):
    """A connection to a pinned address that names what it may."""

    def prepare(self, bench):
        # As programs do before they connect: a pin that was never stored is there again.
        assert bench.client.do("resolve", name=NAME)["ok"]

    def act(self, bench, prepared):
        return self.speak(bench)

    @staticmethod
    def speak(bench):
        return bench.hello(bench.flights.web(bench.site), 443, NAME)

    def check(self, bench, prepared, answer):
        wait_for(lambda: self.speak(bench), 6, "the right name stays out of reach")
        return not answer and told(bench, bench.flights.web(bench.site), 443)


class WrongFlight(Phase):
    """A connection to a pinned address that names another."""

    def prepare(self, bench):
        assert bench.client.do("resolve", name=QUIET)["ok"]
        return next(bench.quiet)

    def act(self, bench, prepared):
        return bench.hello(bench.flights.quiet(bench.site), prepared, NEIGHBOUR)

    def check(self, bench, prepared, answer):
        assert not answer, "opened"
        # Told of when the window closes, where there is one from the time before.
        bench.wait_denied(bench.flights.quiet(bench.site), prepared, timeout=15)
        return False


class Approve(Phase):
    """An approval: in force and stored, or neither."""

    def prepare(self, bench):
        return bench.deny()

    def act(self, bench, prepared):
        return attempt(bench, "Approve", request=prepared["request"], seconds=600)

    def check(self, bench, prepared, answer):
        grants = bench.control.call("Grants")["grants"]
        numbers = {one["grant"] for one in grants}
        wait_for(lambda: numbers == bench.stored_grants(), 8, f"in force are {numbers}, stored are others")
        active = [one["grant"] for one in grants if one["request"] == prepared["request"]]
        assert bool(active) == (answer is None) or UNHEARD in answer, (active, answer)
        bench.nothing_left()
        bench.job.tcp(bench.family.stranger, prepared["destination"]["port"], timeout=PATIENCE)
        if active:
            assert bench.capture.wait(destination=bench.family.stranger), "approved, and out of reach"
            bench.control.call("Revoke", grant=active[0])
            bench.capture.clear()
        return answer is not None


class Revoke(Phase):
    """A revocation: what is open is cut, and cannot be opened again; or it is said that it is not revoked."""

    def prepare(self, bench):
        bench.reaches(bench.family.other)
        request = bench.request_for(bench.family.other, 443)
        grant = bench.control.call("Approve", request=request["request"], seconds=600)["grant"]["grant"]

        def connect():
            answer = bench.job.tcp(bench.family.other, 443, keep=True, timeout=PATIENCE)
            return answer["ok"] and answer

        return grant, wait_for(connect, 8, "approved, and out of reach")["handle"]

    def act(self, bench, prepared):
        return attempt(bench, "Revoke", grant=prepared[0])

    def check(self, bench, prepared, answer):
        grant, handle = prepared
        active = {one["grant"] for one in bench.control.call("Grants")["grants"]}
        wait_for(lambda: active == bench.stored_grants(), 8, f"in force are {active}, stored are others")
        if grant in active:
            assert answer is not None, "it was said to be revoked"
            bench.control.call("Revoke", grant=grant)
        wait_for(lambda: not bench.job.echo(handle, timeout=1)["ok"], 8, "revoked, and what was open goes on")
        bench.job.do("close", handle=handle)
        wait_for(lambda: not bench.reaches(bench.family.other), 8, "revoked, and can be opened")
        return answer is not None


class Reload(Phase):
    """A policy that becomes wider, or narrower again: all of it is in force, or nothing is."""

    def __init__(self) -> None:
        self.is_wide = False

    def prepare(self, bench):
        self.is_wide = not self.is_wide
        bench.daemon.write(bench.policies(wide=self.is_wide))

    def act(self, bench, prepared):
        return attempt(bench, "Reload")

    def check(self, bench, prepared, answer):
        if answer is not None:
            assert bench.reaches(bench.family.other) != self.is_wide or UNHEARD in answer, "half of it was loaded"
            assert attempt(bench, "Reload") is None, "it cannot be loaded"
        wait_for(lambda: bench.reaches(bench.family.other) == self.is_wide, 6, "the kernel has the policy before")
        return answer is not None


class Shutdown(Phase):
    """SIGTERM, with denials that only the kernel has counted."""

    def prepare(self, bench):
        request = bench.deny()
        for _ in range(ATTEMPTS - 1):
            bench.job.tcp(bench.family.stranger, request["destination"]["port"], timeout=PATIENCE)
        return request["destination"]["port"], bench.control.last() - 1

    def act(self, bench, prepared):
        bench.daemon.process.send_signal(signal.SIGTERM)
        return bench.daemon.process.wait(8)

    def check(self, bench, prepared, answer):
        port, before = prepared
        if not bench.runs:
            assert not bench.job.tcp(bench.family.stranger, port, timeout=0.2)["ok"]
            bench.nothing_left()
            assert bench.launch(), bench.new_log()
        # A record that cannot be written for longer than it tries: how much is lost is said.
        if LOSS in bench.new_log():
            return True
        # What was denied before it was told to stop.
        bench.last_event = min(bench.last_event, before)
        bench.wait_denied(bench.family.stranger, port, ATTEMPTS)
        return False


class Start(Shutdown):
    """A start after a SIGKILL, beside the table of the daemon before."""

    def prepare(self, bench):
        prepared = super().prepare(bench)
        bench.control.last()
        bench.daemon.kill()
        return prepared

    def act(self, bench, prepared):
        if bench.launch():
            return True
        assert bench.daemon.process.returncode == 1 and "error: " in bench.new_log(), bench.new_log()
        return False

    def check(self, bench, prepared, answer):
        super().check(bench, prepared, answer)
        return not answer


class FirstStart(Start):
    """A start where no table is."""

    def prepare(self, bench):
        bench.deny()
        bench.control.last()
        bench.open()

    def check(self, bench, prepared, answer):
        if not answer:
            tables = bench.ground.host.command("nft", "list", "tables")
            if "egressd" in tables:
                assert not bench.job.tcp(bench.family.stranger, next(bench.ports), timeout=0.2)["ok"]
            assert "probe" not in tables, tables
            bench.nothing_left()
            assert bench.launch(), bench.new_log()
        return not answer


PHASES: dict[str, type[Phase]] = {
    "denied": Denied, "brokered": Brokered, "newcomer": Newcomer, "name": Name, "flight": Flight,
    "wrong-flight": WrongFlight, "approve": Approve, "revoke": Revoke, "reload": Reload, "shutdown": Shutdown,
    "start": Start, "first-start": FirstStart,
}  # fmt: skip
