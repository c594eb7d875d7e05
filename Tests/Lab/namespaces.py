"""Network namespaces, cgroups and the programs that make them: the ground that the lab stands on."""

from __future__ import annotations

import ctypes
import os
import pathlib
import re
import subprocess
import threading
import time
from typing import Any, Callable

CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)


class LabError(Exception):
    """The lab itself could not do what was asked of it."""


def run(*argv: str, text: str | None = None, check: bool = True) -> str:
    """Runs a program to its end and gives its output."""
    done = subprocess.run(argv, input=text, text=True, capture_output=True, check=False)
    if check and done.returncode != 0:
        raise LabError(f"{' '.join(argv)}: exit {done.returncode}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


class Namespace:
    """A network namespace known by name under /run/netns."""

    def __init__(self, name: str):
        self.name = name
        self.path = f"/run/netns/{name}"

    def create(self) -> None:
        run("ip", "netns", "add", self.name)
        self.ip("link set lo up")
        # Addresses must be usable at once, and no test wants to wait for duplicate address detection.
        for scope in ("all", "default"):
            self.sysctl(f"net.ipv6.conf.{scope}.accept_dad", "0")
            self.sysctl(f"net.ipv6.conf.{scope}.router_solicitations", "0")

    def delete(self) -> None:
        for pid in self.processes():
            kill(pid)
        run("ip", "netns", "delete", self.name, check=False)

    def processes(self) -> list[int]:
        return [int(pid) for pid in run("ip", "netns", "pids", self.name, check=False).split()]

    def ip(self, *commands: str, check: bool = True) -> None:
        """Runs lines of `ip` in it, all in one process."""
        text = "\n".join(commands) + "\n"
        run("ip", "-n", self.name, *([] if check else ["-force"]), "-batch", "-", text=text, check=check)

    def nft(self, text: str) -> None:
        run("nsenter", f"--net={self.path}", "nft", "-f", "-", text=text + "\n")

    def command(self, *argv: str, check: bool = True) -> str:
        return run("nsenter", f"--net={self.path}", *argv, check=check)

    def sysctl(self, name: str, value: str | None = None) -> str:
        path = pathlib.Path("/proc/sys") / name.replace(".", "/")
        if value is not None:
            self.inside(lambda: path.write_text(value))
        return self.inside(path.read_text).strip()

    def inside(self, function: Callable[[], Any]) -> Any:
        """Calls a function in the namespace, on a thread that then ends: a socket it opens stays there."""
        box: dict[str, Any] = {}

        def body() -> None:
            try:
                descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    if LIBC.setns(descriptor, CLONE_NEWNET) != 0:
                        raise OSError(ctypes.get_errno(), f"setns {self.path}")
                finally:
                    os.close(descriptor)
                box["value"] = function()
            except BaseException as error:  # pylint: disable=broad-except
                box["error"] = error

        thread = threading.Thread(target=body)
        thread.start()
        thread.join()
        if "error" in box:
            raise box["error"]
        return box["value"]


def cgroup_mount() -> pathlib.Path:
    """Where cgroup v2 is mounted: /sys/fs/cgroup, or below it on hybrid hosts."""
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        left, right = line.split(" - ", 1)
        if right.split()[0] == "cgroup2":
            return pathlib.Path(left.split()[4])
    raise LabError("no cgroup2 mount in /proc/self/mountinfo")


class CgroupTree:
    """A subtree of cgroup v2 that belongs to one lab."""

    def __init__(self, name: str):
        self.name = name
        self.root = cgroup_mount() / name

    def make(self, path: str) -> pathlib.Path:
        """Makes a cgroup below the lab's root and gives its directory."""
        directory = self.root / path
        directory.mkdir(parents=True, exist_ok=True)
        return directory

    def remove(self, path: str = "", patience: float = 5) -> None:
        """Kills what still runs in it and below, and removes it."""
        top = self.root / path if path else self.root
        if not top.exists():
            return
        deadline = time.monotonic() + patience
        while True:
            directories = [pathlib.Path(base) for base, _, _ in os.walk(top)]
            for directory in reversed(directories):
                for pid in (directory / "cgroup.procs").read_text().split():
                    kill(int(pid))
                try:
                    directory.rmdir()
                except OSError:
                    pass
            if not top.exists():
                return
            if time.monotonic() > deadline:
                raise LabError(f"cgroup {top} cannot be removed")
            time.sleep(0.02)


def kill(pid: int, signal: int = 9) -> None:
    try:
        os.kill(pid, signal)
    except ProcessLookupError:
        pass


def alive(pid: int) -> bool:
    return pathlib.Path(f"/proc/{pid}").exists()


def sweep_stale() -> list[str]:
    """Removes what labs left behind whose process is gone (killed with -9, a crash)."""
    swept = []
    for path in sorted(pathlib.Path("/run/netns").glob("egressd-*-*")):
        # The lab's, and the system test's, which calls this too.
        match = re.fullmatch(r"egressd-(\d+)-\w+|egressd-system-(\d+)", path.name)
        if match and not alive(int(match[1] or match[2])):
            Namespace(path.name).delete()
            swept.append(path.name)
    for path in sorted(cgroup_mount().glob("egressd-lab-*")):
        match = re.fullmatch(r"egressd-lab-(\d+)[a-z]*", path.name)
        if match and not alive(int(match[1])):
            CgroupTree(path.name).remove()
            swept.append(f"cgroup {path.name}")
    for path in sorted(pathlib.Path("/tmp").glob("egressd-lab-*")):
        match = re.fullmatch(r"egressd-lab-(\d+)-\w+", path.name)
        if match and not alive(int(match[1])):
            run("rm", "-rf", "--one-file-system", str(path), check=False)
            swept.append(str(path))
    return swept
