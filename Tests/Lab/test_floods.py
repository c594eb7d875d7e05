"""Floods: one workload asks for more than can be looked at; every refusal is counted, the bounds hold, others go on."""

import json
import re
import signal
import subprocess
import time

import pytest
from conftest import job_policy
from daemon import policy, rule
from lab import PYTHON
from names_checks import eventually

LOUD = "training.slice/loud.service"
# Nobody's: the world has no such addresses.
STRANGERS = {"ipv4": "100.64.0.0", "ipv6": "2001:db8:f::"}


def begin_flood(ground, family, rate=5000, seconds=3, cgroup=LOUD, **keys):
    argv = [PYTHON, "-I", str(ground.directory / "probes/flood.py"), STRANGERS[family.name], str(rate), str(seconds)]
    return ground.spawn(argv, cgroup=cgroup, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **keys)


def end_flood(process, timeout=60):
    """Waits until it ends by itself: its input stays open as long."""
    output = process.stdout.readline()
    assert process.wait(timeout) == 0
    return json.loads(output)


def counted(daemon, workload="loud"):
    """How many refusals of a workload the record and `ctl requests` tell of."""
    events = [one for one in daemon.events(workload=workload) if one.get("verdict") == "deny"]
    requests = [one for one in daemon.control.call("Requests")["requests"] if one.get("workload") == workload]
    return sum(one.get("count", 1) for one in events), sum(one["count"] for one in requests)


def wait_counted(daemon, expected, workload="loud", patience=60):
    deadline = time.monotonic() + patience
    while (found := counted(daemon, workload)) != (expected, expected) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert found == (expected, expected), f"{expected} refused; in the record, in the requests: {found}"


def refused_at_once(ground):
    """What the kernel has counted of the workload that it refuses without asking; None when there is none."""
    found = re.search(r"counter packets (\d+)", ground.host.command("nft", "list", "set", "inet", "egressd", "floods"))
    return found and int(found[1])


def dropped_by_queues(ground):
    """For a full queue, and for a full socket."""
    lines = ground.host.command("cat", "/proc/net/netfilter/nfnetlink_queue").splitlines()
    return sum(int(line.split()[5]) + int(line.split()[6]) for line in lines)


def conntrack_count(ground):
    return int(ground.host.command("cat", "/proc/sys/net/netfilter/nf_conntrack_count"))


@pytest.fixture
def flooded(ground, family):
    """The policies of a quiet workload, which has a rule that the broker is asked about, and of a loud one."""
    allow = [rule("storage", family.storage_prefix, [443]), rule("program", family.other, [443], executable=PYTHON)]
    return {"job": job_policy(ground, family, allow=allow), "loud": policy("loud", ground.glob(LOUD))}


def test_every_refusal_of_a_flood_is_counted_and_nobody_else_is_refused(ground, daemon, job, family, flooded):
    daemon.start(flooded)
    before = conntrack_count(ground)
    with ground.capture() as capture:
        flood = begin_flood(ground, family)
        outcomes = {}
        while flood.poll() is None:
            for address in (family.storage, family.other):
                answer = job.do("repeat", to=[address, 443], count=10, timeout=2)
                for word, count in answer["outcomes"].items():
                    outcomes[word] = outcomes.get(word, 0) + count
        result = end_flood(flood)
        assert capture.find(destination=STRANGERS[family.name]) == []
    assert result["outcomes"] == {"ECONNREFUSED": result["attempts"]}, result
    assert set(outcomes) == {"open"}, outcomes
    # What is refused leaves no entry behind; the quiet one's connections do. One that waits for a verdict has its own.
    most = before + outcomes["open"] + 100
    eventually(lambda: conntrack_count(ground) <= most, 15, f"{conntrack_count(ground)} entries, {most} at most")
    wait_counted(daemon, result["attempts"])

    lines = [one for one in daemon.ctl("requests")["requests"] if one.get("workload") == "loud"]
    assert len(lines) <= 1001
    (others,) = [one for one in lines if one["destination"].get("others")]
    assert others["count"] > result["attempts"] / 4
    together = daemon.wait_event(workload="loud", reason="limit")
    assert together["count"] > 1 and "destination" not in together and together["finding"] == "internal-scan"
    assert together["workload"] == "loud" and "process" not in together and together["request"] == others["request"]
    status, _, problem = daemon.ctl("approve", str(others["request"]), "--for", "1h", check=False)
    assert status == 1 and "many destinations" in problem
    assert "other destinations" in daemon.ctl("requests", json_output=False)
    assert daemon.ctl("status")["counters"]["eventsLost"] == 0


