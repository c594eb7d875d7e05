"""Who may do what on the control socket, and the protocol it speaks."""

import json
import os
import subprocess
import sys

from conftest import JOB
from families import IPV4
from lab import ROOT

STAFF, GAMES = 50, 60  # the groups that the lab's configuration names: approver, viewer


def as_user(ground, gid):
    return ground.agent(uid=1500, gid=gid).runner


def test_status_and_workloads(started):
    status = started.ctl("status")
    assert isinstance(status, dict) and status
    names = json.dumps(started.ctl("workloads"))
    assert '"job"' in names
    assert "job" in started.ctl("workloads", json_output=False)


def test_a_caller_in_a_workloads_cgroup_is_refused_whatever_its_user(started, ground):
    for uid in (0, 1001):
        insider = ground.agent(f"{JOB}/deep", uid=uid)
        for call in (("status",), ("approve", "1", "--for", "1h", "--reason", "me"), ("grants",)):
            status, output, errors = started.ctl(*call, check=False, runner=insider.runner)
            assert status == 4, (uid, call, status, output, errors)
    assert started.ctl("grants")["grants"] == []
    started.wait_event(kind="control")


def test_a_helper_forked_into_a_workloads_cgroup_is_refused(started, ground):
    mover = ground.agent("elsewhere")
    assert mover.do("move", cgroup=str(ground.cgroups.root / JOB))["ok"]
    assert started.ctl("status", check=False, runner=mover.runner)[0] == 4


def test_a_viewer_looks_and_does_not_touch(started, ground):
    viewer = as_user(ground, GAMES)
    for call in ("status", "requests", "grants", "log", "workloads"):
        assert started.ctl(call, check=False, runner=viewer)[0] == 0, call
    request = str(started.request_for(IPV4.stranger, 443)["request"])
    for call in (("approve", request, "--for", "1h", "--reason", "no"), ("revoke", "1"), ("reload",)):
        assert started.ctl(*call, check=False, runner=viewer)[0] == 4, call
    assert started.ctl("grants")["grants"] == []


def test_an_approver_approves(started, ground):
    approver = as_user(ground, STAFF)
    request = str(started.request_for(IPV4.stranger, 443)["request"])
    done = started.ctl("approve", request, "--for", "1h", "--reason", "new mirror", check=False, runner=approver)
    assert done[0] == 0, done
    grant = started.ctl("grants")["grants"][0]
    assert grant["workload"] == "job"
    assert "new mirror" in json.dumps(grant)
    assert started.ctl("revoke", str(grant["grant"]), check=False, runner=approver)[0] == 0
    assert started.wait_event(kind="grant")["actor"]


def test_an_approval_and_its_end_are_told_whole(started, job):
    """What was approved and for how long; and which approval another one of the same has ended."""

    def approve(request, *flags):
        return started.ctl("approve", str(request), *flags, json_output=False)

    job.tcp(IPV4.stranger, 443)
    request = started.request_for(IPV4.stranger, 443)["request"]
    assert "takes the place" not in approve(request, "--for", "1h")
    assert approve(request, "--for", "2h").strip().endswith("; it takes the place of grant 1")
    started.wait_event(kind="grant", grant=2)
    made, ended, second = started.events(kind="grant")
    assert [event["approval"]["seconds"] for event in (made, ended, second)] == [3600, 3600, 7200]
    assert made["time"] < made["approval"]["expires"] < second["approval"]["expires"]
    assert (ended["grant"], ended["message"], ended["approval"]["replacedBy"]) == (1, "replaced by grant 2", 2), ended
    assert "verdict" not in ended and ended["actor"] == second["actor"]

    job.udp(IPV4.stranger, 53, payload=QUESTION, reply=False)
    (named,) = [one for one in started.ctl("requests")["requests"] if one["destination"].get("name")]
    approve(named["request"], "--for", "1h", "--ports", "443,8443", "--protocol", "ssh")
    approval = started.wait_event(kind="grant", grant=3)["approval"]
    assert (approval["ports"], approval["protocol"], approval["seconds"]) == (["443", "8443"], "ssh", 3600)
    assert "ports=443,8443 protocol=ssh until=2" in started.ctl("log", json_output=False)


# A question for the addresses of "x.example" (RFC 1035).
QUESTION = "\0\1\1\0\0\1\0\0\0\0\0\0\1x\7example\0\0\1\0\1"


def test_anybody_else_is_refused(started, ground):
    anybody = as_user(ground, 1500)
    for call in ("status", "requests", "log"):
        assert started.ctl(call, check=False, runner=anybody)[0] == 4, call


def test_usage_and_unreachable(started, ground):
    assert started.ctl("approve", "1", "--reason", "no end", check=False)[0] == 2
    assert started.ctl("approve", "999", "--for", "1h", "--reason", "x", check=False)[0] == 1
    assert started.ctl("revoke", "999", check=False)[0] == 1
    assert started.ctl("nonsense", check=False)[0] == 2
    assert started.ctl("approve", "1", "--for", "soon", "--reason", "x", check=False)[0] == 2
    started.stop()
    assert started.ctl("status", check=False)[0] == 3


