"""What is neither TCP nor UDP; frames that go around the rooms; and what the kernel itself must be able to send."""

import ipaddress
import time

import packets
import pytest
from conftest import JOB, job_policy
from daemon import rule

RAW = ("net_raw", "net_admin")


def test_echo_from_a_workload_is_denied_and_recorded(ground, daemon, basic, family):
    daemon.start(basic)
    pinger = ground.agent(JOB, uid=1001, capabilities=("net_raw",))
    with ground.capture() as capture:
        protocol, body = packets.echo_request(family.host, family.storage, b"tunnelled")
        pinger.do("raw", to=family.storage, packet=body.hex(), protocol=protocol, keep=True)
        time.sleep(0.3)
        assert capture.find(destination=family.storage, protocol=protocol) == []
    event = daemon.wait_event(to=family.storage, workload="job")
    assert (event["verdict"], event["reason"]) == ("deny", "wrong-protocol")


def allowed_addresses(family, protocols):
    """An address of the storage prefix for each protocol, so that their events can be told apart."""
    return {protocol: str(ipaddress.ip_address(family.storage) + number) for number, protocol in enumerate(protocols)}


def test_a_socket_that_is_gone_at_once_gets_nothing_out(ground, daemon, basic, family):
    """Whose it was may no longer be told: then it is dropped, and counted if it cannot be recorded."""
    daemon.start(basic)
    addresses, counted = allowed_addresses(family, [1, 2, 58, 253]), 0
    for protocol, address in addresses.items():
        sender = ground.agent(f"{JOB}/never-seen-before-{protocol}", uid=1001, capabilities=("net_raw",))
        with ground.capture() as capture:
            sender.do("raw", to=address, packet=(b"tunnelled" * 4).hex(), protocol=protocol)
            time.sleep(0.3)
            assert capture.find(destination=address, protocol=protocol) == []
        before, counted = counted, daemon.ctl("status")["counters"]["orphanedPackets"]
        denied = daemon.events(to=address, verdict="deny")
        assert denied or counted > before, f"protocol {protocol} is neither recorded nor counted"


def test_other_transports_are_denied_and_recorded(ground, daemon, basic, family):
    """GRE, IPIP, 6in4, SCTP, DCCP, UDP-Lite, ESP, and one that is nobody's, even to an allowed address."""
    daemon.start(basic)
    sender = ground.agent(JOB, uid=1001, capabilities=("net_raw",))
    addresses = allowed_addresses(family, [47, 4, 41, 132, 33, 136, 50, 253])
    with ground.capture() as capture:
        for protocol, address in addresses.items():
            sender.do("raw", to=address, packet=(b"tunnelled" * 4).hex(), protocol=protocol, keep=True)
        time.sleep(0.3)
        for protocol, address in addresses.items():
            assert capture.find(destination=address) == [], protocol
    for protocol, address in addresses.items():
        assert daemon.wait_event(to=address, workload="job")["verdict"] == "deny", protocol


def test_a_packet_socket_on_lo_does_not_get_forwarded(ground, daemon, basic, family):
    """With forwarding on and no reverse path filter, a frame put on lo is routed out as if it had come in."""
    daemon.configure(unidentified="allow")
    ground.forwarding(True)
    ground.stack.callback(ground.forwarding, False)
    for scope in ("all", "lo", "default"):
        ground.host.sysctl(f"net.ipv4.conf.{scope}.rp_filter", "0")
        ground.host.sysctl(f"net.ipv4.conf.{scope}.accept_local", "1")
    injector = ground.agent(JOB, uid=1001, capabilities=RAW)
    source = family.guest  # not one of the host's: it would be a martian
    datagram = packets.udp(source, family.stranger, (5800, 443), b"injected")
    frame = packets.ethernet("0" * 12, "0" * 12, packets.ip(source, family.stranger, 17, datagram))
    with ground.capture() as capture:
        before = injector.do("frame", interface="lo", frame=frame.hex())
        assert before["ok"]
        assert capture.wait(payload=b"injected"), "without the daemon it must get out, or this proves nothing"
        capture.clear()
        daemon.start(basic)
        injector.do("frame", interface="lo", frame=frame.hex(), count=5)
        time.sleep(0.3)
        assert capture.find(payload=b"injected") == []


