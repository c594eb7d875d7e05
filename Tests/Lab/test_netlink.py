"""The kernel has trouble with netlink: what it was asked for comes into force all the same, and no denial is lost for it."""

import subprocess
import time

import pytest
from conftest import job_policy
from daemon import rule
from names_checks import eventually


class Trouble:
    """What a daemon is preloaded with (probes/netlink.c), and what happens to it."""

    def __init__(self, directory):
        self.directory = directory / "trouble"
        self.directory.mkdir(exist_ok=True)
        library = self.directory / "netlink.so"
        source = directory / "probes/netlink.c"
        subprocess.run(["cc", "-Wall", "-Werror", "-shared", "-fPIC", "-O1", "-o", library, source], check=True)
        self.prefix = ("env", f"LD_PRELOAD={library}", f"NETLINK_TROUBLE={self.directory}")

    def begin(self, what):
        (self.directory / what).touch()

    def end(self, what):
        (self.directory / what).unlink(missing_ok=True)


@pytest.fixture
def trouble(ground):
    made = Trouble(ground.directory)
    yield made
    for what in ("refuse", "lose", "stall"):
        made.end(what)


def counted(daemon, family, port=443):
    """How many attempts the record has."""
    return sum(event.get("count", 1) for event in daemon.events(to=family.stranger, port=port, verdict="deny"))


def test_what_ran_out_meanwhile_keeps_nothing_else_in_force(ground, daemon, job, basic, family, trouble):
    daemon.start(basic, prefix=trouble.prefix)
    for address in (family.stranger, family.other):
        assert job.tcp(address, 443)["error"] == "ECONNREFUSED"
    daemon.approve(family.stranger, 443, duration="2s")
    daemon.approve(family.other, 443)
    assert job.tcp(family.other, 443)["ok"]
    trouble.begin("refuse")
    # Both approvals go in one change; the kernel's timeout takes one of them away before it can be made.
    denied = [rule("never", [family.stranger, family.other])]
    daemon.reload({"job": job_policy(ground, family, deny=denied)})
    elements = "grants4" if family.name == "ipv4" else "grants6"
    eventually(lambda: family.stranger not in listed(ground, elements), 15, "it has not run out")
    assert family.other in listed(ground, elements)
    trouble.end("refuse")
    eventually(lambda: family.other not in listed(ground, elements), 20, "what is denied stays in force")
    eventually(lambda: job.tcp(family.other, 443)["error"] == "ECONNREFUSED", 15, "it is let through")


def listed(ground, name):
    return ground.host.command("nft", "list", "set", "inet", "egressd", name)


@pytest.mark.parametrize("then", ["lives", "stops", "is-killed"])
def test_a_count_whose_answer_is_lost_is_told_of_once(ground, daemon, job, basic, family, trouble, then):
    daemon.start(basic, prefix=trouble.prefix)
    assert job.do("repeat", to=[family.stranger, 443], count=40, timeout=2)["outcomes"] == {"ECONNREFUSED": 40}
    trouble.begin("lose")
    if then == "stops":
        assert daemon.stop() == 0
    else:
        daemon.wait_event(kind="alarm", timeout=30)
        # It has been asked for again, and the record has all that it was given.
        time.sleep(2.5)
        if then == "is-killed":
            daemon.kill()
    trouble.end("lose")
    if then != "lives":
        daemon.start()
    eventually(lambda: counted(daemon, family) >= 40, 15, f"{counted(daemon, family)} of 40 are told of")
    # Nor does the next one tell of it again.
    daemon.kill()
    daemon.start()
    assert counted(daemon, family) == 40
    assert daemon.request_for(family.stranger, 443)["count"] == 40