def test_a_grant_is_checked_before_it_is_made(started, ground, job):
    job.tcp(IPV4.secret, 443)
    request = started.request_for(IPV4.secret, 443)["request"]
    status, output, errors = started.ctl("approve", str(request), "--for", "1h", "--reason", "x", check=False)
    assert status == 1, "a deny rule covers it: a grant would be without effect"
    assert "secrets" in output + errors


def test_a_reload_says_what_only_a_restart_changes(started):
    plain = started.ctl("reload", json_output=False, check=False)
    assert plain == (0, "1 workload in force\n", ""), "the policy has one"
    started.configure(mode="observe", queue=8200, owner="off")
    problem = f"{started.configuration}: 'queue', 'mode', 'owner' change only with a restart (systemctl restart egressd)"
    assert started.ctl("reload", json_output=False, check=False) == (0, "1 workload in force\n", f"egressd: {problem}\n")
    assert started.ctl("reload") == {"workloads": 1, "warnings": [problem]}
    assert started.ctl("status")["warnings"] == [problem] and started.ctl("status")["mode"] == "enforce"
    assert problem in started.log()
    # Another mistake leaves what is in force, and what is said of it.
    (started.policies / "bad.yaml").write_text("nonsense\n")
    assert started.ctl("reload", check=False)[0] == 1
    (started.policies / "bad.yaml").unlink()
    assert started.ctl("status")["warnings"] == [problem]
    started.configure()
    assert started.ctl("reload") == {"workloads": 1} and started.ctl("status")["warnings"] == []


def test_a_role_whose_group_is_not_there(daemon, ground):
    from conftest import job_policy

    daemon.configure(roles={"approver": "nosuchgroup", "viewer": "games"})
    daemon.start({"job": job_policy(ground, IPV4)})
    problem = "roles: there is no group 'nosuchgroup'"
    assert problem in daemon.log() and daemon.ctl("status")["warnings"] == [problem]
    assert daemon.ctl("reload", json_output=False, check=False)[2] == f"egressd: {problem}\n"
    daemon.configure(roles={"approver": "nosuchgroup", "viewer": "norsuch"})
    daemon.reload()
    assert daemon.ctl("status")["warnings"] == [f"{problem} and no group 'norsuch'"]
    daemon.configure(roles={"approver": "staff"})
    assert daemon.ctl("reload") == {"workloads": 1} and daemon.ctl("status")["warnings"] == []


def test_an_approval_opens_what_was_asked_for_alone(started, job):
    request = str(started.request_for(IPV4.stranger, 443)["request"])

    def approve(*words):
        return started.ctl("approve", request, "--for", "1h", *words, check=False)

    for words in (["--ports", "8443"], ["--protocol", "tls"], ["--ports", "443/udp"], ["--ports", "443,22"]):
        status, output, errors = approve(*words)
        assert (status, output) == (1, ""), words
        where = f"request {request} is for {IPV4.stranger}:443/tcp"
        assert f"{where}; --ports and --protocol are for requests by name" in errors
    status, _, errors = started.ctl("approve", request, "--for", "36500d", check=False)
    assert status == 1 and "at most 366 days; what is needed for longer belongs in the policy" in errors
    assert started.ctl("grants")["grants"] == []
    assert approve("--ports", "443/tcp", "--protocol", "any")[0] == 0
    assert job.tcp(IPV4.stranger, 443)["ok"]


def test_a_foreign_varlink_client(started):
    """The varlink package from PyPI lists the interfaces and calls."""
    code = """
import json, sys, varlink
with varlink.Client.new_with_address("unix:" + sys.argv[1]) as client:
    interfaces = [name for name in client.get_interfaces()]
    ours = [name for name in interfaces if not str(name).startswith("org.varlink")]
    assert ours, interfaces
    with client.open(str(ours[0])) as connection:
        print(json.dumps({"interfaces": [str(n) for n in interfaces], "status": connection.Status()}, default=str))
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / ".build/python")}
    done = subprocess.run(
        [sys.executable, "-c", code, str(started.socket)], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert "org.varlink.service" in answer["interfaces"]
    assert answer["status"]


def test_bad_bytes_end_only_their_own_connection(started):
    import socket

    for junk in (b"\0", b"{\0", b'{"method":5}\0', b"x" * 3_000_000, b'{"method":"org.varlink.service.GetInfo"}\0' * 3):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(started.socket))
            client.settimeout(2)
            try:
                client.sendall(junk)
                client.shutdown(socket.SHUT_WR)
                while client.recv(65536):
                    pass
            except (ConnectionError, TimeoutError, BrokenPipeError):
                pass
    assert started.ctl("status")
