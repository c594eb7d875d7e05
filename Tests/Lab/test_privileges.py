"""The daemon as its unit runs it: a user of its own, two capabilities, and a helper that makes its sockets."""

import array
import os
import pathlib
import signal
import socket
import subprocess
import time

import pytest
from conftest import JOB, job_policy
from daemon import policy, rule
from families import IPV4
from lab import PYTHON, end
from names_checks import ask, code, eventually, named_policy, resolve
from names_world import asker, names_world, site, world  # noqa: F401
from names_world import daemon as named_daemon  # noqa: F401
from resources import alarms, warned

OWN_USER = 1777
HELPER = "system.slice/egressd-sockets.service"


class Helper:
    """`egressd sockets` in a cgroup of its own."""

    def __init__(self, ground, directory: pathlib.Path):
        self.ground = ground
        self.path = directory / "sockets"
        self.start()

    def start(self, limit: int = 1024) -> None:
        """Starts it; it may have this many descriptors, until `prlimit` says something else."""
        words = ["prlimit", f"--nofile={limit}:1024", str(self.ground.egressd), "sockets", "--listen", str(self.path)]
        self.process = self.ground.spawn(words, cgroup=HELPER, uid=OWN_USER)
        eventually(self.listens, 15, "the helper listens")

    def connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connection.settimeout(5)
        connection.connect(str(self.path))
        return connection

    def listens(self) -> bool:
        try:
            self.connect().close()
        except OSError:
            return False
        return True

    def descriptors(self) -> set[int]:
        return set(map(int, os.listdir(f"/proc/{self.process.pid}/fd")))

    def end(self) -> None:
        end(self.process)


@pytest.fixture
def helper(ground, daemon):
    os.chown(daemon.directory, OWN_USER, OWN_USER)
    made = Helper(ground, daemon.directory)
    yield made
    made.end()


@pytest.fixture
def modest(daemon, helper):
    os.chown(daemon.state, OWN_USER, OWN_USER)
    daemon.options = ["--sockets", str(helper.path)]
    daemon.runs_as = {"uid": OWN_USER, "capabilities": ("net_admin", "sys_ptrace")}
    return daemon


def allow_descriptors(process, count: int | str) -> None:
    """How many it may have from now on. Its own user may say so, which root may not everywhere."""
    as_itself = ["setpriv", f"--reuid={OWN_USER}", f"--regid={OWN_USER}", "--clear-groups"]
    subprocess.run([*as_itself, "prlimit", f"--pid={process.pid}", f"--nofile={count}:"], check=True)


def capabilities(process) -> int:
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    return int(status.split("CapEff:")[1].split()[0], 16)


def test_with_two_capabilities_it_knows_who_asks(ground, modest, family):
    modest.start({"job": job_policy(ground, family)})
    assert capabilities(modest.process) == 1 << 12 | 1 << 19
    assert "cgroups: followed" in modest.log()
    job = ground.agent(JOB, uid=1001, environment={"SLURM_JOB_ID": "88123"})
    assert job.tcp(family.storage, 443)["ok"]
    assert not job.tcp(family.stranger, 22)["ok"]
    event = modest.wait_event(to=family.stranger, port=22, verdict="deny")
    process = event["process"]
    assert event["workload"] == "job" and event["reason"] == "unknown-destination"
    assert (process["uid"], process["executable"], process["pid"]) == (1001, PYTHON, job.process.pid)
    assert process["command"][0] == PYTHON and process["cgroup"].endswith("/" + JOB)
    assert event["context"] == {"SLURM_JOB_ID": "88123"}


def test_with_two_capabilities_a_program_is_certain(ground, modest, family):
    allow = [rule("one-program", family.stranger, [443], executable=PYTHON)]
    modest.start({"job": job_policy(ground, family, allow=allow)})
    job = ground.agent(JOB, uid=1001)
    assert job.tcp(family.stranger, 443)["ok"]
    # exec(2) is noticed: the same process runs another program.
    done = job.run("/bin/bash", "-c", f"exec 3<>/dev/tcp/{family.stranger}/443")
    assert done["status"] != 0
    assert modest.wait_event(to=family.stranger, port=443, verdict="deny")["reason"] == "wrong-executable"


def test_new_cgroups_are_known_at_once(ground, modest, family):
    allow = [rule("storage", family.storage_prefix, [443])]
    glob = ground.glob("training.slice/job@*.service")
    modest.start({"job": policy("job", glob, user=1001, allow=allow)})
    for number in range(20):
        # Below it too: what is allowed there is allowed to a cgroup whose path is known.
        for unit in (f"training.slice/job@{number}.service", f"training.slice/job@{number}.service/inner"):
            other = ground.agent(unit, uid=1001)
            assert other.tcp(family.storage, 443)["ok"], unit
            other.close()


WATCHER = """
import ctypes, errno, itertools, os
libc = ctypes.CDLL(None, use_errno=True)
files = (os.path.join(folder, name).encode() for folder, _, names in os.walk("/usr") for name in names)
files = [path for path in itertools.islice(files, 20_000) if not os.path.islink(path)]
# Each instance may watch the same files again.
while (instance := libc.inotify_init1(0)) >= 0:
    if any(libc.inotify_add_watch(instance, path, 4) < 0 and ctypes.get_errno() == errno.ENOSPC for path in files):
        break
print("full", flush=True)
input()
"""


