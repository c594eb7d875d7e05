"""A reply is a way out when anyone outside can open the flow. Nothing of the workload's leaves unless it `listen`s."""

import time

import packets
import pytest
from conftest import JOB, job_policy
from daemon import rule


def listens(family, port, transport="tcp"):
    return [{"name": "callers", "from": [family.world + ("/128" if ":" in family.world else "/32")],
             "ports": [f"{port}/{transport}"]}]  # fmt: skip


def left(capture, family, port, protocol):
    """What came out of the workload's port, but for nothing."""
    return [
        one
        for one in capture.find(source=family.host, source_port=port, protocol=protocol)
        # A reset without payload is how the kernel itself says that nobody is there; it carries nothing out.
        if not ("R" in one.flags and not one.payload)
    ]


def test_udp_knock_is_not_answered(ground, daemon, job, basic, family):
    daemon.start(basic)
    bound = job.do("bind", at=[family.any, 5601])
    outsider = ground.outsider()
    with ground.capture() as capture:
        waiting = job.begin("receive", handle=bound["handle"], answer="secret", timeout=1)
        assert not outsider.udp(family.host, 5601, payload="knock", source=[family.world, 6001])["ok"]
        waiting.wait()
        assert capture.find(payload=b"secret") == []
    event = daemon.wait_event(kind="inbound", workload="job")
    assert (event["verdict"], event["reason"]) == ("deny", "not-listening")


def test_a_knock_before_the_bind_is_not_answered(ground, daemon, job, basic, family):
    daemon.start(basic)
    outsider = ground.outsider()
    with ground.capture() as capture:
        knock = outsider.udp(family.host, 5602, payload="knock", source=[family.world, 6002], keep=True, timeout=0.3)
        bound = job.do("bind", at=[family.any, 5602])
        sent = job.do(
            "udp", handle=bound["handle"], to=[family.world, 6002], payload="secret", reply=False
        )
        answered = outsider.do("read", handle=knock["handle"], timeout=0.5)
        assert not answered["ok"], (sent, answered)
        assert capture.find(payload=b"secret") == []
    assert daemon.wait_event(workload="job", to=family.world, port=6002)["verdict"] == "deny"


def silence_refusals(ground):
    """The world refuses nobody: who calls waits until the peer calls back, and the calls need not cross by chance."""
    ground.world_ns.nft(
        "table inet lab_silent { chain out { type filter hook output priority 0; tcp flags & rst == rst drop; }; }"
    )


def test_tcp_simultaneous_open_is_not_a_way_out(ground, daemon, job, basic, family):
    daemon.start(basic)
    silence_refusals(ground)
    outsider = ground.outsider()
    with ground.capture() as capture:
        ours = job.begin("simultaneous", to=[family.world, 6003], source=[family.host, 5603], timeout=1.5)
        theirs = outsider.begin("simultaneous", to=[family.host, 5603], source=[family.world, 6003], timeout=1.5)
        assert not ours.wait()["ok"]
        assert not theirs.wait()["ok"]
        assert left(capture, family, 5603, 6) == []
    assert daemon.wait_event(workload="job", to=family.world, port=6003)["verdict"] == "deny"


def test_a_bind_shell_gets_no_visitor(ground, daemon, job, basic, family):
    daemon.start(basic)
    listener = job.do("listen", at=[family.any, 5604])
    outsider = ground.outsider()
    with ground.capture() as capture:
        accepting = job.begin("accept", handle=listener["handle"], timeout=1)
        assert not outsider.tcp(family.host, 5604, timeout=1)["ok"]
        assert not accepting.wait()["ok"]
        assert left(capture, family, 5604, 6) == []
    event = daemon.wait_event(kind="inbound", workload="job")
    assert (event["verdict"], event["reason"]) == ("deny", "not-listening")


def test_any_first_packet_is_judged_whatever_its_flags(ground, daemon, basic, family):
    """A raw socket's bare segments, with a payload in each; each kind for a port of its own."""
    kinds = {"A": 16, "PA": 24, "FA": 17, "FPA": 25, "R": 4, "RA": 20, "SA": 18, "none": 0, "all": 31}
    daemon.start(basic)
    forger = ground.agent(JOB, uid=1001, capabilities=("net_raw",))
    with ground.capture() as capture:
        for number, flags in enumerate(kinds.values()):
            ports = (5620 + number, 4430 + number)
            segment = packets.tcp(family.host, family.stranger, ports, flags, b"secret-in-segment")
            if family.name == "ipv4":
                whole = packets.ip(family.host, family.stranger, 6, segment)
                forger.do("raw", to=family.stranger, packet=whole.hex(), header=True, count=3, keep=True)
            else:
                forger.do("raw", to=family.stranger, packet=segment.hex(), protocol=6, count=3, keep=True)
        time.sleep(0.3)
        assert capture.find(payload=b"secret-in-segment") == []
    for number, kind in enumerate(kinds):
        event = daemon.wait_event(to=family.stranger, port=4430 + number, workload="job")
        assert event["verdict"] == "deny", kind


