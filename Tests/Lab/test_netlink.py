"""The kernel has trouble with netlink: what it was asked for comes into force all the same, and no denial is lost for it."""

import subprocess

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
