"""A /proc that hides processes, missing capabilities, and cgroups that come and go by the thousand."""

import json
import os
import pathlib
import statistics
import subprocess
import time

import pytest
from conftest import JOB, job_policy
from daemon import policy, rule
from lab import PYTHON
from resources import eventually, warned

DAEMON_UID = 2100
CAPABILITIES = ("net_admin", "sys_ptrace", "dac_read_search")


def unprivileged(daemon, *capabilities, hides=True):
    """What makes a daemon start as under systemd: a user without rights but for these, and a /proc that hides others."""
    for path in (daemon.directory, daemon.state, daemon.policies):
        os.chown(path, DAEMON_UID, DAEMON_UID)
    wanted = ",".join(f"+{name}" for name in capabilities)
    drop = ["setpriv", f"--reuid={DAEMON_UID}", f"--regid={DAEMON_UID}", "--clear-groups"]
    drop += [f"--inh-caps={wanted}", f"--ambient-caps={wanted}", "--no-new-privs"]
    if not hides:
        return drop
    return ["unshare", "--mount", "sh", "-c", 'mount -t proc -o hidepid=2 proc /proc && exec "$@"', "sh", *drop]


def with_program(ground, family):
    """Storage for all of the workload, a third place for one program of it."""
    allow = [rule("storage", family.storage_prefix, [443]), rule("asked", family.third, [443], executable=PYTHON)]
    return {"job": job_policy(ground, family, allow=allow)}


def test_a_proc_that_hides_processes(ground, daemon, job, family):
    """With the unit's capabilities everything is known all the same."""
    daemon.write(with_program(ground, family))
    daemon.launch(*unprivileged(daemon, *CAPABILITIES))
    daemon.wait_ready()
    assert not warned(daemon, "CAP_SYS_PTRACE")
    assert job.tcp(family.storage, 443)["ok"]
    assert job.tcp(family.third, 443)["ok"]
    assert job.tcp(family.stranger, 443)["error"] == "ECONNREFUSED"
    event = daemon.wait_event(to=family.stranger, port=443)
    assert event["process"]["pid"] == job.pid and event["process"]["executable"] == PYTHON
    assert event["process"]["cgroup"].endswith(JOB)


@pytest.mark.parametrize("hides", [False, True], ids=["shown", "hidden"])
def test_without_the_right_to_look_at_processes(ground, daemon, job, family, hides):
    """It starts and says so; rules for a program deny, and who may not be told apart may not approve."""
    daemon.write(with_program(ground, family))
    daemon.launch(*unprivileged(daemon, "net_admin", "dac_read_search", hides=hides))
    eventually(lambda: "ready:" in daemon.log(), "it does not start")
    assert "give egressd CAP_SYS_PTRACE" in daemon.log()
    assert job.tcp(family.storage, 443)["ok"]
    assert job.tcp(family.third, 443)["error"] == "ECONNREFUSED"
    assert job.tcp(family.stranger, 443)["error"] == "ECONNREFUSED"
    if hides:
        status, _, errors = daemon.ctl("status", check=False)
        assert status == 4 and "cgroup cannot be told" in errors, errors
        return
    assert warned(daemon, "CAP_SYS_PTRACE")
    assert daemon.wait_event(to=family.third, port=443)["reason"] == "wrong-executable"
    event = daemon.wait_event(to=family.stranger, port=443)
    assert event["workload"] == "job" and event["process"]["cgroup"].endswith(JOB)


@pytest.fixture(scope="session")
def churner(tmp_path_factory):
    """Makes a cgroup, has a process in it try a port of its own, and removes both, over and over."""
    program = tmp_path_factory.mktemp("churn") / "churn"
    source = pathlib.Path(__file__).parent / "probes/churn.c"
    # A process that has nothing to share begins and ends in half the time.
    subprocess.run(["cc", "-O2", "-static", "-Wall", "-Werror", "-o", program, source], check=True)
    program.parent.chmod(0o755)
    return program


