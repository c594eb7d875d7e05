"""Lets the Nth call of a daemon into the C library or SQLite fail (faults/failcall.c).

    faults = Faults(directory)
    daemon.launch(*faults.prefix)
    faults.arm(first=17)        # counts from here on; the 17th call fails
    …
    fault = faults.disarm()     # what failed and how; None when there were fewer calls
"""

from __future__ import annotations

import dataclasses
import errno
import mmap
import os
import pathlib
import struct
import time

from namespaces import run

SOURCES = sorted((pathlib.Path(__file__).resolve().parent / "faults").glob("*.c"))
# struct control of failcall.c.
NAME, CALLS = 24, 16384
HEAD = struct.Struct(f"=IIIIIIi{NAME}s64s")
SIZE = HEAD.size + CALLS * NAME
SQLITE = {5: "SQLITE_BUSY", 7: "SQLITE_NOMEM", 10: "SQLITE_IOERR", 13: "SQLITE_FULL"}
LOST = "ENOBUFS, lost"
WAYS = {-1: "short", -2: LOST}


def text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode(errors="replace")


@dataclasses.dataclass(frozen=True)
class Fault:
    """A call that failed."""

    number: int
    name: str  # `recv`; `netlink:recv`; `sqlite:pwrite64` where SQLite called; `sqlite3_step`
    way: str  # `ENOBUFS`
    detail: str
    failures: int
    is_lasting: bool  # whether no call of its name succeeded after it

    def __str__(self) -> str:
        return f"call {self.number}: {self.name}({self.detail}) {self.way} ×{self.failures}"


class Faults:
    """One daemon's calls."""

    def __init__(self, directory: pathlib.Path):
        library, shared = directory / "failcall.so", directory / "failcall.shared"
        if not library.exists():
            flags = ["-std=gnu17", "-D_GNU_SOURCE", "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror"]
            run(os.environ.get("CC", "cc"), *flags, "-o", str(library), *map(str, SOURCES), "-ldl")
        shared.write_bytes(b"\0" * SIZE)
        with open(shared, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), SIZE)
        self.prefix = ("env", f"LD_PRELOAD={library}", f"FAILCALL={shared}")

    def arm(self, first: int = 0, times: int = 1, choice: int = 0) -> None:
        """Counts anew; call number `first`, and `times` calls of its name from it on, fail in one of their ways. With no
        times the daemon is killed before that call."""
        self.memory[0:4] = struct.pack("=I", 0)
        self.memory[: HEAD.size] = HEAD.pack(0, 0, first, times, choice, 0, 0, b"", b"")
        self.memory[0:4] = struct.pack("=I", 1)

    def disarm(self) -> Fault | None:
        self.memory[0:4] = struct.pack("=I", 0)
        _, _, first, _, _, failed, way, name, detail = HEAD.unpack(self.memory[: HEAD.size])
        if failed == 0:
            return None
        words = SQLITE if text(name).startswith("sqlite3_") else errno.errorcode
        later = self.names()[first - 1 :].count(text(name))
        return Fault(first, text(name), WAYS.get(way) or words[way], text(detail), failed, failed >= later)

    @property
    def count(self) -> int:
        return HEAD.unpack(self.memory[: HEAD.size])[1]

    @property
    def has_failed(self) -> bool:
        return HEAD.unpack(self.memory[: HEAD.size])[5] > 0

    def names(self) -> list[str]:
        """The calls since they were counted anew."""
        return [
            text(self.memory[at : at + NAME])
            for at in range(HEAD.size, HEAD.size + min(self.count, CALLS) * NAME, NAME)
        ]

    def settle(self, quiet: float = 0.35, timeout: float = 3) -> None:
        """Waits until the call has failed, or none was made for a while: what the daemon puts off is counted too."""
        deadline = time.monotonic() + timeout
        before, since = self.count, time.monotonic()
        while not self.has_failed and time.monotonic() < min(deadline, since + quiet):
            time.sleep(0.005)
            if self.count != before:
                before, since = self.count, time.monotonic()

    def close(self) -> None:
        self.memory.close()
