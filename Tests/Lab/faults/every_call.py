"""`make faults`: every call of every phase fails once, and many times in a row; and before each the daemon is killed."""

import random

import pytest
from conftest import SEED
from failing_phases import PHASES
from failing_trials import MANY, learn, trials
from test_failing_calls import bench, client, daemon, flight_servers, flights, names_world, site, world
from test_killed_calls import killed


@pytest.fixture(autouse=True)
def patience():
    """More than that of conftest.py: there are hundreds of calls."""


@pytest.mark.parametrize("times", [1, MANY], ids=["once", "many"])
@pytest.mark.parametrize("name", PHASES)
def test_every_call(bench, name, times):
    phase = PHASES[name]()
    bench.start()
    names = learn(bench, phase, 3)
    print(f"\n{name}: {len(names)} calls")
    numbers = list(range(1, len(names) + 1))
    problems = trials(bench, phase, numbers, times, random.Random(SEED))
    assert not problems, f"{len(problems)} of {len(names)}:\n" + "\n\n".join(problems)


@pytest.mark.parametrize("way", ["start", "stop"])
def test_killed_at_every_call(killed, way):
    names = killed.learn(way)
    print(f"\n{way}: {len(names)} calls")
    for first in range(1, len(names) + 1):
        killed.kill(way, first)
    problems = killed.problems()
    assert not problems, f"{len(problems)} of {len(names)}:\n" + "\n".join(problems)
