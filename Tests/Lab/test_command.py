"""What the command line says and how it ends, whatever it is asked for."""

import json
import os
import re
import signal
import subprocess
import time

import pytest
from conftest import job_policy
from daemon import policy, rule
from families import IPV4

FULL = "egressd: cannot write: No space left on device\n"


def egressd(ground, *words, output=subprocess.PIPE, **keys):
    """Runs the command; its status and what it said."""
    argv = [str(ground.egressd), *map(str, words)]
    done = subprocess.run(
        argv, stdout=output, stderr=subprocess.PIPE, text=True, check=False, timeout=30, **keys
    )
    return done.returncode, done.stdout, done.stderr


def test_what_cannot_be_written_is_said(started, ground):
    calls = ["status", "requests", "workloads", "grants", "log", "log --follow", "log --json", "names"]
    control = [["ctl", "--socket", started.socket, *call.split()] for call in calls]
    control.append(["ctl", "--json", "--socket", started.socket, "requests"])
    folder = started.policies
    rest = ["policy compile", "policy check", "policy check --json", "policy explain"]
    policies = [[*words.split(), folder] for words in rest]
    policies[-1] += ["job", f"{IPV4.storage}:443"]
    for words in [*control, *policies, ["--help"], ["version"], ["ctl", "--help"]]:
        with open("/dev/full", "wb") as full:
            assert egressd(ground, *words, output=full) == (1, None, FULL), words


def test_a_reader_that_is_gone_is_no_error(started, ground):
    """With SIGPIPE, as in a shell, and where it is ignored, as in many a service."""
    for ignores in ("", "trap '' PIPE; "):
        script = f'{ignores}{{ "$@"; echo "status $?" >&2; }} | true'
        argv = ["bash", "-c", script, "bash", str(ground.egressd), "policy", "compile", str(started.policies)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)
        assert done.stderr in ("status 0\n", "status 141\n"), done.stderr


def test_following_ends_with_its_reader(started, ground):
    reading, writing = os.pipe()
    argv = [str(ground.egressd), "ctl", "--socket", str(started.socket), "log", "--follow"]
    with subprocess.Popen(argv, stdout=writing, stderr=subprocess.PIPE, text=True) as follower:
        os.close(writing)
        assert os.read(reading, 10)
        os.close(reading)
        try:
            # No event comes any more that it could fail to write.
            assert (follower.wait(5), follower.stderr.read()) == (0, "")
        finally:
            follower.kill()


def test_a_stuck_daemon_is_not_waited_for_for_ever(started, ground):
    started.process.send_signal(signal.SIGSTOP)
    try:
        begun = time.monotonic()
        calls = [["log"], ["names"], ["log", "--json", "--since", "1h"]]
        argv = [[str(ground.egressd), "ctl", "--socket", str(started.socket), *words] for words in calls]
        asked = [subprocess.Popen(words, stderr=subprocess.PIPE, text=True) for words in argv]
        for process in asked:
            assert process.communicate(timeout=60)[1].endswith("it does not answer\n")
            assert process.returncode == 3
        assert 25 < time.monotonic() - begun < 50
    finally:
        started.process.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("owner", ["auto", "off"])
def test_the_table_is_not_taken_from_a_daemon_that_runs(daemon, ground, job, owner):
    daemon.configure(owner=owner)
    daemon.start({"job": job_policy(ground, IPV4)})

    def undo(configuration):
        argv = [ground.egressd, "boot", "--undo", "--config", configuration]
        done = subprocess.run(
            ["nsenter", f"--net={ground.host.path}", *argv], capture_output=True, text=True, check=False, timeout=30
        )
        return done.returncode, done.stdout + done.stderr

    refused = (1, "egressd: the daemon runs, or is about to: systemctl stop egressd first\n")
    assert undo(daemon.configuration) == refused
    if "is owned and persists" in daemon.log():
        assert undo("/nonexistent") == refused, "whatever the configuration says"
    assert job.tcp(IPV4.stranger, 443)["error"] == "ECONNREFUSED"
    daemon.stop()
    status, said = undo(daemon.configuration)
    assert status == 0 and "nothing is refused any more" in said
    assert job.tcp(IPV4.stranger, 443)["ok"]


def test_help_and_version(ground):
    for command in ("run", "sockets", "boot", "policy", "coverage", "ctl", "version"):
        shown = egressd(ground, command, "--help")
        assert shown[0] == 0 and shown[1].startswith("usage:")
        assert egressd(ground, "help", command) == shown
    assert egressd(ground, "help") == egressd(ground, "--help")
    status, output, _ = egressd(ground, "version", "--json")
    assert status == 0 and egressd(ground, "version") == (0, f"egressd {json.loads(output)['version']}\n", "")
    for words in (["help", "foo"], ["help", "ctl", "log"], ["version", "extra"], ["--help", "foo"]):
        status, output, errors = egressd(ground, *words)
        assert (status, output) == (2, "") and "unknown" in errors, words


def test_what_has_no_json_says_so(daemon, ground):
    daemon.write({"job": job_policy(ground, IPV4)})
    status, output, errors = egressd(ground, "policy", "compile", "--json", daemon.policies)
    assert (status, output) == (2, "") and "it has no --json" in errors


