"""What the tests of names share: policies with names, answers, events and requests by name, pins."""

from __future__ import annotations

import datetime
import time
from typing import Any, Callable

from conftest import JOB
from daemon import policy, rule


def named_rule(to: list[str] | str, ports: list[Any] | None = None, name: str = "names", **keys: Any) -> dict[str, Any]:
    """An allow rule with names that trusts the address alone: the lab's echo servers speak no TLS."""
    return rule(name, to, ports or [443], protocol="any", **keys)


def named_policy(ground, to: list[str] | str, ports: list[Any] | None = None, cgroup: str = JOB, **keys: Any) -> str:
    """The policy of a workload, called after its unit, with one rule of names; more rules by `more`."""
    rules = [named_rule(to, ports, **keys.pop("rule_keys", {})), *keys.pop("more", [])]
    return policy(workload_of(cgroup), ground.glob(cgroup), allow=rules, **keys)


def workload_of(cgroup: str) -> str:
    return cgroup.rpartition("/")[2].removesuffix(".service")


def eventually(check: Callable[[], Any], timeout: float = 15, what: str = "") -> Any:
    """Waits until the check gives something true, and gives it."""
    deadline = time.monotonic() + timeout
    while not (found := check()):
        assert time.monotonic() < deadline, f"not within {timeout} s: {what or check}"
        time.sleep(0.02)
    return found


# Answers


def ask(asker, site, name: str, kind: str | None = None, **keys: Any) -> dict[str, Any]:
    """One question to the server of the asker's resolv.conf."""
    keys.setdefault("server", site.resolver)
    (told,) = asker.do("ask", questions=[[name, kind or site.type]], **keys)["answers"]
    return told


def data(told: dict[str, Any], kind: str) -> list[Any]:
    assert "answers" in told, told
    return [one["data"] for one in told["answers"] if one["type"] == kind]


def resolve(asker, site, name: str, **keys: Any) -> list[str]:
    """The addresses of a name in the site's family."""
    told = ask(asker, site, name, **keys)
    assert told.get("code") == "NOERROR", told
    return data(told, site.type)


def code(told: dict[str, Any]) -> str:
    return told.get("code") or told["error"]


class Upstream:
    """Tells which questions led to a query, by what left this host while they waited for their answer.

    A query whose answer is late is sent again, which a busy machine can make of any; it is the same one all the same.
    """

    def __init__(self, capture, asker, site):
        self.capture, self.asker, self.site = capture, asker, site

    def ask(self, name: str, **keys: Any) -> tuple[dict[str, Any], bool]:
        """The answer, and whether somebody was asked for it."""
        begun = time.monotonic()
        told = ask(self.asker, self.site, name, **keys)
        label = name.partition(".")[0].encode()
        return told, any(one.at > begun for one in left(self.capture, label))


def left(capture, *labels: bytes) -> list[Any]:
    """The packets at the world's end in which one of these labels stands, however it is spelled."""
    return [one for one in capture.find() if any(label.lower() in one.payload.lower() for label in labels)]


# The record


def named_events(daemon, name: str, **wanted: Any) -> list[dict[str, Any]]:
    return [event for event in daemon.events(**wanted) if (event.get("destination") or {}).get("name") == name]


def wait_named(daemon, name: str, timeout: float = 15, **wanted: Any) -> dict[str, Any]:
    """The newest event with that name."""
    found = eventually(lambda: named_events(daemon, name, **wanted), timeout, f"an event of {name} with {wanted}")
    return max(found, key=lambda event: event["seq"])


def assert_refused(daemon, name: str, workload: str = "job") -> dict[str, Any]:
    event = wait_named(daemon, name, verdict="deny", reason="name-not-allowed")
    assert (event["kind"], event["workload"]) == ("request", workload)
    return event


def request_named(daemon, name: str, workload: str = "job") -> dict[str, Any]:
    """The line of `ctl requests` for a name."""

    def look() -> dict[str, Any] | None:
        for entry in daemon.control.call("Requests")["requests"]:
            if entry["destination"].get("name") == name and entry.get("workload") == workload:
                return entry
        return None

    return eventually(look, 15, f"a request for {name}")


def approve_name(daemon, name: str, *flags: str, duration: str = "1h") -> int:
    """Approves the request for a name and gives the grant's number."""
    before = {grant["grant"] for grant in daemon.control.call("Grants")["grants"]}
    daemon.give(request_named(daemon, name)["request"], duration, *flags)
    (new,) = [grant["grant"] for grant in daemon.control.call("Grants")["grants"] if grant["grant"] not in before]
    return new


# Pins


def pins(daemon, **wanted: Any) -> list[dict[str, Any]]:
    """The lines of `ctl names` with these fields: `workload`, `name`, `address`."""
    listed = daemon.control.call("Names")["names"]
    return [pin for pin in listed if all(pin.get(key) == value for key, value in wanted.items())]


def pinned(daemon, **wanted: Any) -> set[str]:
    return {pin["address"] for pin in pins(daemon, **wanted)}


def lifetime(pin: dict[str, Any]) -> float:
    """How many seconds a pin has left; `expires` is a time of day in UTC."""
    return (datetime.datetime.fromisoformat(pin["expires"]).timestamp()) - time.time()


def refused(answer: dict[str, Any]) -> bool:
    return not answer["ok"] and answer["error"] == "ECONNREFUSED"
