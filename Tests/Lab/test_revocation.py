"""What was allowed and is no more: cut within a second, the peer told, and nobody else asked again."""

import contextlib
import time

import pytest
from conftest import JOB, job_policy
from daemon import policy, rule
from grants import Term

# From the command to the dead socket.
CUT = 1.0


def opened(agent, address, port):
    answer = agent.tcp(address, port, keep=True)
    assert answer["ok"], answer
    assert agent.echo(answer["handle"])["data"] == "still here"
    return answer


@contextlib.contextmanager
def cut(ground, connection):
    """What is done inside it cuts the connection in time: by the wire, whose clock waits for nobody. Then the peer knows."""
    with ground.capture() as capture:
        begun = time.monotonic()
        yield
        assert capture.end_of(connection["source"][1]).at - begun <= CUT
    ground.world.wait_closed(connection["source"][1], 15)


def dead(agent, connection):
    """Our own end: an error, not silence."""
    answer = agent.echo(connection["handle"], timeout=2)
    return not answer["ok"] and answer["error"] in ("ECONNRESET", "ECONNABORTED", "EPIPE", "eof", "ECONNREFUSED")


def ended(daemon, agent, address):
    """The record says once whose connection a policy that became narrower has ended: when it ended, or for a packet of it
    that was on its way, the acknowledgement of the greeting."""
    message = "it was open when the policy became another one"
    told = daemon.events(to=address, port=443, verdict="deny")
    [event] = [event for event in told if event.get("process", {}).get("pid") == agent.pid]
    assert event["workload"] == "job" and event.get("message", message) == message, event
    return event


@pytest.mark.parametrize("how", ["ctl", "hangup"])
def test_removing_a_rule_cuts_its_flows_alone(ground, daemon, job, family, how):
    other_cgroup = "training.slice/other.service"
    storage, other = rule("storage", family.storage_prefix, [443]), rule("other", family.other, [443])
    neighbour_text = policy("neighbour", ground.glob(other_cgroup), allow=[storage])
    daemon.start({"job": job_policy(ground, family, allow=[storage, other]), "neighbour": neighbour_text})
    neighbour = ground.agent(other_cgroup, uid=1001)
    doomed, stays = opened(job, family.storage, 443), opened(job, family.other, 443)
    apart = opened(neighbour, family.storage, 443)
    seen_before = len(daemon.events(workload="neighbour"))
    daemon.write({"job": job_policy(ground, family, allow=[other]), "neighbour": neighbour_text})
    with cut(ground, doomed):
        if how == "ctl":
            daemon.ctl("reload")
        else:
            daemon.hangup()
    assert dead(job, doomed)
    assert job.echo(stays["handle"])["ok"], "another flow of the same workload was cut"
    assert neighbour.echo(apart["handle"])["ok"], "another workload's flow was cut"
    assert len(daemon.events(workload="neighbour")) == seen_before, "another workload's flow was asked again"
    ended(daemon, job, family.storage)
    assert job.tcp(family.storage, 443)["error"] == "ECONNREFUSED"


def test_a_deny_added_cuts_what_it_covers(ground, daemon, job, family):
    allow = [rule("storage", family.storage_prefix, ["any"])]
    daemon.start({"job": job_policy(ground, family, allow=allow, deny=[])})
    doomed, stays = opened(job, family.secret, 443), opened(job, family.storage, 443)
    with cut(ground, doomed):
        daemon.reload({"job": job_policy(ground, family, allow=allow)})
    assert job.echo(stays["handle"])["ok"]
    assert ended(daemon, job, family.secret)["rule"] == "secrets"


def test_a_wider_policy_cuts_nothing(ground, daemon, job, basic, family):
    daemon.start(basic)
    stays = opened(job, family.storage, 443)
    allow = [rule("storage", family.storage_prefix, [443]), rule("more", family.other, [443])]
    daemon.reload({"job": job_policy(ground, family, allow=allow)})
    assert job.tcp(family.other, 443)["ok"]
    assert job.echo(stays["handle"])["ok"]


