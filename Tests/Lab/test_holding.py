"""`unknown: hold`: the attempt waits for an operator. `observe`: it passes and is written down."""

import time

from conftest import job_policy


def held(daemon, family, port, timeout=3):
    return daemon.wait_event(timeout, to=family.stranger, port=port, verdict="hold")


def test_approved_while_it_waits_connects(ground, daemon, job, family):
    daemon.start({"job": job_policy(ground, family, unknown="hold 20s")})
    waiting = job.begin("tcp", to=[family.stranger, 443], timeout=15)
    held(daemon, family, 443)
    assert not waiting.done
    daemon.approve(family.stranger, 443)
    answer = waiting.wait()
    assert answer["ok"], answer


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
