"""What `egressd coverage` says of a host, held against the host: each line is made true first."""

from __future__ import annotations

import json
import re
import select
import subprocess
import time

import pytest
from conftest import JOB, job_policy
from daemon import rule
from families import IPV4
from lab import PYTHON

WAITS = """
import sys
print("ready", flush=True)
sys.stdin.read()
"""
DATAGRAMS = """
import socket
kept = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
kept.bind(("::", 3129))
"""
PACKET_SOCKET = f"""
import socket
kept = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
{WAITS}
"""


class Report:
    """The report as JSON, and how the command ended."""

    def __init__(self, status: int, output: str, errors: str):
        assert status in (0, 1), (status, errors)
        self.status = status
        self.all = json.loads(output)
        self.checks = {check["id"]: check for check in self.all["checks"]}

    def state(self, name: str) -> str:
        return self.checks[name]["state"]

    def detail(self, name: str) -> str:
        return self.checks[name]["detail"]


def run(daemon, *words, runner=None) -> tuple[int, str, str]:
    """Runs the command in the training host's network namespace."""
    argv = [str(daemon.lab.egressd), "coverage", "--config", str(daemon.configuration), *words]
    if runner is not None:
        return runner(argv)
    done = subprocess.run(
        ["nsenter", f"--net={daemon.lab.host.path}", *argv], capture_output=True, text=True, check=False, timeout=30
    )
    return done.returncode, done.stdout, done.stderr


def look(daemon, runner=None) -> Report:
    return Report(*run(daemon, "--json", runner=runner))


@pytest.fixture
def started(daemon, ground):
    daemon.start({"job": job_policy(ground, IPV4)})
    return daemon


def test_a_host_with_a_daemon(started):
    report = look(started)
    for name in (
        "daemon.running", "daemon.mode", "daemon.table", "daemon.record", "kernel.queue", "kernel.socket-cgroup",
        "kernel.cgroup-ids", "kernel.sock-diag", "policy.files", "policy.users",
    ):
        assert report.state(name) == "enforced", report.checks[name]
    assert "1 workload" in report.detail("daemon.running")
    assert report.state("policy.unidentified") == "open", "the lab's configuration only observes them"
    # A veth that is up, and that nobody sealed.
    assert "uplink (veth)" in report.detail("path.uplinks")
    assert "hardware" not in report.detail("path.uplinks"), "the machine's own devices are elsewhere"
    assert report.state("path.uplinks") == "open"
    assert report.status == 1
    counted = sum(report.all["summary"].values())
    assert counted == len(report.checks) == len(report.all["checks"])
    for check in report.checks.values():
        if check["state"] in ("open", "partly"):
            assert check["consequence"] and check["mend"], check


def test_it_changes_nothing(started, ground):
    watch = ground.spawn(["nft", "monitor"], stdout=subprocess.PIPE, text=True)
    # Until the monitor listens it misses what is made.
    for number in range(100):
        ground.host.nft(f"add table inet begin{number}")
        if select.select([watch.stdout], [], [], 0.1)[0]:
            break
    before = ground.host.command("nft", "-a", "list", "ruleset")
    ground.host.nft("add table inet looking")
    look(started)
    ground.host.nft("delete table inet looking")
    told = []
    while not told or "delete table inet looking" not in told[-1]:
        told.append(watch.stdout.readline())
    at = told.index("add table inet looking\n")
    changes = [line for line in told[at + 1 : -1] if not line.startswith("# new generation")]
    assert changes == []
    assert ground.host.command("nft", "-a", "list", "ruleset") == before


def test_a_daemon_that_ended_leaves_the_table(started):
    started.kill()
    report = look(started)
    assert report.state("daemon.running") == "partly"
    assert report.state("daemon.table") == "enforced"
    assert report.state("daemon.record") == "absent"


def test_a_host_without_egressd(daemon, ground):
    daemon.write({"job": job_policy(ground, IPV4)})
    report = look(daemon)
    assert report.state("daemon.running") == report.state("daemon.table") == "open"
    assert report.state("daemon.ownership") == "absent"
    assert report.state("policy.files") == "enforced", "policies are read without a daemon"


def test_mode_observe_is_open(daemon, ground):
    daemon.configure(mode="observe")
    daemon.start({"job": job_policy(ground, IPV4)})
    assert look(daemon).state("daemon.mode") == "open"