def test_approve_opens_at_once_and_revoke_cuts(ground, daemon, job, basic, family):
    daemon.start(basic)
    stays = opened(job, family.storage, 443)
    assert job.tcp(family.stranger, 443)["error"] == "ECONNREFUSED"
    grant = daemon.approve(family.stranger, 443)
    doomed = opened(job, family.stranger, 443)
    event = daemon.wait_event(to=family.stranger, port=443, reason="grant")
    assert event["verdict"] == "allow"
    # A grant is for one destination.
    assert job.tcp(family.stranger, 8443)["error"] == "ECONNREFUSED"
    assert job.tcp(family.other, 443)["error"] == "ECONNREFUSED"
    with cut(ground, doomed):
        daemon.ctl("revoke", str(grant))
    assert dead(job, doomed)
    assert job.tcp(family.stranger, 443)["error"] == "ECONNREFUSED"
    assert job.echo(stays["handle"])["ok"]
    assert daemon.ctl("grants")["grants"] == [] or all(
        entry["grant"] != grant or entry.get("revoked") for entry in daemon.ctl("grants")["grants"]
    )


def test_an_expired_grant_cuts(ground, daemon, job, basic, family):
    daemon.start(basic)
    job.tcp(family.stranger, 443)
    with ground.capture() as capture:
        daemon.approve(family.stranger, 443, duration="3s")
        term = Term(daemon, 3)
        doomed = opened(job, family.stranger, 443)
        at = capture.end_of(doomed["source"][1], timeout=20).at
        assert term.earliest <= at <= term.latest + CUT, "cut before its time, or late"
    ground.world.wait_closed(doomed["source"][1], 15)
    assert dead(job, doomed)
    assert job.tcp(family.stranger, 443)["error"] == "ECONNREFUSED"


def test_a_grant_for_udp_opens_and_ends(ground, daemon, job, basic, family):
    daemon.start(basic)
    assert not job.udp(family.stranger, 443)["ok"]
    daemon.wait_event(to=family.stranger, port=443, transport="udp")
    grant = daemon.approve(family.stranger, 443)
    kept = job.udp(family.stranger, 443, keep=True, timeout=15)
    assert kept["ok"]
    assert job.tcp(family.stranger, 443)["error"] == "ECONNREFUSED", "the grant is for UDP alone"
    daemon.ctl("revoke", str(grant))
    with ground.capture() as capture:
        job.do("udp", handle=kept["handle"], to=[family.stranger, 443], payload="after", reply=False)
        time.sleep(0.2)
        assert capture.find(payload=b"after") == []


def test_deny_beats_a_grant(ground, daemon, job, basic, family):
    """A reload's new deny takes a grant that it covers out of force, and cuts what it carried."""
    daemon.start(basic)
    job.tcp(family.stranger, 443)
    daemon.approve(family.stranger, 443)
    doomed = opened(job, family.stranger, 443)
    denied = [rule("never", f"{family.stranger}/{32 if family.name == 'ipv4' else 128}")]
    with cut(ground, doomed):
        daemon.reload({"job": job_policy(ground, family, deny=denied)})
    assert job.tcp(family.stranger, 443)["error"] == "ECONNREFUSED"
    # And a request that a deny covers cannot be approved into being.
    status, _, _ = daemon.ctl("approve", str(daemon.request_for(family.stranger, 443)["request"]), "--for", "1h",
                              "--reason", "please", check=False)  # fmt: skip
    assert status in (0, 1)
    assert job.tcp(family.stranger, 443)["error"] == "ECONNREFUSED"


def test_many_narrowings_wrap_the_generation(ground, daemon, job, family):
    """More than 256 of them: an old flow's mark must not come back into force."""
    wide = job_policy(ground, family, allow=[rule("a", family.storage, [443]), rule("b", family.other, [443])])
    narrow = job_policy(ground, family, allow=[rule("a", family.storage, [443])])
    daemon.start({"job": wide})
    stays = opened(job, family.storage, 443)
    for _ in range(260):
        for each in (wide, narrow):
            daemon.write({"job": each})
            daemon.control.call("Reload")
    assert job.echo(stays["handle"])["ok"]
    assert job.tcp(family.other, 443)["error"] == "ECONNREFUSED"


def test_a_flow_from_before_the_daemon_is_judged(ground, daemon, job, basic, family):
    bad, good = opened(job, family.stranger, 443), opened(job, family.storage, 443)
    daemon.start(basic)
    with ground.capture() as capture:
        job.do("write", handle=bad["handle"], data="leak-of-the-open")
        assert dead(job, bad)
        assert capture.find(payload=b"leak-of-the-open") == []
    assert job.echo(good["handle"])["ok"]