def test_watches_that_run_out_are_said(ground, modest):
    """New cgroups are found all the same, but later; the mend is in the warning, which goes when there are watches again."""
    glob = ground.glob("training.slice/job@*.service")
    modest.start({"job": policy("job", glob, user=1001, allow=[rule("storage", IPV4.storage_prefix, [443])])})
    assert ground.agent("training.slice/job@1.service", uid=1001).tcp(IPV4.storage, 443)["ok"]
    watcher = ground.spawn(
        [PYTHON, "-I", "-c", WATCHER], uid=OWN_USER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert watcher.stdout.readline() == "full\n"
    second = ground.agent("training.slice/job@2.service", uid=1001)
    assert second.tcp(IPV4.storage, 443)["ok"]
    # Below one that is not watched nobody tells of it.
    inner = ground.agent("training.slice/job@2.service/inner/most", uid=1001)
    assert inner.tcp(IPV4.stranger, 443)["error"] == "ECONNREFUSED"
    event = modest.wait_event(to=IPV4.stranger, port=443)
    assert event["process"]["cgroup"].endswith("job@2.service/inner/most"), event

    def is_said():
        # An idle daemon looks seldom.
        inner.tcp(IPV4.stranger, next(ports))
        return warned(modest, "watched", "raise fs.inotify.max_user_watches")

    ports = iter(range(20_000, 30_000))
    eventually(is_said)
    assert len(eventually(lambda: alarms(modest, "raise fs.inotify.max_user_watches"))) == 1
    end(watcher)
    eventually(lambda: not is_said())


def test_names_are_resolved_through_the_helpers_sockets(ground, named_daemon, helper, modest, world, asker, job, site):
    world.set(("*.lab.test", site.type, 300, [site.first]))
    modest.start({"job": named_policy(ground, "*.lab.test")})
    for number in range(100):
        assert resolve(asker, site, f"a{number}.lab.test") == [site.first]
    assert code(ask(asker, site, "evil.example")) == "REFUSED"
    assert resolve(asker, site, "tcp.lab.test", transport="tcp") == [site.first]
    eventually(lambda: len(world.queries()) >= 101)

    helper.process.send_signal(signal.SIGKILL)
    eventually(lambda: "helper that makes sockets is gone" in modest.log())
    assert modest.wait_event(kind="alarm")["message"].endswith("names are not resolved until it is back")
    assert job.tcp(site.first, 443)["ok"], "what was resolved stays"
    helper.start()
    eventually(lambda: "names are resolved" in modest.log())
    for number in range(100):
        assert resolve(asker, site, f"b{number}.lab.test") == [site.first]
    assert resolve(asker, site, "again.lab.test", transport="tcp") == [site.first]


def test_a_helper_that_hangs_does_not_stop_the_daemon(ground, named_daemon, helper, modest, world, asker, site):
    world.set(("*.lab.test", site.type, 300, [site.first]))
    modest.start({"job": named_policy(ground, "*.lab.test")})
    resolve(asker, site, "first.lab.test")
    helper.process.send_signal(signal.SIGSTOP)
    questions = [[f"c{number}.lab.test", site.type] for number in range(200)]
    waiting = asker.begin("ask", server=site.resolver, timeout=8, questions=questions)
    begin = time.monotonic()
    modest.ctl("status")
    assert time.monotonic() - begin < 2
    helper.process.send_signal(signal.SIGCONT)
    assert {code(one) for one in waiting.wait()["answers"]} <= {"NOERROR", "SERVFAIL", "timeout"}
    eventually(lambda: code(ask(asker, site, "later.lab.test")) == "NOERROR")


def test_a_helper_that_had_no_descriptor_left_is_asked_again(named_daemon, helper, modest, ground, world, asker, site):
    world.set(("*.lab.test", site.type, 300, [site.first]))
    modest.start({"job": named_policy(ground, "*.lab.test")})
    resolve(asker, site, "first.lab.test")
    taken = helper.descriptors()
    helper.process.send_signal(signal.SIGKILL)
    eventually(lambda: "helper that makes sockets is gone" in modest.log(), 3)
    # There is room for the connection of the daemon, and for nothing else.
    helper.start(limit=max(taken) + 1)
    eventually(lambda: helper.descriptors() == taken and time.sleep(0.3) is None and helper.descriptors() == taken, 5)
    assert "names are resolved" not in modest.log()
    allow_descriptors(helper.process, 1024)
    eventually(lambda: "names are resolved" in modest.log(), 5)
    assert resolve(asker, site, "later.lab.test") == [site.first]


def test_the_helper_makes_sockets_and_nothing_else(helper):
    connection = helper.connect()
    for family, number in ((4, socket.AF_INET), (6, socket.AF_INET6)):
        for kind, type_ in ((1, socket.SOCK_DGRAM), (2, socket.SOCK_STREAM)):
            connection.send(bytes([family, kind, 3]))
            answer, passed, *_ = connection.recvmsg(16, socket.CMSG_SPACE(128))
            assert answer == bytes([family, kind, 3])
            for descriptor in array.array("i", passed[0][2]):
                with socket.socket(fileno=descriptor) as made:
                    assert (made.family, made.type) == (number, type_)
                    assert made.proto == (socket.IPPROTO_UDP if kind == 1 else socket.IPPROTO_TCP)
    for wrong in (b"\x05\x01\x01", b"\x04\x03\x01", b"\x04\x01\x21", b"\x04\x01", b"\x04\x01\x01\x00", bytes(4000)):
        connection = helper.connect()
        connection.send(wrong)
        assert connection.recv(16) == b"", wrong
    assert helper.process.poll() is None and helper.listens()


def test_without_its_helper_it_does_not_start(ground, modest, family, helper):
    helper.end()
    modest.write({"job": job_policy(ground, family)})
    assert modest.launch().wait(15) == 1
    assert "no sockets from" in modest.log() and "start egressd-sockets.socket" in modest.log()
