"""Cgroups that lie deeper than the kernel's rules look: each is its ancestor there, and its processes are found in itself."""

import time

import packets
import pytest
from conftest import JOB, job_policy
from daemon import policy, rule
from lab import PYTHON
from resources import eventually

# The lab's own cgroup lies at 1, so the workload's at 3: these at 10 and 9, below one at 8 that both are for the rules.
EIGHTH = f"{JOB}/4/5/6/7/8"
LEAF = f"{EIGHTH}/9/10"
OTHER_LEAF = f"{EIGHTH}/other"
AT_ONCE = 500


@pytest.fixture
def deep(ground):
    """A program of the workload `job`, ten levels deep."""
    return ground.agent(LEAF, uid=1001)


def callers(family, port, transport="tcp"):
    return {"name": f"callers-{transport}", "from": [family.world], "ports": [f"{port}/{transport}"]}


def cgroup(event):
    return event["process"]["cgroup"]


def never_seen(ground, daemon, family, transport):
    """A deep cgroup that nobody knows yet reaches what it may, and nothing else."""
    for leaf in (LEAF, OTHER_LEAF):
        agent = ground.agent(f"{leaf}/{transport}", uid=1001)
        allowed = getattr(agent, transport)(family.storage, 443, connect=transport == "udp", timeout=15)
        assert allowed["ok"], allowed
        agent.close()
        # The first of a cgroup that was never seen is one that is denied.
        ground.cgroups.remove(JOB)
        agent = ground.agent(f"{leaf}/{transport}", uid=1001)
        denied = getattr(agent, transport)(family.stranger, 443, connect=transport == "udp", timeout=2)
        assert not denied["ok"], denied
        event = daemon.wait_event(to=family.stranger, port=443, transport=transport)
        assert (event["verdict"], event["reason"]) == ("deny", "unknown-destination")
        assert event["workload"] == "job"


def test_a_deep_cgroup_belongs_to_the_workload_above_it(ground, daemon, basic, deep, family):
    daemon.start(basic)
    answer = deep.tcp(family.storage, 443)
    assert answer["ok"] and answer["ms"] < AT_ONCE, answer
    answer = deep.tcp(family.stranger, 443)
    assert answer["error"] == "ECONNREFUSED" and answer["ms"] < AT_ONCE, answer
    event = daemon.wait_event(to=family.stranger, port=443)
    assert (event["verdict"], event["reason"], event["workload"]) == ("deny", "unknown-destination", "job")
    assert cgroup(event).endswith(f"/{LEAF}") and event["process"]["pid"] == deep.pid
    # Another one below the same ancestor is no other for the kernel, and is one in the record.
    other = ground.agent(OTHER_LEAF, uid=1001)
    assert other.tcp(family.storage, 443)["ok"]
    assert other.tcp(family.stranger, 8443)["error"] == "ECONNREFUSED"
    event = daemon.wait_event(to=family.stranger, port=8443)
    assert event["workload"] == "job" and cgroup(event).endswith(f"/{OTHER_LEAF}")
    # Another user is foreign to the workload there, too.
    foreign = ground.agent(LEAF, uid=1002)
    assert foreign.tcp(family.storage, 443)["error"] == "ECONNREFUSED"
    event = daemon.wait_event(to=family.storage, port=443, verdict="deny")
    assert (event["reason"], event["workload"]) == ("unidentified", "job") and cgroup(event).endswith(f"/{LEAF}")
    (workload,) = daemon.ctl("workloads")["workloads"]
    assert workload["cgroups"] == [f"/{ground.glob(EIGHTH)}"]


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_the_first_packets_of_deep_cgroups(ground, daemon, basic, family, transport):
    daemon.start(basic)
    never_seen(ground, daemon, family, transport)
    assert daemon.events(reason="unidentified") == []


def test_a_raw_socket_of_a_deep_cgroup(ground, daemon, basic, family):
    daemon.start(basic)
    pinger = ground.agent(LEAF, uid=1001, capabilities=("net_raw",))
    with ground.capture() as capture:
        protocol, body = packets.echo_request(family.host, family.storage, b"tunnelled")
        pinger.do("raw", to=family.storage, packet=body.hex(), protocol=protocol, keep=True)
        event = daemon.wait_event(to=family.storage, workload="job")
        assert (event["verdict"], event["reason"]) == ("deny", "wrong-protocol")
        assert cgroup(event).endswith(f"/{LEAF}")
        assert capture.find(destination=family.storage, protocol=protocol) == []


@pytest.mark.parametrize("program", [PYTHON, "/usr/bin/curl"])
def test_a_rule_for_a_program_of_a_deep_cgroup(ground, daemon, deep, family, program):
    allow = [rule("one-program", family.stranger, [443], executable=program)]
    daemon.start({"job": job_policy(ground, family, allow=allow)})
    answer = deep.tcp(family.stranger, 443)
    event = daemon.wait_event(to=family.stranger, port=443)
    assert cgroup(event).endswith(f"/{LEAF}") and event["process"]["executable"] == PYTHON
    if program == PYTHON:
        assert answer["ok"] and event["verdict"] == "allow", answer
    else:
        assert answer["error"] == "ECONNREFUSED" and event["reason"] == "wrong-executable"


