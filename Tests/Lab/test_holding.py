"""`unknown: hold`: the attempt waits for an operator. `observe`: it passes and is written down."""

import time

import packets
from conftest import JOB, job_policy
from names_checks import eventually


def held(daemon, family, port, timeout=3):
    return daemon.wait_event(timeout, to=family.stranger, port=port, verdict="hold")


def test_approved_while_it_waits_connects(ground, daemon, job, family):
    daemon.start({"job": job_policy(ground, family, unknown="hold 20s")})
    waiting = job.begin("tcp", to=[family.stranger, 443], timeout=15)
    held(daemon, family, 443)
    assert not waiting.done
    grant = daemon.approve(family.stranger, 443)
    answer = waiting.wait()
    assert answer["ok"], answer
    # Once, and after the approval: the kernel does not tell of it as well.
    daemon.stop()
    daemon.start()
    told = [event for event in daemon.events(to=family.stranger, port=443) if event.get("verdict") == "allow"]
    assert [(event["kind"], event["grant"]) for event in told] == [("grant", grant), ("request", grant)], told
    assert told[1]["process"]["pid"] == job.pid and told[1]["latencyMicroseconds"] > 0


def test_a_held_datagram_is_delivered_when_approved(ground, daemon, job, family):
    daemon.start({"job": job_policy(ground, family, unknown="hold 20s")})
    waiting = job.begin("udp", to=[family.stranger, 443], timeout=15)
    held(daemon, family, 443)
    daemon.approve(family.stranger, 443)
    assert waiting.wait()["ok"]


def test_when_the_time_is_up_it_is_refused(ground, daemon, job, family):
    daemon.start({"job": job_policy(ground, family, unknown="hold 2s")})
    started = time.monotonic()
    with ground.capture() as capture:
        answer = job.tcp(family.stranger, 443, timeout=15)
        assert answer["error"] == "ECONNREFUSED", answer
        assert time.monotonic() - started > 1.5
        assert capture.find(destination=family.stranger) == []
    event = daemon.wait_event(to=family.stranger, port=443, verdict="deny")
    assert event["reason"] == "hold-expired"


def test_a_deny_is_not_held(ground, daemon, job, family):
    daemon.start({"job": job_policy(ground, family, unknown="hold 20s")})
    assert job.tcp(family.secret, 443, timeout=3)["error"] == "ECONNREFUSED"


def test_a_reload_that_allows_it_lets_the_held_go(ground, daemon, job, family):
    from daemon import rule

    daemon.start({"job": job_policy(ground, family, unknown="hold 20s")})
    waiting = job.begin("tcp", to=[family.stranger, 443], timeout=15)
    held(daemon, family, 443)
    daemon.reload({"job": job_policy(ground, family, allow=[rule("s", family.stranger, [443])], unknown="hold 20s")})
    assert waiting.wait()["ok"]


def test_a_workload_that_is_observed(ground, daemon, job, family):
    daemon.start({"job": job_policy(ground, family, unknown="observe")})
    assert job.tcp(family.stranger, 443)["ok"]
    event = daemon.wait_event(to=family.stranger, port=443)
    assert (event["verdict"], event["reason"]) == ("observe", "observe-mode")
    assert job.tcp(family.secret, 443)["error"] == "ECONNREFUSED", "deny is not observed away"


def test_a_host_that_is_observed_refuses_nothing_and_records_all(ground, daemon, job, basic, family):
    daemon.configure(mode="observe", unidentified="deny")
    daemon.start(basic)
    assert job.tcp(family.stranger, 443)["ok"]
    assert job.tcp(family.secret, 443)["ok"]
    assert job.udp(family.stranger, 443, timeout=15)["ok"]
    assert ground.agent("system.slice/x.service").tcp(family.other, 443)["ok"]
    assert daemon.wait_event(to=family.stranger, port=443, transport="tcp")["verdict"] == "observe"
    assert daemon.wait_event(to=family.secret, port=443)["verdict"] == "observe"
    assert daemon.wait_event(to=family.other, port=443)["verdict"] == "observe"


def test_who_cannot_be_found_is_not_refused_where_only_is_observed(ground, daemon, basic, family):
    """Segments of no connection through a raw socket that is closed at once: mostly no program is found for them."""
    daemon.configure(mode="observe")
    daemon.start(basic)
    sender = ground.agent(JOB, uid=1001, capabilities=("net_raw",))
    segment = packets.tcp(family.host, family.stranger, (5900, 443), packets.ACK, b"of no connection")
    with ground.capture() as capture:
        for _ in range(5):
            assert sender.do("raw", to=family.stranger, protocol=6, packet=segment.hex())["ok"]
        eventually(lambda: len(capture.find(payload=b"of no connection")) == 5, 15, "all of them leave")
    told = daemon.events(to=family.stranger, port=443)
    assert all((event["verdict"], event["reason"]) == ("observe", "observe-mode") for event in told), told
    assert daemon.events(verdict="deny") == []