def test_a_bad_policy_is_unknown_and_says_where(started):
    (started.policies / "bad.yaml").write_text("workload: bad\nidentity: {cgroup: bad.slice}\nport: 1\n")
    report = look(started)
    assert report.state("policy.files") == "unknown"
    assert "unknown key 'port'" in report.detail("policy.files")
    assert report.state("daemon.running") == "enforced"
    assert report.state("policy.wide") == "unknown"
    (started.policies / "bad.yaml").unlink()
    assert list(look(started).checks) == list(report.checks), "the shape is the same"


def test_a_confined_job_and_one_with_capabilities(started, ground):
    ground.agent(JOB, uid=1001)
    report = look(started)
    assert report.state("path.capabilities") == "enforced"
    assert report.state("path.uplinks") == "partly", "nobody has CAP_NET_RAW"
    assert report.state("path.privileges") == "partly", "the lab's jobs may gain privileges"
    assert report.state("path.namespaces") == "enforced"
    strong = ground.agent(JOB, uid=1001, capabilities=("net_raw",))
    report = look(started)
    assert report.state("path.capabilities") == "open"
    assert f"(pid {strong.pid}): CAP_NET_RAW" in report.detail("path.capabilities")
    assert report.state("path.uplinks") == report.state("path.xdp") == "open"
    ground.agent(JOB, uid=1001, capabilities=("setuid",))
    report = look(started)
    assert "CAP_SETUID" in report.detail("path.capabilities")
    assert "make themselves root" in report.checks["path.capabilities"]["consequence"]


def test_root_in_a_workload(started, ground):
    root = ground.agent(JOB, uid=0)
    report = look(started)
    assert f"(pid {root.pid}) is root" in report.detail("doors.groups")
    assert report.state("doors.groups") == "open"


def test_a_sealed_uplink(started, ground):
    ground.agent(JOB, uid=1001)
    ground.host.nft(
        "table netdev egressd_uplinks {\n chain uplink {\n type filter hook egress device uplink priority 0; policy drop;\n"
        "meta rtclassid 0-4294967295 accept\n }\n}"
    )
    report = look(started)
    assert report.state("path.uplinks") == "enforced", report.checks["path.uplinks"]


def test_rules_of_others_that_take_packets_past(started, ground):
    assert look(started).state("daemon.warnings") == "enforced"
    ground.host.nft("table ip others {\n chain out {\n type filter hook output priority 10;\n }\n}")
    assert look(started).state("path.foreign-tables") == "enforced", "what it accepts is judged all the same"
    ground.host.nft("add rule ip others out udp dport 9 notrack")
    report = look(started)
    assert report.state("path.foreign-tables") == "partly"
    assert "connection tracking" in report.detail("path.foreign-tables")
    ground.host.nft("add rule ip others out udp dport 9 ct mark set 1")
    deadline = time.monotonic() + 5
    while (report := look(started)).state("daemon.warnings") != "partly":
        assert time.monotonic() < deadline
    assert report.state("path.foreign-tables") == "open"
    assert "sets the connection mark" in report.detail("path.foreign-tables")
    assert "table ip others" in report.detail("daemon.warnings"), "what the daemon warns of is said as it says it"


def test_a_table_that_nobody_owns(daemon, ground):
    daemon.configure(owner="off")
    daemon.start({"job": job_policy(ground, IPV4)})
    report = look(daemon)
    assert report.state("daemon.ownership") == "partly"
    if report.state("kernel.owned-tables") == "enforced":
        assert "owner: auto" in report.checks["daemon.ownership"]["mend"]


