"""Who asks: the socket's own cgroup and user, whatever the process does to hide them."""

import time

import pytest
from conftest import JOB, job_policy
from daemon import policy, rule


def test_a_source_port_that_changes_hands_is_judged_anew(ground, daemon, job, family):
    """A second workload sends from the UDP port that an allowed one has just used, to the same destination."""
    other = "training.slice/other.service"
    daemon.start(
        {
            "job": job_policy(ground, family),
            "other": policy("other", ground.glob(other), user=1002),
        }
    )
    thief = ground.agent(other, uid=1002)
    with ground.capture() as capture:
        for _ in range(20):
            first = job.udp(family.storage, 443, source=[family.host, 5700], payload="mine", timeout=15)
            assert first["ok"], first
            thief.udp(family.storage, 443, source=[family.host, 5700], payload="stolen", timeout=0.05)
        deadline = time.monotonic() + 15
        while len(capture.find(payload=b"mine")) < 20 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert len(capture.find(payload=b"mine")) == 20
        assert capture.find(payload=b"stolen") == []
    assert daemon.wait_event(workload="other", to=family.storage, transport="udp")["verdict"] == "deny"


def test_a_shared_udp_port_tells_its_users_apart(ground, daemon, job, family):
    other = "training.slice/other.service"
    daemon.start({"job": job_policy(ground, family), "other": policy("other", ground.glob(other), user=1001)})
    thief = ground.agent(other, uid=1001)
    ours = job.udp(family.storage, 443, source=[family.host, 5701], keep=True, reuse_port=True, timeout=15)
    assert ours["ok"]
    with ground.capture() as capture:
        thief.udp(family.storage, 443, source=[family.host, 5701], payload="stolen", reuse_port=True, timeout=0.2)
        time.sleep(0.1)
        assert capture.find(payload=b"stolen") == []


def test_another_user_in_the_cgroup_is_denied(ground, daemon, basic, family):
    daemon.start(basic)
    for uid in (0, 1002):
        intruder = ground.agent(JOB, uid=uid)
        assert intruder.tcp(family.storage, 443)["error"] == "ECONNREFUSED", uid
        assert not intruder.udp(family.storage, 443, connect=True)["ok"], uid
    event = daemon.wait_event(to=family.storage, port=443, transport="tcp")
    assert (event["verdict"], event["reason"]) == ("deny", "unidentified")


def test_a_nested_cgroup_belongs_to_its_parent(ground, daemon, basic, family):
    daemon.start(basic)
    for path in ("inner", "inner/more", "a/b/c/d"):
        nested = ground.agent(f"{JOB}/{path}", uid=1001)
        assert nested.tcp(family.storage, 443)["ok"], path
        assert nested.tcp(family.stranger, 443)["error"] == "ECONNREFUSED", path
        assert daemon.wait_event(to=family.stranger, port=443)["workload"] == "job"
        nested.close()


def test_the_deepest_named_ancestor_is_the_workload(ground, daemon, family):
    inner = f"{JOB}/inner"
    daemon.start(
        {
            "job": job_policy(ground, family),
            "inner": policy("inner", ground.glob(inner), user=1001, allow=[rule("o", family.other, [443])]),
        }
    )
    agent = ground.agent(f"{inner}/leaf", uid=1001)
    assert agent.tcp(family.other, 443)["ok"]
    assert agent.tcp(family.storage, 443)["error"] == "ECONNREFUSED"
    assert daemon.wait_event(to=family.storage, port=443)["workload"] == "inner"


def test_a_cgroup_made_after_the_start_and_made_again(ground, daemon, basic, family):
    daemon.start(basic)
    for _ in range(3):
        agent = ground.agent(JOB, uid=1001)
        assert agent.tcp(family.storage, 443)["ok"]
        assert agent.tcp(family.stranger, 443)["error"] == "ECONNREFUSED"
        agent.close()
        ground.cgroups.remove(JOB)


def test_globs_name_instances(ground, daemon, family):
    text = policy("llm", ground.glob("training.slice/llm-pretrain@*.service"), allow=[rule("s", family.storage, [443])])
    daemon.start({"llm": text})
    job = ground.agent("training.slice/llm-pretrain@7.service", uid=1001)
    assert job.tcp(family.storage, 443)["ok"]
    assert job.tcp(family.stranger, 443)["error"] == "ECONNREFUSED"


def test_an_open_socket_keeps_its_identity_when_its_process_moves(ground, daemon, basic, family):
    daemon.start(basic)
    mover = ground.agent(JOB, uid=1001)
    bound = mover.do("bind", at=[family.any, 0])
    # Root moves it, as a job with rights over the tree would.
    (ground.cgroups.make("elsewhere") / "cgroup.procs").write_text(str(mover.pid))
    with ground.capture() as capture:
        mover.do("udp", handle=bound["handle"], to=[family.stranger, 443], payload="moved", reply=False)
        time.sleep(0.2)
        assert capture.find(payload=b"moved") == []


@pytest.mark.parametrize("mode", ["allow", "observe", "deny"])
def test_the_rest_of_the_host(ground, daemon, basic, family, mode):
    daemon.configure(unidentified=mode)
    daemon.start(basic)
    somebody = ground.agent("system.slice/other.service", uid=1001)
    answer = somebody.tcp(family.stranger, 443)
    datagram = somebody.udp(family.stranger, 443, connect=True, timeout=1 if mode == "deny" else 15)
    if mode == "deny":
        assert answer["error"] == "ECONNREFUSED"
        assert not datagram["ok"]
        event = daemon.wait_event(to=family.stranger, port=443, transport="tcp")
        assert (event["verdict"], event["reason"]) == ("deny", "unidentified")
    else:
        assert answer["ok"] and datagram["ok"]
    if mode == "observe":
        event = daemon.wait_event(to=family.stranger, port=443, transport="tcp")
        assert (event["verdict"], event["reason"]) == ("observe", "unidentified")
    if mode == "allow":
        time.sleep(0.3)
        assert daemon.events(to=family.stranger, port=443) == []


def test_a_job_started_below_an_unidentified_cgroup(ground, daemon, family):
    """Unidentified is remembered for the leaf alone: a workload may start below it tomorrow."""
    daemon.start({"job": job_policy(ground, family)})
    above = ground.agent("training.slice", uid=1001)
    assert above.tcp(family.stranger, 443)["ok"]
    job = ground.agent(JOB, uid=1001)
    assert job.tcp(family.stranger, 443)["error"] == "ECONNREFUSED"


def test_a_reload_that_names_a_running_cgroup(ground, daemon, job, family):
    daemon.start({})
    assert job.tcp(family.stranger, 443)["ok"]
    daemon.reload({"job": job_policy(ground, family)})
    assert job.tcp(family.stranger, 443)["error"] == "ECONNREFUSED"
    assert job.tcp(family.storage, 443)["ok"]
    daemon.reload({})
    assert job.tcp(family.stranger, 443)["ok"]
