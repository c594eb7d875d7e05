"""One call fails, and all that must hold is looked at: never opened, never wedged, always said."""

from __future__ import annotations

import random
import time
import traceback
from typing import Callable

from failing import LOST, Fault
from failing_bench import Bench
from failing_phases import LOSS, Phase, Shutdown

# Nothing is said of these: they are done again at once, until they are done.
REPEATED = {"EINTR", "short"}
# Nothing needs to be said of these when the request went as it does without a failure.
SILENT = {
    "what an event tells of a process, and of a caller of ctl; a rule with a program refuses when it is not known": (
        "openat", "read", "pread", "readlinkat", "lseek", "fstatat", "syscall", "poll", "open_by_handle_at",
        "name_to_handle_at", "getpwuid_r",
    ),
    "the record: its thread keeps what it has and tries again": (
        "sqlite3_exec", "sqlite3_step", "sqlite3_prepare_v3", "sqlite3_bind_int64", "sqlite3_bind_null",
        "sqlite3_bind_text", "sqlite3_bind_text64", "lstat",
    ),
    "the file of what is about to be refused: what stays in it is held against the record at the next start": (
        "ftruncate",
    ),
    "netlink: what was asked is asked again": ("netlink:recv", "netlink:sendto"),
    "a client of the control socket, whom ctl tells; the next one is taken up": (
        "accept4", "getsockopt", "epoll_ctl", "recv", "send", "shutdown",
    ),
    "an answer of a name server or to a program: who asked asks again": (
        "socket", "connect", "sendmmsg", "getsockname", "recvmmsg",
    ),
    "the watch of the policies' folder, without which every file is looked at; the name of a thread": (
        "open", "fstat", "inotify_init1", "inotify_add_watch",
    ),
    "what makes something better: a buffer, whose overflow is an alarm; more words on an error": ("setsockopt",),
    "the file of the control socket: the next start takes its place": ("unlink",),
    "word to whoever follows the record, which comes with the next event": ("write",),
}  # fmt: skip
# So many failures in a row are more than are passed over by asking again.
MANY = 20
# How often it tries to store what it knows at its end.
PATIENT = 5
HARMLESS = {name for names in SILENT.values() for name in names}
# Without these there is no loop: it stores what it knows and ends, for the service manager to start it again.
FATAL = {"epoll_wait", "timerfd_settime"}


def learn(bench: Bench, phase: Phase, times: int = 1) -> list[str]:
    """The calls of the phase when nothing fails; the longest of so many runs."""
    longest: list[str] = []
    for _ in range(times):
        prepared = phase.prepare(bench)
        bench.mark()
        bench.faults.arm()
        answer = phase.act(bench, prepared)
        bench.faults.settle()
        bench.faults.disarm()
        longest = max(longest, bench.faults.names(), key=len)
        assert not phase.check(bench, prepared, answer), f"it goes another way without a failure: {bench.said()}"
        bench.recovers()
    return longest


def fail(bench: Bench, phase: Phase, first: int, choice: int, times: int) -> Fault | None:
    """Lets the call fail and asserts what must hold; None when there was no such call."""
    prepared = phase.prepare(bench)
    bench.mark()
    bench.faults.arm(first, times, choice)
    try:
        answer = phase.act(bench, prepared)
        bench.faults.settle()
    finally:
        fault = bench.faults.disarm()
    try:
        verify(bench, phase, prepared, answer, fault)
    except Exception as error:
        raise AssertionError(f"{fault}: {error}\n{bench.new_log()}") from error
    return fault


def verify(bench: Bench, phase: Phase, prepared, answer, fault: Fault | None) -> None:
    bench.nothing_left()
    if fault is not None and isinstance(phase, Shutdown) and (fault.way == LOST or is_spent(fault)):
        # A counter that the kernel let go of and whose echo cannot be had is nowhere; an alarm says so.
        bench.was_down = True
    if fault is not None and fault.name in FATAL and fault.way not in REPEATED and not isinstance(phase, Shutdown):
        assert bench.daemon.process.wait(8) == 1
        assert "cannot go on" in bench.new_log(), bench.new_log()
        bench.was_down = True
        assert bench.launch()
    assert LOSS not in bench.new_log() or fault is not None and fault.failures > PATIENT, "events are lost"
    is_told = phase.check(bench, prepared, answer)
    if fault is None:
        return
    said = bench.said()
    bench.recovers()
    assert said or is_told or may_be_silent(fault), "nothing was said of it"


def is_spent(fault: Fault) -> bool:
    """Whether netlink was asked in vain as often as it is asked, or until the daemon had ended."""
    is_in_vain = fault.failures == MANY or fault.is_lasting and fault.failures > PATIENT
    return fault.name in ("netlink:recv", "netlink:sendto") and is_in_vain


def may_be_silent(fault: Fault) -> bool:
    if fault.way in REPEATED:
        return True
    return (fault.name in HARMLESS or fault.name.startswith("sqlite:")) and not is_spent(fault)


def trials(
    bench: Bench,
    phase: Phase,
    numbers: list[int],
    times: int,
    chance: random.Random,
    deadline: float = float("inf"),
    report: Callable[[str], None] = print,
) -> list[str]:
    """Lets these calls fail one after the other; what went wrong."""
    problems: list[str] = []
    for first in numbers:
        if time.monotonic() > deadline:
            break
        try:
            fault = fail(bench, phase, first, chance.randrange(60), times)
            report(f"{type(phase).__name__} {fault or f'call {first}: none'}")
        except Exception as error:  # pylint: disable=broad-except
            where = traceback.extract_tb(error.__traceback__)[-1]
            problems.append(f"{type(phase).__name__} {error} ({where.name}:{where.lineno})")
            report(f"PROBLEM {problems[-1]}")
            bench.open()
            bench.start()
    return problems