def test_a_packet_socket(started, ground):
    assert look(started).state("path.packet-sockets") == "absent"
    holder = ground.spawn([PYTHON, "-I", "-c", PACKET_SOCKET], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "ready\n"
    report = look(started)
    assert report.detail("path.packet-sockets") == "1 socket of uid 0"
    holder.stdin.close()
    holder.wait()
    assert look(started).state("path.packet-sockets") == "absent"


def test_a_job_in_a_network_of_its_own(started, ground):
    away = ground.agent(JOB, uid=1001, namespace=ground.world_ns)
    report = look(started)
    assert report.state("path.namespaces") == "open"
    assert f"(pid {away.pid})" in report.detail("path.namespaces")


def test_a_container_daemons_socket_in_the_jobs_own_view(started, ground):
    """The job's mount namespace has a docker.sock; the host has none."""
    script = (
        'mount -t tmpfs -o mode=0755 none /run && touch /run/docker.sock && chmod "$0" /run/docker.sock '
        '&& exec setpriv --reuid=1001 --regid=1001 --clear-groups "$@"'
    )

    def job(mode):
        program = [PYTHON, "-I", "-c", WAITS]
        made = ground.spawn(
            ["unshare", "--mount", "sh", "-c", script, mode, *program],
            cgroup=JOB, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert made.stdout.readline() == "ready\n"
        return made

    job("0660")
    report = look(started)
    assert report.state("doors.containers") == "enforced"
    assert "/run/docker.sock" in report.detail("doors.containers")
    opened = job("0666")
    report = look(started)
    assert report.state("doors.containers") == "open"
    who = rf"open: /run/docker\.sock by job: python3\S* \(pid {opened.pid}\)"
    assert re.fullmatch(who, report.detail("doors.containers"))


def test_a_service_on_loopback_that_a_rule_reaches(daemon, ground, family):
    assert ground.agent("services/proxy").do("listen", at=[family.loopback, 3128])["ok"]
    daemon.start({"job": job_policy(ground, family)})
    report = look(daemon)
    assert report.state("doors.loopback") == "enforced"
    assert not report.detail("doors.loopback").startswith("0 services")
    daemon.reload({"job": job_policy(ground, family, allow=[rule("local", family.loopback, [3128])])})
    report = look(daemon)
    assert report.detail("doors.loopback") == "job: rule 'local' reaches port 3128"
    assert report.state("doors.loopback") == "open"


def test_a_service_on_another_address_that_a_rule_reaches(daemon, ground, family):
    holder = ground.spawn(
        [PYTHON, "-I", "-c", f"{DATAGRAMS}{WAITS}"],
        cgroup="services/proxy", stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert holder.stdout.readline() == "ready\n"
    daemon.start({"job": job_policy(ground, family, allow=[rule("here", family.host, ["any"])])})
    report = look(daemon)
    assert report.state("doors.loopback") == "open"
    assert "3129/udp" in report.detail("doors.loopback")


def test_forwarding(daemon, ground):
    daemon.start({"job": job_policy(ground, IPV4)})
    ground.stack.callback(ground.forwarding, False)
    for name in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
        ground.forwarding(False)
        assert look(daemon).state("path.forwarding") == "absent"
        ground.host.sysctl(name, "1")
        assert look(daemon).state("path.forwarding") == "open"
    daemon.stop()
    daemon.configure(unidentified="deny")
    daemon.start({"job": job_policy(ground, IPV4)})
    assert look(daemon).state("path.forwarding") == "enforced"


def test_without_privileges_it_says_what_it_could_not_see(started, ground):
    ground.agent(JOB, uid=1001)
    somebody = ground.agent(uid=1500).runner
    report = look(started, runner=somebody)
    for name in ("daemon.table", "daemon.ownership", "kernel.queue", "kernel.cgroup-ids", "path.foreign-tables"):
        assert report.state(name) == "unknown", report.checks[name]
    assert "Status is for root" in report.detail("daemon.running")
    assert report.state("path.capabilities") == report.state("doors.groups") == "unknown"
    assert report.state("policy.files") == "enforced"
    assert report.status == 1


def test_who_can_look_at_nothing_has_a_status_of_its_own(started, ground):
    argv = [str(started.lab.egressd), "coverage", "--json", "--config", "/nonexistent"]
    status, output, _ = ground.agent(uid=1500).runner(argv)
    assert status == 4
    assert {check["state"] for check in json.loads(output)["checks"] if check["group"] == "policy"} == {"unknown"}


def test_a_workload_may_look_and_learns_nothing_from_the_daemon(started, ground):
    report = look(started, runner=ground.agent(JOB, uid=0).runner)
    assert "belongs to a workload" in report.detail("daemon.running")
    assert report.state("daemon.record") == "unknown"


def test_text_and_usage(started):
    status, output, _ = run(started)
    assert status == 1
    assert "\x1b" not in output, "no colours in a pipe"
    assert "\nThe daemon\n  enforced  the daemon" in output
    assert "\n  OPEN      " in output
    assert "residual" in output.splitlines()[-1]
    for words in (("--nonsense",), ("word",)):
        status, output, errors = run(started, *words)
        assert (status, output) == (2, "") and "unknown argument" in errors
    status, output, _ = run(started, "--help")
    assert status == 0 and output.startswith("usage: egressd coverage")