def test_who_calls_a_listener_in_a_deep_cgroup(ground, daemon, deep, family):
    listen = [callers(family, 5610), callers(family, 5610, "udp")]
    daemon.start({"job": job_policy(ground, family, listen=listen)})
    deep.do("serve", at=[family.any, 5610])
    deep.do("serve", at=[family.any, 5610], transport="udp")
    deep.do("serve", at=[family.any, 5611])
    outsider = ground.outsider()
    answer = outsider.tcp(family.host, 5610, source=[family.world, 0], keep=True)
    assert answer["ok"] and answer["ms"] < AT_ONCE, answer
    assert outsider.echo(answer["handle"])["data"] == "still here"
    assert outsider.udp(family.host, 5610, source=[family.world, 0], timeout=15)["ok"]
    assert not outsider.tcp(family.host, 5611, source=[family.world, 0], timeout=1)["ok"]
    event = daemon.wait_event(kind="inbound", verdict="deny")
    assert (event["reason"], event["workload"]) == ("not-listening", "job") and cgroup(event).endswith(f"/{LEAF}")
    # Over loopback its workload may, and others may not.
    deep.do("serve", at=[family.loopback, 5612])
    assert ground.agent(OTHER_LEAF, uid=1001).tcp(family.loopback, 5612)["ok"]
    assert ground.agent("system.slice/other.service").tcp(family.loopback, 5612)["error"] == "ECONNREFUSED"


@pytest.mark.parametrize("mode", ["allow", "observe", "deny"])
def test_a_deep_cgroup_of_nobody(ground, daemon, basic, family, mode):
    daemon.configure(unidentified=mode)
    daemon.start(basic)
    leaf = "system.slice/3/4/5/6/7/8/9/10"
    somebody = ground.agent(leaf, uid=1001)
    answer = somebody.tcp(family.stranger, 443)
    assert answer["ms"] < AT_ONCE and answer["ok"] == (mode != "deny"), answer
    if mode == "allow":
        time.sleep(0.3)
        assert daemon.events(to=family.stranger, port=443) == []
    else:
        event = daemon.wait_event(to=family.stranger, port=443)
        assert (event["verdict"], event["reason"]) == (mode, "unidentified")
        assert "workload" not in event and cgroup(event).endswith(f"/{leaf}")
    somebody.do("serve", at=[family.any, 5613])
    assert ground.outsider().tcp(family.host, 5613)["ok"]


def test_a_policy_that_comes_and_goes_above_open_connections(ground, daemon, deep, family):
    daemon.start({})
    doomed, stays = (deep.tcp(address, 443, keep=True) for address in (family.stranger, family.storage))
    assert doomed["ok"] and stays["ok"]
    daemon.reload({"job": job_policy(ground, family)})
    assert not deep.echo(doomed["handle"])["ok"]
    assert deep.echo(stays["handle"])["data"] == "still here"
    assert daemon.wait_event(to=family.stranger, port=443, verdict="deny")["workload"] == "job"
    # What its workload's policy no longer allows is over as well.
    daemon.reload({"job": policy("job", ground.glob(JOB), user=1001)})
    assert not deep.echo(stays["handle"])["ok"]


def test_what_a_deep_cgroup_has_open_when_the_daemon_comes(ground, daemon, basic, deep, family):
    doomed, stays = (deep.tcp(address, 443, keep=True) for address in (family.stranger, family.storage))
    daemon.start(basic)
    assert deep.do("read", handle=doomed["handle"], timeout=1)["error"] in ("ECONNABORTED", "ECONNRESET")
    assert deep.echo(stays["handle"])["data"] == "still here"
    event = daemon.wait_event(to=family.stranger, port=443, reason="unknown-destination")
    assert (event["verdict"], event["workload"]) == ("deny", "job") and cgroup(event).endswith(f"/{LEAF}")
    # And when another one takes over.
    daemon.kill()
    daemon.start()
    assert deep.echo(stays["handle"])["data"] == "still here"
    assert deep.tcp(family.storage, 443)["ok"]


@pytest.mark.in_turns
def test_deep_cgroups_that_are_gone_are_forgotten(ground, daemon, basic, family):
    daemon.start(basic)
    for number in range(3):
        agent = ground.agent(f"{LEAF}/{number}", uid=1001)
        assert agent.tcp(family.stranger, 8000 + number)["error"] == "ECONNREFUSED"
        assert cgroup(daemon.wait_event(to=family.stranger, port=8000 + number)).endswith(f"/{LEAF}/{number}")
        agent.close()
        ground.cgroups.remove(JOB)
    eventually(lambda: daemon.ctl("workloads")["workloads"][0]["cgroups"] == [], "they are not forgotten", 15)
