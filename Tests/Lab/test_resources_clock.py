"""The date is set forward and back: events keep their order, and nothing lasts longer than it was given for."""

import struct
import subprocess
import time

import pytest
from grants import MORE, Term
from resources import alarms, eventually, stored

YEAR = 366 * 86_400


class Clock:
    """The date of a daemon: what this machine's is, moved."""

    def __init__(self, ground):
        self.file = ground.directory / "clock-offset"
        self.library = ground.directory / "clock.so"
        if not self.library.exists():
            source = ground.directory / "probes/clock.c"
            subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", self.library, source], check=True)
        self.file.write_bytes(struct.pack("=q", 0))

    def set(self, seconds: int) -> None:
        """Moves the date to this many seconds from the real one, in place: the file is mapped."""
        with open(self.file, "r+b") as file:
            file.write(struct.pack("=q", seconds))

    def start(self, daemon, policies=None) -> None:
        if policies is not None:
            daemon.write(policies)
        daemon.launch("env", f"LD_PRELOAD={self.library}", f"CLOCK_OFFSET={self.file}")
        daemon.wait_ready()


def way(jump):
    return "back" if jump < 0 else "forward"


@pytest.fixture
def clock(ground):
    return Clock(ground)


@pytest.mark.in_turns
@pytest.mark.parametrize("jump", [-YEAR, YEAR], ids=["back", "forward"])
def test_the_date_jumps_while_it_runs(ground, daemon, job, basic, family, clock, jump):
    """An approval ends when it was to end, to the second, and not because of the date."""
    clock.start(daemon, basic)
    job.tcp(family.stranger, 443)
    job.tcp(family.other, 443)
    daemon.approve(family.other, 443, duration="1h")
    daemon.approve(family.stranger, 443, duration="4s")
    term = Term(daemon, 4)
    clock.set(jump)
    assert term.holds(job, family.stranger, 443)
    eventually(lambda: alarms(daemon, "the clock was set " + way(jump)), "it is not said", 15)
    term.ends(job, family.stranger, 443)
    assert job.tcp(family.other, 443)["ok"]
    clock.set(0)
    job.tcp(family.third, 443)
    daemon.wait_event(to=family.third, port=443)
    numbers = [event["seq"] for event in daemon.events()]
    assert numbers == sorted(set(numbers)) and numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    events = daemon.events()
    order = [event["destination"]["address"] for event in events if event.get("verdict") == "deny"]
    assert order.index(family.stranger) < order.index(family.third)


@pytest.mark.in_turns
@pytest.mark.parametrize("jump", [-YEAR, YEAR], ids=["back", "forward"])
@pytest.mark.parametrize("how", ["stop", "kill"])
def test_the_date_jumps_over_a_restart(ground, daemon, job, basic, family, clock, jump, how):
    """An approval may end early then, and never late: the time since boot counts as well."""
    clock.start(daemon, basic)
    job.tcp(family.stranger, 443)
    daemon.approve(family.stranger, 443, duration="6s")
    term = Term(daemon, 6)
    stays = job.tcp(family.stranger, 443, keep=True)
    eventually(lambda: "clock" in stored(daemon, "SELECT key FROM meta"), "the moment is not stored")
    if how == "stop":
        daemon.stop()
    else:
        daemon.kill()
    clock.set(jump)
    # What passes while no daemon runs counts, whatever the date says.
    time.sleep(2)
    clock.start(daemon)
    assert alarms(daemon, "the clock was set " + way(jump))
    if jump < 0:
        assert term.holds(job, family.stranger, 443)
        term.ends(job, family.stranger, 443)
    term.wait(MORE)
    assert not job.tcp(family.stranger, 443)["ok"], "an approval lasts longer than it was given for"
    eventually(lambda: not job.echo(stays["handle"])["ok"], "what it let through goes on", 15)
    assert daemon.ctl("grants")["grants"] == []
