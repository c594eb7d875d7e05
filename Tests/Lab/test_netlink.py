"""The kernel has trouble with netlink: what it was asked for comes into force all the same, and no denial is lost for it."""

import subprocess
import time

import pytest
from conftest import JOB, job_policy
from daemon import policy, rule
from lab import PYTHON
from names_checks import eventually

DAEMON = "system.slice/egressd.service"
LOUD = "training.slice/loud.service"


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


@pytest.mark.in_turns
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


# Who asks: its cgroup, its user, and under whose name the kernel's count is told of.
ASKERS = {"workload": (JOB, 1001, "job"), "foreign-user": (JOB, 1002, None), "egressd": (DAEMON, 0, "egressd")}


@pytest.mark.parametrize("who", ASKERS)
def test_killed_before_an_answer_whose_packet_has_an_element(ground, daemon, basic, family, trouble, who):
    """Others have met it meanwhile: neither they nor the packet that waits are forgotten, or told of twice."""
    cgroup, uid, workload = ASKERS[who]
    # A daemon that is not alone in its cgroup is nobody in particular, as the next one.
    daemon.configure(unidentified="deny")
    daemon.managed().start(basic, prefix=trouble.prefix)
    first, others = ground.agent(cgroup, uid=uid), ground.agent(cgroup, uid=uid)
    for agent in (first, others):
        assert agent.tcp(family.stranger, 80)["error"] == "ECONNREFUSED"
    trouble.begin("stall")
    waiting = first.begin("tcp", to=[family.stranger, 443], timeout=20)
    suffix = "4" if family.name == "ipv4" else "6"
    eventually(lambda: " . 443" in listed(ground, f"denied{suffix}"), 15, "it is not refused")
    assert others.do("repeat", to=[family.stranger, 443], count=3, timeout=2)["outcomes"] == {"ECONNREFUSED": 3}
    daemon.kill()
    trouble.end("stall")
    daemon.start()
    assert waiting.wait()["error"] == "ECONNREFUSED"
    meanwhile = [one for one in daemon.events(to=family.stranger, port=443) if "no daemon" in one.get("message", "")]
    assert [(one["count"], one.get("workload")) for one in meanwhile] == [(2, workload)]
    # What this one refused is counted when its window ends.
    assert daemon.stop() == 0
    daemon.start()
    assert counted(daemon, family) == 4


# The kernel keeps what a program sends until it was answered: this has room for all of it.
SENDER = """
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
sender = socket.socket(family, socket.SOCK_DGRAM)
# SO_SNDBUFFORCE.
sender.setsockopt(socket.SOL_SOCKET, 32, 1 << 28)
sender.setblocking(False)
for number in range(900):
    sender.sendto(bytes(60000), (sys.argv[1], 9000 + number))
"""


def test_what_came_while_nobody_read_and_found_no_room_is_told_of(ground, daemon, job, family, trouble):
    """Although the socket of the queues is asked for something else before it is read."""
    programs = [rule("program", family.other, [443], executable="/usr/bin/env")]
    policies = {"job": job_policy(ground, family, allow=programs), "loud": policy("loud", ground.glob(LOUD))}
    daemon.managed().start(policies, prefix=trouble.prefix)
    loud = ground.agent(LOUD)
    assert loud.tcp(family.stranger, 443)["error"] == "ECONNREFUSED"
    assert job.tcp(family.other, 443)["error"] == "ECONNREFUSED"
    trouble.begin("stall")
    # No element counts what another program of the workload may have: whether it waits is asked of the kernel.
    waiting = job.begin("tcp", to=[family.other, 443], timeout=20)
    eventually(lambda: b"wrong-executable" in written_ahead(daemon), 15, "it is not refused")
    argv = [PYTHON, "-I", "-c", SENDER, family.stranger]
    assert ground.spawn(argv, cgroup=LOUD).wait(60) == 0
    daemon.kill()
    trouble.end("stall")
    daemon.start()
    assert waiting.wait()["error"] == "ECONNREFUSED"
    daemon.wait_event(kind="alarm", reason="overload", timeout=10)
    assert "packets came while nobody read" in daemon.log()


def written_ahead(daemon):
    return b"".join(path.read_bytes() for path in daemon.state.glob("ahead-*"))
