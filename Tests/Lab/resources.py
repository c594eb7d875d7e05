"""What a daemon needs of its host, and how to take it away: room on the disk, a sound record, descriptors, the date."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pathlib
import re
import resource
import shutil
import socket
import sqlite3
import subprocess
import time
from typing import Any, Callable

from namespaces import LIBC, cgroup_mount

SO_RCVBUFFORCE = 33
SYS_PIDFD_GETFD = 438


def eventually(condition: Callable[[], Any], what: str, timeout: float = 10) -> Any:
    """Waits until the condition holds, and gives its value."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.05)
    return value


def warned(daemon, *words: str) -> bool:
    """Whether `ctl status` has a warning with all of these words."""
    return any(all(word in warning for word in words) for warning in daemon.control.call("Status")["warnings"])


def alarms(daemon, *words: str) -> list[dict[str, Any]]:
    """The alarms in the record with all of these words."""
    return [event for event in daemon.events(kind="alarm") if all(word in event["message"] for word in words)]


# The disk


def on_a_small_disk(ground, daemon, kilobytes: int) -> None:
    """The state directory on a tmpfs of its own, in this machine's mount namespace but below the lab's directory."""
    shutil.rmtree(daemon.state)
    daemon.state.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k,mode=0700", "egressd-lab", daemon.state], check=True
    )
    ground.stack.callback(subprocess.run, ["umount", "-l", daemon.state], check=False)
    ground.stack.callback(daemon.kill)


def on_a_disk_that_fails(ground, daemon) -> Callable[[], None]:
    """The state directory on an ext4 of its own; what is given has the kernel find it damaged and make it read-only."""
    image = ground.directory / f"disk-{daemon.state.parent.name}"
    with open(image, "wb") as file:
        file.truncate(32 << 20)
    # With a journal the error would end up there first.
    subprocess.run(["mkfs.ext4", "-q", "-O", "^has_journal", "-e", "remount-ro", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, daemon.state], check=True)
    ground.stack.callback(subprocess.run, ["umount", "-l", daemon.state], check=False)
    ground.stack.callback(daemon.kill)
    daemon.state.chmod(0o700)
    device = subprocess.run(["findmnt", "-no", "SOURCE", daemon.state], check=True, capture_output=True, text=True)
    trigger = pathlib.Path("/sys/fs/ext4", pathlib.Path(device.stdout.strip()).name, "trigger_fs_error")
    return lambda: trigger.write_text("1")


def fill(directory: pathlib.Path) -> pathlib.Path:
    """Takes all the room that a disk has; the file that holds it."""
    filler = directory / "filler"
    descriptor = os.open(filler, os.O_WRONLY | os.O_CREAT)
    with contextlib.suppress(OSError):
        while True:
            os.write(descriptor, b"\0" * 4096)
    os.close(descriptor)
    return filler


# Memory


@contextlib.contextmanager
def little_memory(ground, pid: int, room: int):
    """The process may take so many bytes more; a callable that tells how often the kernel killed somebody for more.

    By the cgroup that it is in, where version 2 has the memory controller, else by one of version 1.
    """
    own = next(line for line in pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines() if line.startswith("0::"))
    place = cgroup_mount() / own.removeprefix("0::").lstrip("/")
    if "memory" in (cgroup_mount() / "cgroup.controllers").read_text().split():
        for parent in reversed([cgroup_mount(), *(one for one in place.parents if one.is_relative_to(ground.cgroups.root))]):
            (parent / "cgroup.subtree_control").write_text("+memory")
        used = int((place / "memory.current").read_text())
        (place / "memory.max").write_text(str(used + room))
        yield lambda: int(re.search(r"^oom_kill (\d+)", (place / "memory.events").read_text(), re.MULTILINE)[1])
        return
    place = pathlib.Path("/sys/fs/cgroup/memory") / ground.cgroups.name
    place.mkdir()
    try:
        # What the process has already stays with the cgroup that it leaves.
        (place / "memory.limit_in_bytes").write_text(str(room))
        (place / "cgroup.procs").write_text(str(pid))
        yield lambda: int(re.search(r"^oom_kill (\d+)", (place / "memory.oom_control").read_text(), re.MULTILINE)[1])
    finally:
        eventually(lambda: not (place / "cgroup.procs").read_text().split(), "it is still there")
        place.rmdir()


# The record


def record_of(daemon) -> pathlib.Path:
    return daemon.state / "egressd.db"


def stored(daemon, query: str) -> list[Any]:
    """The first column of what a query finds in the record."""
    with contextlib.closing(sqlite3.connect(record_of(daemon))) as database:
        return [first for (first,) in database.execute(query)]


def rewrite(path: pathlib.Path, offset: int, content: bytes) -> None:
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(content)


def roots(daemon) -> dict[str, int]:
    """The first page of each table, by its name; the log is brought into the database first."""
    with contextlib.closing(sqlite3.connect(record_of(daemon))) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return dict(database.execute("SELECT name, rootpage FROM sqlite_schema WHERE rootpage > 0").fetchall())


@contextlib.contextmanager
def write_lock(daemon):
    """Somebody else writes to the record meanwhile."""
    with contextlib.closing(sqlite3.connect(record_of(daemon), isolation_level=None)) as database:
        database.execute("BEGIN EXCLUSIVE")
        yield
        database.execute("ROLLBACK")


def set_aside(daemon) -> list[pathlib.Path]:
    """The damaged records beside the one in use."""
    return sorted(
        path for path in daemon.state.glob("egressd.db.corrupt-*") if not path.name.endswith(("-wal", "-shm"))
    )


# The kernel's sockets and the daemon's descriptors


def netlink_sockets(pid: int) -> list[socket.socket]:
    """The daemon's own netlink sockets, held here as well."""
    found = []
    for entry in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        if not os.readlink(entry).startswith("socket:"):
            continue
        process = os.pidfd_open(pid)
        descriptor = LIBC.syscall(SYS_PIDFD_GETFD, process, int(entry.name), 0)
        os.close(process)
        if descriptor < 0:
            raise OSError(ctypes.get_errno(), "pidfd_getfd")
        made = socket.socket(fileno=descriptor)
        if made.family == socket.AF_NETLINK:
            found.append(made)
        else:
            made.close()
    return found


@contextlib.contextmanager
def small_buffers(pid: int):
    """Every netlink socket of the daemon has the smallest receive buffer that there is, as one that is not read in time."""
    with contextlib.ExitStack() as stack:
        for made in netlink_sockets(pid):
            stack.enter_context(made)
            before = made.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
            stack.callback(made.setsockopt, socket.SOL_SOCKET, SO_RCVBUFFORCE, before // 2)
        yield


@contextlib.contextmanager
def no_descriptors(pid: int):
    """The daemon keeps the descriptors that it has, and gets no other."""
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE, (0, resource.prlimit(pid, resource.RLIMIT_NOFILE)[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


def processor_seconds(pid: int) -> float:
    """How long a process has run so far."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def queue_drops(ground) -> int:
    """How many packets the queues of the training host dropped."""
    text = ground.host.command("cat", "/proc/net/netfilter/nfnetlink_queue")
    return sum(int(line.split()[5]) + int(line.split()[6]) for line in text.splitlines())
