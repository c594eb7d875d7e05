"""Some of the calls that the daemon makes into the C library or SQLite fail; `make faults` lets every one fail."""

import random
import time

import pytest
from conftest import SEED
from failing_bench import Bench
from failing_phases import PHASES
from failing_trials import MANY, learn, trials
from families import FAMILIES
from flight_world import client, daemon, flight_servers, flights, names_world, site, world

# Seconds for each phase.
SHARE = 1.5


@pytest.fixture
def bench(ground, daemon, flights, site, family):
    return Bench(ground, daemon, flights, site, family)


def test_a_sample_of_the_calls(bench):
    """Every phase in one of the families, and as many of its calls as there is time for."""
    chance = random.Random(SEED)
    phases = chance.sample(list(PHASES), len(PHASES))[FAMILIES.index(bench.family) :: len(FAMILIES)]
    bench.start()
    problems = []
    for name in phases:
        phase = PHASES[name]()
        # One of them changes the policy.
        bench.daemon.write(bench.policies())
        bench.control.call("Reload")
        count = len(learn(bench, phase))
        numbers = chance.sample(range(1, count + 1), count)
        problems += trials(bench, phase, numbers, chance.choice([1, MANY]), chance, time.monotonic() + SHARE)
    assert not problems, "\n\n".join(problems)
