"""Sockets that are bound to a device, which needs no privilege: the record knows who asked all the same."""

import subprocess
import time

import pytest
from conftest import JOB, job_policy
from daemon import policy, rule
from families import IPV4, IPV6
from lab import PYTHON, SSH_UID, SSH_USER
from names_checks import eventually

DEVICE = "uplink"


def named(event, agent):
    """Whether an event names the program."""
    process = event["process"]
    assert (process.get("pid"), process.get("executable")) == (agent.pid, PYTHON), event
    assert process["command"][0] == PYTHON and event["workload"] == "job", event
    return event


def link_local(namespace, device):
    """The link-local address that a device has made for itself, once it may be used."""

    def usable():
        lines = namespace.command("ip", "-6", "-o", "address", "show", "dev", device, "scope", "link").splitlines()
        return [line.split()[3].split("/")[0] for line in lines if "tentative" not in line]

    return eventually(usable, 15, f"{device} has a link-local address")[0]


@pytest.fixture
def targets(ground, family):
    """What a program connects to, and the device that it binds its socket to: IPv6 knows addresses that bind it by themselves."""
    found = [(family.stranger, family.stranger, DEVICE)]
    if family is IPV6:
        address = link_local(ground.world_ns, "downlink")
        found.append((f"{address}%{DEVICE}", address, None))
    return found


def test_who_connects_is_known(ground, daemon, job, basic, targets):
    daemon.start(basic)
    for to, address, device in targets:
        assert job.tcp(to, 5555, interface=device)["error"] == "ECONNREFUSED", to
        event = named(daemon.wait_event(to=address, port=5555, transport="tcp"), job)
        assert (event["verdict"], event["reason"]) == ("deny", "unknown-destination"), event


@pytest.mark.parametrize("connect", [True, False], ids=["connected", "to"])
def test_who_sends_datagrams_is_known(ground, daemon, job, basic, targets, connect):
    daemon.start(basic)
    for to, address, device in targets:
        # A socket that is gone cannot be asked.
        job.udp(to, 5555, interface=device, connect=connect, keep=True)
        event = named(daemon.wait_event(to=address, port=5555, transport="udp"), job)
        assert event["verdict"] == "deny", event


def test_a_reverse_tunnel_to_a_link_local_address_is_found(ground, daemon):
    """OpenSSH, whose socket the kernel binds to the device by itself."""
    text = policy("job", ground.glob(JOB), user=SSH_USER, allow=[rule("storage", IPV6.storage, [443])])
    daemon.start({"job": text})
    address = link_local(ground.world_ns, "downlink")
    argv = ["ssh", "-F", "none", "-N", "-R", "9000:127.0.0.1:22", f"{address}%{DEVICE}"]
    tunnel = ground.spawn(argv, cgroup=JOB, uid=SSH_UID, stderr=subprocess.PIPE, text=True)
    assert tunnel.wait(15) == 255 and "Connection refused" in tunnel.stderr.read()
    event = daemon.wait_event(to=address, port=22)
    assert (event["finding"], event["process"]["pid"]) == ("reverse-ssh-tunnel", tunnel.pid), event


def test_who_was_allowed_is_known(ground, daemon, job, basic, family):
    daemon.start(basic)
    answer = job.tcp(family.storage, 443, interface=DEVICE, keep=True)
    assert answer["ok"], answer
    assert named(daemon.wait_event(to=family.storage, port=443, transport="tcp"), job)["verdict"] == "allow"


def test_a_refused_first_flight_ends_at_once(ground, daemon, job, family, targets):
    # Servers that wait for what their clients say.
    servers = ground.outsider()
    for to, address, _ in targets:
        at = address if to == address else f"{address}%downlink"
        assert servers.do("listen", at=[at, 5610])["ok"]
    allowed = rule("flights", [address for _, address, _ in targets], [5610], protocol="tls")
    daemon.start({"job": job_policy(ground, family, allow=[allowed])})
    for to, address, device in targets:
        opened = job.tcp(to, 5610, interface=device, greet=False, keep=True)
        assert opened["ok"], opened
        assert job.do("write", handle=opened["handle"], data="SSH-2.0-hasty\r\n")["ok"]
        assert job.do("read", handle=opened["handle"], timeout=5)["error"] == "ECONNABORTED", to
        event = daemon.wait_event(to=address, port=5610, verdict="deny")
        assert named(event, job)["reason"] == "wrong-protocol", event


@pytest.mark.in_turns
def test_a_silent_connection_is_closed(ground, daemon, job, family):
    """Neither it nor its server says anything within ten seconds."""
    assert ground.outsider().do("listen", at=[family.stranger, 5610])["ok"]
    daemon.start({"job": job_policy(ground, family, allow=[rule("one", family.stranger, [5610], protocol="http")])})
    opened = job.tcp(family.stranger, 5610, interface=DEVICE, greet=False, keep=True, timeout=15)
    assert opened["ok"], opened
    begin = time.monotonic()
    assert job.do("read", handle=opened["handle"], timeout=15)["error"] == "ECONNABORTED"
    assert time.monotonic() - begin > 8, "it was not silence that ended it"
    named(daemon.wait_event(to=family.stranger, port=5610, verdict="deny"), job)


STRAY = """
import socket, struct, sys, time
made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
by = struct.pack("=i4s4s", socket.if_nametoindex(sys.argv[2]), bytes(4), bytes(4))
made.sendmsg([b"past it"], [(socket.IPPROTO_IP, 8, by)], 0, (sys.argv[1], 7777))
time.sleep(60)
"""


def test_who_sends_past_the_device_of_its_socket_is_known(ground, daemon, basic):
    """IP_PKTINFO chooses the device for one datagram (IPv4 alone lets it)."""
    daemon.start(basic)
    sender = ground.spawn([PYTHON, "-I", "-c", STRAY, IPV4.stranger, DEVICE], cgroup=JOB, uid=1001)
    event = daemon.wait_event(to=IPV4.stranger, port=7777, transport="udp")
    assert event["process"]["pid"] == sender.pid and event["verdict"] == "deny", event
