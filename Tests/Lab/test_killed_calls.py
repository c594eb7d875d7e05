"""The daemon killed before some of the calls that it makes; `make faults` has it killed before each."""

import random
import time

import pytest
from conftest import SEED, job_policy
from killed_calls import KilledCalls

# Seconds for each way.
SHARE = 6


@pytest.fixture
def killed(ground, daemon, family):
    managed = daemon.managed()
    managed.start({"job": job_policy(ground, family)})
    return KilledCalls(ground, managed, family.stranger)


@pytest.mark.parametrize("way", ["start", "stop"])
def test_killed_at_some_calls(killed, way):
    count = len(killed.learn(way))
    deadline = time.monotonic() + SHARE
    for first in random.Random(SEED).sample(range(1, count + 1), count):
        if time.monotonic() > deadline:
            break
        killed.kill(way, first)
    problems = killed.problems()
    assert not problems, "\n".join(problems)
