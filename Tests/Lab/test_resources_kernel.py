"""The kernel has more to tell than is read, no descriptor is left, the connection table is full: closed, and said."""

import os
import re
import signal
import time

import pytest
from conftest import JOB, job_policy
from connections import fill_connections
from daemon import rule
from families import IPV4, IPV6
from lab import PYTHON
from resources import alarms, eventually, no_descriptors, processor_seconds, queue_drops, small_buffers, warned

# A datagram to each of many ports, from many sockets: one alone may not have more than some hundred waiting.
FLOOD = """
import socket, sys
address, count = sys.argv[1], int(sys.argv[2])
family = socket.AF_INET6 if ":" in address else socket.AF_INET
made = [socket.socket(family, socket.SOCK_DGRAM) for _ in range(count // 50)]
for each in made:
    each.setblocking(False)
for number in range(count):
    try:
        made[number % len(made)].sendto(b"x", (address, 1024 + number))
    except OSError:
        pass
"""


def test_a_stopped_daemon_under_a_flood(ground, daemon, job, basic, family):
    """What the queues could not hold is refused, counted, and an alarm; the daemon goes on."""
    daemon.start(basic)
    assert job.tcp(family.storage, 443)["ok"]
    with ground.capture() as capture:
        daemon.process.send_signal(signal.SIGSTOP)
        try:
            assert job.run(PYTHON, "-c", FLOOD, family.stranger, "9000", timeout=60)["status"] == 0
            assert job.tcp(family.storage, 443)["ok"], "what is allowed by address waits for the daemon"
            dropped = queue_drops(ground)
            assert dropped > 0
        finally:
            daemon.process.send_signal(signal.SIGCONT)
        found = eventually(lambda: alarms(daemon, "refused without being looked at"), "no alarm", 30)
        assert capture.find(destination=family.stranger) == []
    assert sum(alarm["count"] for alarm in found) >= dropped
    assert all(alarm["reason"] == "overload" for alarm in found)
    assert daemon.ctl("status")["counters"]["overloads"] >= dropped

    def told() -> bool:
        # What floods is refused by the kernel for a moment more, and not told of one by one.
        assert job.tcp(family.other, 443)["error"] == "ECONNREFUSED"
        return bool(daemon.events(to=family.other, port=443))

    eventually(told, "what is denied afterwards is not in the record")


def test_no_room_in_any_netlink_socket(ground, daemon, job, family):
    """ENOBUFS wherever it can come from: nothing opens, nothing hangs, and all is as before once there is room."""
    policies = {"job": job_policy(ground, family)}
    daemon.start(policies)
    job.tcp(family.other, 443)
    grant = daemon.approve(family.other, 443, duration="1h")
    stays = [job.tcp(address, 443, keep=True) for address in (family.storage, family.other)]
    crowd = [job.tcp(family.storage, 9000, keep=True) for _ in range(20)]
    assert all(one["ok"] for one in stays + crowd)
    with ground.capture() as capture, small_buffers(daemon.process.pid):
        for port in range(9000, 9010):
            job.udp(family.stranger, port, timeout=0.05, reply=False)
            job.tcp(family.stranger, port, timeout=0.3)
        assert job.tcp(family.storage, 443)["ok"]
        daemon.ctl("revoke", str(grant))
        daemon.ctl("reload", check=False)
        assert capture.find(destination=family.stranger) == []
    assert not job.echo(stays[1]["handle"])["ok"], "a revoked connection goes on"
    assert job.echo(stays[0]["handle"])["ok"]
    assert daemon.process.poll() is None
    daemon.reload()
    assert job.tcp(family.stranger, 443)["error"] == "ECONNREFUSED"
    assert job.tcp(family.storage, 443)["ok"]
    eventually(lambda: alarms(daemon, "errno 105"), "no alarm")


