"""What systemd is to the daemon, as far as restarts go: it keeps descriptors for it, and gives them to the next one."""

from __future__ import annotations

import array
import fcntl
import os
import pathlib
import socket
import sys
import threading

# Descriptors begin at 3, and LISTEN_PID is the process that the program becomes (sd_listen_fds(3)).
WRAPPER = """
import os, sys
kept = [int(number) for number in sys.argv[1].split(",") if number]
for index, number in enumerate(kept):
    os.dup2(number, 3 + index)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(kept)), LISTEN_FDNAMES=sys.argv[2])
os.execvp(sys.argv[3], sys.argv[3:])
"""


class ServiceManager:
    """Listens at a socket of its own for what the daemon says of itself (sd_notify(3))."""

    def __init__(self, directory: pathlib.Path):
        self.path = directory / "notify.sock"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.kept: list[tuple[str, int]] = []
        self.lock = threading.Lock()
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()

    def _listen(self) -> None:
        while True:
            size = array.array("i").itemsize * 64
            text, ancillary, _, _ = self.socket.recvmsg(4096, socket.CMSG_SPACE(size))
            numbers = array.array("i")
            for _, _, data in ancillary:
                numbers.frombytes(data[: len(data) - len(data) % numbers.itemsize])
            lines = dict(line.split("=", 1) for line in text.decode().split("\n") if "=" in line)
            with self.lock:
                self._take(lines, list(numbers))
            if "QUIT" in lines:
                return

    def _take(self, lines: dict[str, str], numbers: list[int]) -> None:
        name = lines.get("FDNAME", "stored")
        if lines.get("FDSTOREREMOVE") == "1":
            for kept in [entry for entry in self.kept if entry[0] == name]:
                os.close(kept[1])
                self.kept.remove(kept)
        if lines.get("FDSTORE") == "1":
            self.kept += [(name, _high(number)) for number in numbers]
        for number in numbers:
            os.close(number)

    @property
    def names(self) -> list[str]:
        with self.lock:
            return [name for name, _ in self.kept]

    def keep(self, name: str, number: int) -> None:
        """Puts a descriptor in as if the daemon had."""
        with self.lock:
            self.kept.append((name, _high(number)))

    def wrapped(self) -> tuple[list[str], list[int], dict[str, str]]:
        """What goes before all of the daemon's command, the descriptors that it inherits, and its environment."""
        with self.lock:
            numbers = [number for _, number in self.kept]
            names = ":".join(name for name, _ in self.kept)
        python = os.path.realpath(sys.executable)
        prefix = [python, "-I", "-S", "-c", WRAPPER, ",".join(map(str, numbers)), names]
        return prefix, numbers, {"NOTIFY_SOCKET": str(self.path)}

    def close(self) -> None:
        """As when the service is stopped for good."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"QUIT=1", str(self.path))
        self.thread.join()
        self.socket.close()
        with self.lock:
            for _, number in self.kept:
                os.close(number)
            self.kept.clear()


def _high(number: int) -> int:
    """A copy with a number so high that giving others out does not overwrite it."""
    return fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, 100)