def test_an_explanation_names_the_program(daemon, ground):
    rules = [rule("fetch", IPV4.stranger, [443], executable="/usr/bin/fetch"),
             rule("site", "a.example", [443], executable="/usr/bin/curl"), rule("plain", IPV4.stranger, [80])]  # fmt: skip
    daemon.write({"job": policy("job", "a.slice", allow=rules)})

    def explain(to, *words):
        status, output, errors = egressd(ground, "policy", "explain", *words, daemon.policies, "job", to)
        return status, output.splitlines() or errors

    status, lines = explain(f"{IPV4.stranger}:443")
    assert (status, lines[0]) == (0, "allow: rule (fetch), for /usr/bin/fetch alone")
    assert lines[1] == "  allow fetch: needs-executable /usr/bin/fetch"
    status, lines = explain("a.example:443")
    assert (status, lines[0]) == (0, "allow: rule (site), for /usr/bin/curl alone")
    assert lines[2] == "  allow site: needs-protocol tls, for /usr/bin/curl alone"
    assert explain(f"{IPV4.stranger}:80")[1][0] == "allow: rule (plain)"
    status, lines = explain(f"{IPV4.stranger}:443", "--executable", "/usr/bin/fetch")
    assert (status, lines[0]) == (0, "allow: rule (fetch)")
    status, lines = explain(f"{IPV4.stranger}:443", "--executable", "/usr/bin/ssh")
    assert (status, lines[0]) == (1, "deny: wrong-executable (fetch)")
    assert lines[1] == "  allow fetch: other-executable /usr/bin/fetch"
    answer = json.loads("".join(explain(f"{IPV4.stranger}:443", "--json")[1]))
    assert answer["executables"] == ["/usr/bin/fetch"] and answer["rules"][0]["executable"] == "/usr/bin/fetch"
    assert explain(f"{IPV4.stranger}:443", "--executable", "fetch")[0] == 2
    status, said = explain("[2001:db8::1]")
    assert status == 2 and "has no port" in said


def test_a_question_that_is_none_is_named_by_its_line(daemon, ground):
    daemon.write({"job": job_policy(ground, IPV4)})
    right = json.dumps({"cgroup": "/a", "to": "203.0.113.9:22"})
    for wrong in ('{"cgroup": "/a"}', "nonsense"):
        status, output, errors = egressd(
            ground, "policy", "explain", "--policies", daemon.policies, "--batch", input=f"{right}\n\n{wrong}\n"
        )
        assert status == 2 and len(output.splitlines()) == 1 and "line 3: " in errors


def test_the_socket_of_an_empty_variable_is_the_default(ground):
    default = egressd(ground, "ctl", "status", env={"PATH": os.environ["PATH"]})
    assert default[0] == 3 and "/run/egressd/control.sock" in default[2]
    assert egressd(ground, "ctl", "status", env={"EGRESSD_SOCKET": ""}) == default
    status, _, errors = egressd(ground, "ctl", "--socket", "", "status")
    assert status == 2 and "--socket needs a path" in errors


def test_a_workload_that_is_not_in_force_is_told_of(started):
    note = "egressd: no workload 'jobb' in force\n"
    assert started.ctl("log", "--workload", "jobb", check=False) == (0, "", note)
    assert started.ctl("names", "--workload", "jobb", check=False) == (0, '{"names":[]}\n', note)
    for call in ("log", "names"):
        assert started.ctl(call, "--workload", "job", check=False)[2] == ""


def test_times_say_that_they_are_utc(started):
    request = str(started.request_for(IPV4.stranger, 443)["request"])
    assert "LAST (UTC)" in started.ctl("requests", json_output=False)
    assert re.search(r"until .* UTC$", started.ctl("approve", request, "--for", "1h", json_output=False).strip())
    assert "EXPIRES (UTC)" in started.ctl("grants", json_output=False)
    lines = started.ctl("log", json_output=False).splitlines()
    assert lines and all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ ", line) for line in lines)


def test_whoever_may_not_run_it_is_told_first(daemon, ground):
    """Not that some file cannot be read."""
    daemon.write({"job": job_policy(ground, IPV4)})
    argv = [str(ground.egressd), "run", "--config", str(daemon.configuration)]
    status, output, errors = ground.agent(uid=1500).runner(argv)
    assert status == 1 and "CAP_NET_ADMIN is missing: run as root" in (output + errors).splitlines()[0]


def test_a_configuration_of_comments_alone_is_the_default(ground, tmp_path):
    """Every key of the one that comes with the package may be left out."""
    configuration = tmp_path / "egressd.yaml"
    configuration.write_text("# mode: observe\n")
    argv = [str(ground.egressd), "coverage", "--json", "--config", str(configuration)]
    done = subprocess.run(
        ["nsenter", f"--net={ground.host.path}", *argv], capture_output=True, text=True, check=False, timeout=30
    )
    checks = {check["id"]: check for check in json.loads(done.stdout)["checks"]}
    assert checks["daemon.mode"]["detail"] == "enforce, says the configuration"