def test_when_the_flood_is_over_its_workload_is_asked_about_again(ground, daemon, family, flooded):
    flooded["loud"] = policy("loud", ground.glob(LOUD), allow=[rule("program", family.other, [443], executable=PYTHON)])
    daemon.start(flooded)
    loud = ground.agent(LOUD)
    assert loud.tcp(family.other, 443)["ok"]
    result = end_flood(begin_flood(ground, family, seconds=1))
    assert result["outcomes"] == {"ECONNREFUSED": result["attempts"]}
    eventually(lambda: loud.tcp(family.other, 443)["ok"], 15, "it is still refused what the broker would be asked")
    assert loud.tcp(family.stranger, 443)["error"] == "ECONNREFUSED"
    assert daemon.wait_event(to=family.stranger, port=443, workload="loud")["reason"] == "unknown-destination"


def test_what_the_kernel_counts_without_the_daemon_is_told_of_by_the_next(ground, daemon, family, flooded):
    daemon.start(flooded)
    flood = begin_flood(ground, family, seconds=120)
    eventually(lambda: refused_at_once(ground) is not None, 60, "the kernel refuses nothing by itself")
    deadline = time.monotonic() + 60
    while True:
        # Stopped, so that it does not end between the look and the kill.
        daemon.process.send_signal(signal.SIGSTOP)
        if (before := refused_at_once(ground)) is not None:
            break
        daemon.process.send_signal(signal.SIGCONT)
        assert time.monotonic() < deadline, "the kernel refuses nothing by itself"
        # As long as it takes to see a flood again.
        time.sleep(0.3)
    daemon.kill()
    eventually(lambda: refused_at_once(ground) >= before + 1000, 30, "nothing is refused any more")
    flood.kill()
    flood.wait()
    refused = refused_at_once(ground)
    daemon.start()
    told = [one for one in daemon.events(workload="loud", reason="limit") if "no daemon" in one["message"]]
    assert [one["count"] for one in told] == [refused]


def test_what_a_full_queue_drops_is_told_of(ground, daemon, family, flooded):
    daemon.start(flooded)
    loud = ground.agent(LOUD)
    assert loud.tcp(family.stranger, 443)["error"] == "ECONNREFUSED"
    daemon.process.send_signal(signal.SIGSTOP)
    # TCP sends nothing again as long as its packet waits: two have more to send than a queue has room for.
    floods = [begin_flood(ground, family, rate=20_000, seconds=120) for _ in range(2)]
    eventually(lambda: dropped_by_queues(ground) >= 100, 60, "no queue is full")
    for flood in floods:
        flood.kill()
        flood.wait()
    dropped = dropped_by_queues(ground)
    daemon.process.send_signal(signal.SIGCONT)
    event = daemon.wait_event(kind="alarm", reason="overload")
    assert sum(one["count"] for one in daemon.events(kind="alarm", reason="overload")) == dropped, event
    assert daemon.ctl("status")["counters"]["overloads"] == dropped


def test_held_flows_have_a_quota_each_workload_of_its_own(ground, daemon, job, family):
    hold = {"unknown": "hold 30s"}
    daemon.start({"job": job_policy(ground, family, **hold), "loud": policy("loud", ground.glob(LOUD), **hold)})
    flood = begin_flood(ground, family, rate=1000, seconds=1)
    daemon.wait_event(workload="loud", reason="limit")
    waiting = job.begin("tcp", to=[family.stranger, 443], timeout=20)
    daemon.wait_event(to=family.stranger, port=443, workload="job", verdict="hold")
    held = [one for one in daemon.ctl("requests")["requests"] if one["held"]]
    assert sum(one.get("workload") == "loud" for one in held) == 64
    daemon.approve(family.stranger, 443, workload="job")
    assert waiting.wait(10)["ok"]
    flood.kill()
    flood.wait()
