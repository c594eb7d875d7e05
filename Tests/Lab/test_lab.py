"""The lab itself: it can reach what it must, sees what leaves, and goes without a trace."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest
from conftest import JOB
from lab import HERE
from test_inbound import silence_refusals
from test_marks import count_marks, counted


def test_without_the_daemon_everything_passes(ground, job, family):
    """Else the denials of the other tests would prove nothing."""
    with ground.capture() as capture:
        for address in (family.storage, family.secret, family.stranger, family.other, family.third, family.metadata):
            assert job.tcp(address, 443)["ok"]
            assert job.udp(address, 443, timeout=15)["ok"]
        assert capture.find(destination=family.metadata, destination_port=443)
    assert ground.outsider().tcp(family.host, 9, timeout=1)["error"] == "ECONNREFUSED"


def test_agents_are_where_they_should_be(ground, job):
    facts = pathlib.Path(f"/proc/{job.pid}/cgroup").read_text()
    assert f"0::/{ground.glob(JOB)}" in facts
    assert os.stat(f"/proc/{job.pid}/ns/net").st_ino == os.stat(ground.host.path).st_ino
    assert "\nUid:\t1001\t1001" in pathlib.Path(f"/proc/{job.pid}/status").read_text()


def test_a_forger_really_sets_its_mark(ground):
    forger = ground.agent(JOB, uid=1001, capabilities=("net_raw",))
    count_marks(ground, "0x42000000")
    assert forger.tcp("203.0.113.9", 443, mark=0x42000000)["ok"]
    assert counted(ground) > 0


def test_handmade_segments_really_leave(ground, family):
    import packets

    forger = ground.agent(JOB, uid=1001, capabilities=("net_raw",))
    segment = packets.tcp(family.host, family.stranger, (5605, 443), 24, b"handmade")
    with ground.capture() as capture:
        if family.name == "ipv4":
            whole = packets.ip(family.host, family.stranger, 6, segment)
            sent = forger.do("raw", to=family.stranger, packet=whole.hex(), header=True)
        else:
            sent = forger.do("raw", to=family.stranger, packet=segment.hex(), protocol=6)
        assert sent["ok"], sent
        seen = capture.wait(payload=b"handmade")
        assert seen and (seen[0].destination_port, seen[0].flags) == (443, "PA")


def test_simultaneous_open_really_works(ground, job, family):
    outsider = ground.outsider()
    silence_refusals(ground)
    ours = job.begin("simultaneous", to=[family.world, 6003], source=[family.host, 5603], timeout=30)
    theirs = outsider.begin("simultaneous", to=[family.host, 5603], source=[family.world, 6003], timeout=30)
    assert ours.wait()["ok"] and theirs.wait()["ok"]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_it_goes_without_a_trace(how):
    process = subprocess.Popen(
        [sys.executable, HERE / "lab.py"], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        while "Ctrl-C" not in process.stdout.readline():
            assert process.poll() is None
        assert traces(process.pid)
        process.send_signal(how)
        process.wait(20)
    finally:
        process.kill()
        process.stdout.close()
    if how == signal.SIGKILL:
        from namespaces import sweep_stale

        assert sweep_stale()
    deadline = time.monotonic() + 15
    while traces(process.pid):
        assert time.monotonic() < deadline, traces(process.pid)
        time.sleep(0.05)


def traces(pid):
    from namespaces import cgroup_mount

    return [
        *pathlib.Path("/run/netns").glob(f"egressd-{pid}-*"),
        *cgroup_mount().glob(f"egressd-lab-{pid}"),
        *pathlib.Path("/tmp").glob(f"egressd-lab-{pid}-*"),
    ]