def connect_times(agent, address, count):
    times = []
    for _ in range(count):
        answer = agent.tcp(address, 443)
        assert answer["ok"], answer
        times.append(answer["ms"])
    return times


# The second is the deepest that the kernel's rules look at: those in it are known to nobody but the daemon.
@pytest.mark.parametrize("folder", ["churn.slice", "churn.slice/3/4/5/6/7/8"], ids=["known", "deep"])
@pytest.mark.parametrize("way", ["opened", "followed"])
@pytest.mark.in_turns
def test_cgroups_that_come_and_go(ground, daemon, job, basic, family, churner, way, folder):
    """As fast as two programs can, which prints how fast that was: each request that is told of has its own cgroup's name,
    all are counted, others are not kept waiting, nothing is left."""
    daemon.write({**basic, "churn": policy("churn", ground.glob("churn.slice/**"))})
    # As its unit runs it, it may not open cgroups by their ids.
    daemon.launch(*(unprivileged(daemon, "net_admin", "sys_ptrace", hides=False) if way == "followed" else ()))
    daemon.wait_ready()
    assert f"cgroups: {way}" in daemon.log()
    pid = daemon.process.pid
    idle = statistics.median(connect_times(job, family.storage, 200))
    known = daemon.ctl("status")["counters"]["cgroups"]

    def load(first, rounds):
        """Two programs at once, while others connect; how long that took these."""
        root, before = ground.cgroups.make(folder), len(daemon.events(workload="churn"))
        runs = [
            ground.spawn(
                [str(churner), str(root), family.stranger, str(first + part * rounds), str(rounds), "1001"],
                stdout=subprocess.PIPE,
                text=True,
            )
            for part in range(2)
        ]
        times = []
        while any(run.poll() is None for run in runs):
            times += connect_times(job, family.storage, 10)
            # Two programs of Python would take the processors from those that are looked at.
            time.sleep(0.05)
        seconds = max(finished(run)["seconds"] for run in runs)
        print(f"{2 * rounds / seconds:.0f} cgroups a second")
        # The newest come last; who is refused very often is told of together.
        eventually(lambda: attempts(daemon.events(workload="churn")[before:]) >= 2 * rounds, "not all are counted", 20)
        events = daemon.events(workload="churn")[before:]
        assert attempts(events) == 2 * rounds
        told = [event for event in events if event["reason"] != "limit"]
        assert told and {event["workload"] for event in events} == {"churn"}
        for event in told:
            assert event["process"]["cgroup"].endswith(f"/{folder}/c{event['destination']['port']}"), event
        # A few may wait for new ones; those that were there at the last early sweep go with the next regular one.
        forgotten = lambda: daemon.ctl("status")["counters"]["cgroups"] < known + 32  # noqa: E731
        eventually(forgotten, "cgroups are not forgotten", 15)
        return times

    # What the daemon keeps of the last processes and requests is bounded: the first load fills it.
    load(2000, 750)
    before = usage(pid)
    busy = load(4000, 750)
    after = usage(pid)
    assert statistics.median(busy) < max(20 * idle, 20), (idle, statistics.median(busy))
    listing = json.loads(ground.host.command("nft", "-j", "list", "ruleset"))["nftables"]
    elements = [each["map"].get("elem", []) for each in listing if each.get("map", {}).get("name", "") == "workloads"]
    assert elements and sum(map(len, elements)) < 100
    # Two for each of the 256 processes that are remembered, and those that it starts with.
    assert after[0] < 2 * 256 + 64, f"descriptors: {before[0]} before, {after[0]} after"
    assert after[1] - before[1] < 12_288, f"resident memory: {before[1]} kB before, {after[1]} kB after"


def attempts(events):
    return sum(event.get("count", 1) for event in events)


def finished(run):
    output, _ = run.communicate(timeout=120)
    answer = json.loads(output)
    assert set(answer["outcomes"]) == {"Connection refused"}, answer
    return answer


def usage(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        resident = int(file.read().split("VmRSS:")[1].split()[0])
    return len(os.listdir(f"/proc/{pid}/fd")), resident