@pytest.mark.parametrize("mode", ["allow", "observe", "deny"])
def test_forwarded_packets_of_nobody_go_as_unidentified_says(ground, daemon, basic, family, mode):
    daemon.configure(unidentified=mode)
    guest = ground.guest()
    ground.stack.callback(ground.forwarding, False)
    visitor = ground.agent(namespace=guest)
    deadline = time.monotonic() + 5
    while not visitor.tcp(family.stranger, 443, timeout=1)["ok"]:
        assert time.monotonic() < deadline, "the guest cannot reach the world without the daemon"
    daemon.start(basic)
    keys = {"timeout": 1 if mode == "deny" else 15}
    answers = [visitor.tcp(family.stranger, 443, **keys), visitor.udp(family.stranger, 443, **keys)]
    assert [answer["ok"] for answer in answers] == [mode != "deny"] * 2, answers


def flush_neighbours(ground):
    ground.host.ip("neigh flush dev uplink", check=False)
    ground.world_ns.ip("neigh flush dev downlink", check=False)


def test_neighbour_discovery_goes_on(ground, daemon, job, basic, family):
    daemon.configure(unidentified="deny")
    daemon.start(basic)
    for _ in range(3):
        flush_neighbours(ground)
        assert job.tcp(family.storage, 443)["ok"]
    # And the other way: the world asks for the host's address.
    flush_neighbours(ground)
    ground.outsider().tcp(family.host, 1, timeout=1)
    kind = "-4" if family.name == "ipv4" else "-6"
    neighbours = ground.world_ns.command("ip", kind, "neigh", "show", "dev", "downlink")
    assert family.host in neighbours and "FAILED" not in neighbours


def test_a_multicast_report_of_the_kernel_goes_on(ground, daemon, basic, family):
    daemon.configure(unidentified="deny")
    daemon.start(basic)
    member = ground.agent("system.slice/other.service")
    group = "239.1.2.3" if family.name == "ipv4" else "ff05::1:2345"
    with ground.capture() as capture:
        assert member.do("join", group=group, interface="uplink")["ok"]
        # IGMP, or an MLD report in ICMPv6 behind a hop-by-hop header.
        protocol = 2 if family.name == "ipv4" else 58
        assert capture.wait(protocol=protocol), "no report left the host"


def test_a_dhcp_client_goes_on(ground, daemon, basic):
    """From 0.0.0.0:68 to the broadcast address: by a packet socket, as dhclient does, and by an ordinary one."""
    daemon.configure(unidentified="deny")
    daemon.start(basic)
    client = ground.agent("system.slice/networkd.service")
    datagram = packets.udp("0.0.0.0", "255.255.255.255", (68, 67), b"\1\1\6\0dhcp-discover")
    packet = packets.ip("0.0.0.0", "255.255.255.255", 17, datagram)
    frame = packets.ethernet("f" * 12, ground.source_mac(), packet)
    with ground.capture() as capture:
        client.do("frame", interface="uplink", frame=frame.hex())
        assert capture.wait(destination_port=67, payload=b"dhcp-discover")
        capture.clear()
        sent = client.udp("255.255.255.255", 67, source=["0.0.0.0", 68], broadcast=True, interface="uplink",
                          payload="dhcp-request", reply=False, keep=True)  # fmt: skip
        assert sent["ok"] and capture.wait(destination_port=67, payload=b"dhcp-request"), sent


def test_the_kernels_own_answers_go_on(ground, daemon, basic, family):
    """Echo replies, resets and unreachables that the kernel sends have no socket."""
    daemon.configure(unidentified="deny")
    daemon.start(basic)
    output = ground.world_ns.command("ping", "-c2", "-i0.2", "-W1", family.host, check=False)
    assert "2 received" in output
    assert ground.outsider().tcp(family.host, 9, timeout=1)["error"] == "ECONNREFUSED"


def test_errors_about_allowed_flows_come_back(ground, daemon, job, basic, family):
    daemon.start({"job": job_policy(ground, family, allow=[rule("s", family.storage, ["any"])])})
    assert job.udp(family.storage, 4444, connect=True)["error"] == "ECONNREFUSED"
