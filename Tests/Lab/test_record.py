"""The event: who tried what, with which program, and how often."""

import contextlib
import json
import sqlite3
import subprocess
import time

import pytest
from conftest import JOB, SEED, job_policy
from daemon import rule
from families import FAMILIES, IPV4
from lab import PYTHON, SSH_UID, SSH_USER
from names_checks import eventually


def test_a_real_reverse_tunnel_is_refused_named_approved_and_revoked(ground, daemon, family):
    """The case that all of this is for, with OpenSSH on both ends."""
    from daemon import policy

    cgroup = "training.slice/llm-pretrain@1.service"
    text = policy(
        "llm-pretrain",
        ground.glob("training.slice/llm-pretrain@*.service"),
        user=SSH_USER,
        allow=[rule("storage", family.storage_prefix, [443])],
    )
    server = ground.sshd(next_port())
    daemon.start({"llm-pretrain": text})
    job = ground.agent(cgroup, uid=SSH_UID, environment={"SLURM_JOB_ID": "88123", "RL_STEP": "5012"})
    job.do("serve", at=["127.0.0.1", 6100])
    environment = {"SLURM_JOB_ID": "88123", "RL_STEP": "5012", "SECRET_TOKEN": "never-in-the-record"}

    def tunnel(port):
        return server.reverse_tunnel(family.stranger, port, 6100, cgroup, uid=SSH_UID, environment=environment)

    with ground.capture() as capture:
        first = tunnel(9100)
        started = time.monotonic()
        assert first.wait(10) == 255
        assert time.monotonic() - started < 5, "at once, not by ssh's timeout"
        assert "Connection refused" in first.stderr.read()
        assert capture.find(destination=family.stranger) == []
    event = daemon.wait_event(to=family.stranger, port=server.port)
    assert (event["verdict"], event["reason"]) == ("deny", "unknown-destination")
    assert (event["workload"], event["finding"]) == ("llm-pretrain", "reverse-ssh-tunnel")
    process = event["process"]
    assert process["executable"] == "/usr/bin/ssh" and process["uid"] == SSH_UID
    assert process["command"][0].endswith("ssh") and "-R" in process["command"]
    assert process["cgroup"] == f"/{ground.glob(cgroup)}"
    assert event["context"] == {"SLURM_JOB_ID": "88123", "RL_STEP": "5012"}
    assert "never-in-the-record" not in json.dumps(event)
    assert event["latencyMicroseconds"] >= 0 and event["destination"]["transport"] == "tcp"

    grant = daemon.approve(family.stranger, server.port)
    second = tunnel(9101)
    wait_listening(ground, 9101, second)
    assert through_tunnel(ground, 9101) == "hi\n"
    with ground.capture() as capture:
        begun = time.monotonic()
        daemon.ctl("revoke", str(grant))

        def ends():
            seen = capture.find(protocol=6, destination=family.stranger, destination_port=server.port)
            return [one.at for one in seen if set("FR") & set(one.flags)]

        assert eventually(ends, 15, "the far end is told")[0] - begun <= 1
    assert second.wait(15) == 255
    eventually(lambda: not is_listening(ground, 9101), 15, "the far end still holds the tunnel")
    third = tunnel(9102)
    assert third.wait(10) == 255


_ports = iter(range(2300, 2400))


def next_port():
    return next(_ports)


def is_listening(ground, port):
    return "127.0.0.1" in ground.world_ns.command("ss", "-tlnH", f"sport = :{port} and src 127.0.0.1")


def wait_listening(ground, port, process):
    deadline = time.monotonic() + 10
    while not is_listening(ground, port):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline, "the tunnel does not stand"
        time.sleep(0.02)


def through_tunnel(ground, port):
    return ground.outsider().tcp("127.0.0.1", port)["greeting"]


def test_repetitions_are_refused_in_the_kernel_and_counted_exactly(ground, daemon, job, basic, family):
    daemon.start(basic)
    job.tcp(family.stranger, 443)
    outcome = job.do("repeat", to=[family.stranger, 443], count=199, timeout=2)
    assert outcome["outcomes"] == {"ECONNREFUSED": 199}

    def total():
        return sum(event.get("count", 1) for event in daemon.events(to=family.stranger, port=443))

    # The window is as long for both families: one of them waits for its end, for the other the daemon's is enough.
    if FAMILIES[SEED % 2] is family:
        eventually(lambda: total() >= 200, 30, "all are counted")
    else:
        daemon.stop()
        daemon.start()
    assert total() == 200
    assert len(daemon.events(to=family.stranger, port=443)) < 50, "each repetition was a line of its own"
    assert daemon.request_for(family.stranger, 443)["count"] == 200


def test_the_count_is_written_down_when_the_daemon_ends(ground, daemon, job, basic, family):
    daemon.start(basic)
    assert job.do("repeat", to=[family.stranger, 443], count=50, timeout=2)["outcomes"] == {"ECONNREFUSED": 50}
    daemon.stop()
    daemon.start()
    assert sum(event.get("count", 1) for event in daemon.events(to=family.stranger, port=443)) == 50


def test_repetitions_bear_no_program_but_the_first(ground, daemon, job, basic, family):
    """What another program tries within the window is not told of as the first one's."""
    daemon.start(basic)
    assert job.tcp(family.stranger, 22)["error"] == "ECONNREFUSED"
    job.close()
    other = ground.agent(JOB, uid=1001)
    assert other.tcp(family.stranger, 22)["error"] == "ECONNREFUSED"
    daemon.stop()
    daemon.start()
    first, second = daemon.events(to=family.stranger, port=22)
    assert first["process"]["pid"] == job.pid and "message" not in first
    assert {"process", "context", "finding", "latencyMicroseconds"}.isdisjoint(second), second
    assert second["message"] == "repetitions within 10 s, refused by the kernel: their programs are not known"
    assert [second[key] for key in ("workload", "reason", "request")] == ["job", "unknown-destination", first["request"]]