def test_segments_to_an_open_port_from_outside_bring_no_answer_with_data(ground, daemon, job, basic, family):
    """A knock by a bare ACK or data segment: the entry that conntrack makes for it carries nothing out."""
    daemon.start(basic)
    outsider = ground.outsider()
    forger = ground.agent(JOB, uid=1001, capabilities=("net_raw",))
    with ground.capture() as capture:
        for flags in (packets.ACK, packets.PSH | packets.ACK, packets.SYN):
            knock = packets.tcp(family.world, family.host, (6006, 5606), flags, b"knock")
            back = packets.tcp(family.host, family.world, (5606, 6006), packets.PSH | packets.ACK, b"secret-answer")
            for agent, source, to, segment in (
                (outsider, family.world, family.host, knock), (forger, family.host, family.world, back),
            ):  # fmt: skip
                if family.name == "ipv4":
                    whole = packets.ip(source, to, 6, segment)
                    agent.do("raw", to=to, packet=whole.hex(), header=True)
                else:
                    agent.do("raw", to=to, packet=segment.hex(), protocol=6)
        time.sleep(0.3)
        assert capture.find(payload=b"secret-answer") == []


def test_a_listener_of_another_process_still_serves(ground, daemon, basic, family):
    ground.agent().do("serve", at=[family.any, 5607])
    daemon.start(basic)
    ground.agent().do("serve", at=[family.any, 5608])
    ground.agent().do("serve", at=[family.any, 5608], transport="udp")
    outsider = ground.outsider()
    assert outsider.tcp(family.host, 5607)["ok"]
    assert outsider.tcp(family.host, 5608)["ok"]
    assert outsider.udp(family.host, 5608, timeout=15)["ok"]


def test_a_listener_of_another_process_serves_with_unidentified_deny(ground, daemon, basic, family):
    daemon.configure(unidentified="deny")
    daemon.start(basic)
    ground.agent().do("serve", at=[family.any, 5609])
    assert ground.outsider().tcp(family.host, 5609)["ok"]


def test_listen_lets_in_who_is_named_and_nobody_else(ground, daemon, job, family):
    rules = listens(family, 5610) + [{**listens(family, 5610, "udp")[0], "name": "datagrams"}]
    daemon.start({"job": job_policy(ground, family, listen=rules)})
    job.do("serve", at=[family.any, 5610])
    job.do("serve", at=[family.any, 5610], transport="udp")
    job.do("serve", at=[family.any, 5611])
    outsider = ground.outsider()
    answer = outsider.tcp(family.host, 5610, keep=True, source=[family.world, 0])
    assert answer["ok"], answer
    assert outsider.echo(answer["handle"])["data"] == "still here"
    assert outsider.udp(family.host, 5610, source=[family.world, 0], timeout=15)["ok"]
    # From another address, and to another port.
    assert not outsider.tcp(family.host, 5610, source=[family.stranger, 0], timeout=1)["ok"]
    assert not outsider.udp(family.host, 5610, source=[family.stranger, 0], timeout=0.5)["ok"]
    assert not outsider.tcp(family.host, 5611, source=[family.world, 0], timeout=1)["ok"]
    assert daemon.wait_event(kind="inbound", workload="job", verdict="deny")["reason"] == "not-listening"


def test_taking_listen_away_cuts_who_came_in(ground, daemon, job, family):
    daemon.start({"job": job_policy(ground, family, listen=listens(family, 5612))})
    job.do("serve", at=[family.any, 5612])
    outsider = ground.outsider()
    visit = outsider.tcp(family.host, 5612, keep=True)
    assert visit["ok"], visit
    daemon.reload({"job": job_policy(ground, family)})
    with ground.capture() as capture:
        outsider.do("write", handle=visit["handle"], data="more?")
        answer = outsider.do("read", handle=visit["handle"], timeout=1.5)
        assert not answer["ok"], answer
        assert [one for one in capture.find(source=family.host, source_port=5612) if one.payload] == []
    assert not outsider.tcp(family.host, 5612, timeout=1)["ok"]


def test_loopback_within_a_workload_needs_no_rule(ground, daemon, job, basic, family):
    daemon.start(basic)
    job.do("serve", at=[family.loopback, 5613])
    job.do("serve", at=[family.loopback, 5613], transport="udp")
    same = ground.agent(JOB, uid=1001)
    assert same.tcp(family.loopback, 5613)["ok"]
    assert same.udp(family.loopback, 5613, timeout=15)["ok"]


def test_loopback_of_others_needs_a_rule(ground, daemon, job, basic, family):
    """A proxy that somebody else runs on the host is a way out."""
    ground.agent().do("serve", at=[family.loopback, 5614])
    daemon.start(basic)
    assert job.tcp(family.loopback, 5614)["error"] == "ECONNREFUSED"
    allow = [rule("proxy", family.loopback, [5614])]
    daemon.reload({"job": job_policy(ground, family, allow=allow)})
    assert job.tcp(family.loopback, 5614)["ok"]


def test_one_workload_does_not_reach_another_over_loopback(ground, daemon, job, basic, family):
    from daemon import policy

    other = policy("other", ground.glob("training.slice/other.service"), user=1002)
    daemon.start({**basic, "other": other})
    job.do("serve", at=[family.loopback, 5615])
    stranger = ground.agent("training.slice/other.service", uid=1002)
    assert not stranger.tcp(family.loopback, 5615, timeout=1)["ok"]