def test_without_descriptors(ground, daemon, job, family):
    """Nothing opens, no loop spins, and it is said; when there are some again, all is as before."""
    allow = [
        rule("storage", family.storage_prefix, [443]),
        rule("asked", family.third, [443], executable=PYTHON),
        rule("named", "a.example", [443]),
    ]
    daemon.start({"job": job_policy(ground, family, allow=allow)})
    late = ground.agent(JOB, uid=1001)
    assert late.tcp(family.storage, 443)["ok"]
    pid = daemon.process.pid
    clients = []
    with ground.capture() as capture, no_descriptors(pid):
        assert late.tcp(family.third, 443)["error"] == "ECONNREFUSED", "a program that cannot be told is allowed"
        assert job.tcp(family.stranger, 443)["error"] == "ECONNREFUSED"
        assert job.tcp(family.storage, 443)["ok"]
        assert rcode(job, family, b"\x01a\x07example\x00") == 2, "SERVFAIL"
        clients = [ground.spawn([str(ground.egressd), "ctl", "--socket", str(daemon.socket), "status"])]
        before = processor_seconds(pid)
        time.sleep(2)
        assert processor_seconds(pid) - before < 0.5, "it spins"
        assert clients[0].poll() is None
        assert capture.find(destination=family.stranger) == []
        eventually(lambda: "no file descriptor is left" in daemon.log(), "it is not said")
    assert clients[0].wait(10) == 0
    daemon.wait_event(to=family.stranger, port=443)
    assert daemon.wait_event(to=family.third, port=443)["reason"] == "wrong-executable"
    assert alarms(daemon, "no file descriptor is left")
    job.tcp(family.stranger, 80)
    eventually(lambda: not warned(daemon, "descriptor"), "it is still said")
    assert ground.agent(JOB, uid=1001).tcp(family.third, 443)["ok"]


def rcode(job, family, name):
    """What the resolver answers to a question for an address."""
    query = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + name + b"\x00\x01\x00\x01"
    server = IPV4.world if family is IPV4 else IPV6.world
    answer = job.udp(server, 53, payload=query.decode("latin-1"), timeout=10)
    assert answer["ok"], answer
    return answer["reply"].encode("latin-1")[3] & 15


@pytest.mark.in_turns
def test_a_full_connection_table(ground, daemon, job, basic, family):
    """The kernel drops new connections, allowed ones too: an alarm says so, and how to mend it."""
    daemon.start(basic)
    stays = job.tcp(family.storage, 443, keep=True)
    assert stays["ok"]
    limit = int(ground.host.sysctl("net.netfilter.nf_conntrack_max"))
    fill_connections(ground.host, limit)
    with ground.capture() as capture:
        assert not job.tcp(family.storage, 443, timeout=1)["ok"]
        assert not job.tcp(family.stranger, 443, timeout=1)["ok"]
        assert job.echo(stays["handle"])["ok"]
        assert capture.find(destination=family.stranger) == []
        alarm = eventually(lambda: alarms(daemon, "connection table is full"), "no alarm", 30)[-1]
    assert alarm["reason"] == "overload" and "nf_conntrack_max" in alarm["message"]
    assert re.search(rf"\d+ of {limit}", alarm["message"]), alarm
    assert warned(daemon, "connection table is")
    ground.host.command("conntrack", "-F")
    eventually(lambda: not warned(daemon, "connection table is"), "it is still said", 30)
    assert job.tcp(family.storage, 443)["ok"]
    assert job.tcp(family.stranger, 443)["error"] == "ECONNREFUSED"


def test_the_unit_is_the_last_that_the_kernel_kills():
    """A daemon that is killed for memory is one that was killed: see test_faults.py."""
    unit = os.path.join(os.path.dirname(__file__), "../../systemd/egressd.service")
    with open(unit, encoding="utf-8") as file:
        settings = file.read().splitlines()
    assert "OOMScoreAdjust=-900" in settings
    assert "Restart=always" in settings