def test_only_the_first_allowed_packet_of_a_connection_is_an_event(ground, daemon, job, family):
    daemon.start({"job": job_policy(ground, family, allow=[rule("one", family.other, [443], executable=PYTHON)])})
    connection = job.tcp(family.other, 443, keep=True)
    for _ in range(5):
        assert job.echo(connection["handle"])["ok"]
    daemon.wait_event(to=family.other, port=443, verdict="allow")
    time.sleep(0.3)
    assert len(daemon.events(to=family.other, port=443)) == 1


def test_the_log_can_be_asked(ground, daemon, job, basic, family):
    daemon.start(basic)
    job.tcp(family.stranger, 443)
    daemon.wait_event(to=family.stranger, port=443)
    everything = daemon.ctl("log")
    assert [event["seq"] for event in everything] == sorted(event["seq"] for event in everything)
    assert all(event["workload"] == "job" for event in daemon.ctl("log", "--workload", "job"))
    assert daemon.ctl("log", "--workload", "nobody") == []
    denied = daemon.ctl("log", "--verdict", "deny")
    assert denied and all(event["verdict"] == "deny" for event in denied)
    assert len(daemon.ctl("log", "--limit", "1")) == 1
    assert daemon.ctl("log", "--since", "10m") == everything
    plain = daemon.ctl("log", json_output=False)
    assert family.stranger in plain and "unknown-destination" in plain


def test_the_log_can_be_followed(ground, daemon, job, basic, family):
    daemon.start(basic)
    follower = subprocess.Popen(
        [ground.egressd, "ctl", "--socket", daemon.socket, "--json", "log", "--follow"],
        stdout=subprocess.PIPE,
        text=True,
    )
    ground.stack.callback(follower.wait)
    ground.stack.callback(follower.kill)
    time.sleep(0.5)
    job.tcp(family.stranger, 8443)
    deadline = time.monotonic() + 5
    for line in follower.stdout:
        event = json.loads(line)
        if (event.get("destination") or {}).get("port") == 8443:
            break
        assert time.monotonic() < deadline
    assert event["destination"]["address"] == family.stranger


@pytest.mark.parametrize("follows", [False, True], ids=["once", "follow"])
def test_a_long_log_is_told_whole(ground, daemon, job, follows):
    """More than may wait for a client to read it, and a client that reads slowly."""
    daemon.start({"job": job_policy(ground, IPV4)})
    job.tcp(IPV4.stranger, 443)
    daemon.wait_event(to=IPV4.stranger, port=443)
    daemon.stop()
    with contextlib.closing(sqlite3.connect(daemon.state / "egressd.db")) as database:
        database.execute(
            "WITH RECURSIVE more(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM more WHERE n < 40000) "
            "INSERT INTO events (time, kind, verdict, workload, body, name) "
            "SELECT time, kind, verdict, workload, body, name FROM more, (SELECT * FROM events WHERE verdict = 'deny' LIMIT 1)"
        )
        database.commit()
    daemon.start()
    argv = [ground.egressd, "ctl", "--socket", daemon.socket, "--json", "log", "--limit", "100000"]
    reader = subprocess.Popen(
        [*argv, *(["--follow"] if follows else [])], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    ground.stack.callback(reader.wait)
    ground.stack.callback(reader.kill)
    time.sleep(1)
    assert job.tcp(IPV4.storage, 443)["ok"], "it waits for its reader"
    numbers = [json.loads(reader.stdout.readline())["seq"] for _ in range(40_000)]
    assert numbers == list(range(numbers[0], numbers[0] + 40_000))
    if not follows:
        output, errors = reader.communicate(timeout=30)
        assert reader.returncode == 0 and errors == "", errors
        assert len(output.splitlines()) < 10
        return
    # What comes meanwhile follows.
    job.tcp(IPV4.stranger, 8443)
    while (json.loads(reader.stdout.readline()).get("destination") or {}).get("port") != 8443:
        pass


def test_an_odd_command_line_stays_one_line(ground, daemon, basic, family):
    daemon.start(basic)
    code = f"import socket; socket.socket(socket.{family.constant.name}).connect(('{family.stranger}', 8000))"
    odd = ["new\nline", "esc\x1b[31m", "\udcff\udcfe", "x" * 60_000]
    process = ground.spawn([PYTHON, "-I", "-c", code, *odd], cgroup=JOB, uid=1001, stderr=subprocess.DEVNULL)
    assert process.wait(10) != 0
    event = daemon.wait_event(to=family.stranger, port=8000)
    assert any("new\nline" in argument for argument in event["process"]["command"])
    assert len(json.dumps(event)) < 40_000
    assert "\x1b" not in daemon.ctl("log", json_output=False)


def test_the_process_that_forked_away_is_named(ground, daemon, basic, family):
    """A double fork, setsid, and exec: identity stays with the cgroup."""
    daemon.start(basic)
    script = f"(setsid {PYTHON} -I -c \"import socket; socket.create_connection(('{family.stranger}', 8000), 3)\" &) &"
    ground.spawn(["sh", "-c", script], cgroup=JOB, uid=1001, stderr=subprocess.DEVNULL).wait(10)
    event = daemon.wait_event(5, to=family.stranger, port=8000)
    assert (event["workload"], event["verdict"]) == ("job", "deny")
    assert event["process"]["executable"] == PYTHON
