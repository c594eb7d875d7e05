"""What every test of the lab stands on."""

from __future__ import annotations

import os
import pathlib
import random
import signal
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.dont_write_bytecode = True

from daemon import policy, rule  # noqa: E402
from families import FAMILIES, IPV4, IPV6  # noqa: E402
from lab import Lab  # noqa: E402

JOB = "training.slice/job.service"
# One seed for the whole run, printed at its end; EGRESSD_SEED repeats it.
TOLD = os.environ.get("EGRESSD_SEED", "")
SEED = int(TOLD) if TOLD.isdigit() else random.SystemRandom().randrange(1 << 32)
PATIENCE = 240


def pytest_sessionstart(session):
    if os.geteuid() != 0:
        pytest.exit("the lab makes network namespaces and cgroups: run it as root", 1)


def pytest_configure(config):
    config.addinivalue_line("markers", "in_turns: the families take turns at the other parameters")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    """Leaves out what the other family does, and lets the second of two runs beside each other begin in the middle."""
    cases = {}
    for item in items:
        if item.get_closest_marker("in_turns"):
            others = {key: value for key, value in item.callspec.params.items() if key != "family"}
            cases.setdefault(item.function, {}).setdefault(str(others), []).append(item)
    left_out = set()
    for place, each in enumerate(cases.values()):
        for number, variants in enumerate(each.values()):
            turn = FAMILIES[(place + number + SEED) % len(FAMILIES)]
            left_out |= {item for item in variants if item.callspec.params["family"] != turn}
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
    families = {getattr(item, "callspec", None) and item.callspec.params.get("family") for item in items}
    if families == {IPV6}:
        # The heavy tests of both would be at the same time else.
        files = list(dict.fromkeys(item.path for item in items))
        order = {path: number for number, path in enumerate(files[len(files) // 2 :] + files[: len(files) // 2])}
        items.sort(key=lambda item: order[item.path])


def pytest_terminal_summary(terminalreporter):
    terminalreporter.write_line(f"EGRESSD_SEED={SEED}")


@pytest.fixture(autouse=True)
def patience():
    """No test hangs the run."""

    def out(*_):
        raise TimeoutError(f"the test is not done after {PATIENCE} s")

    before = signal.signal(signal.SIGALRM, out)
    signal.alarm(PATIENCE)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="session")
def lab():
    with Lab(need_egressd=False) as made:
        yield made


@pytest.fixture(params=FAMILIES, ids=str)
def family(request):
    return request.param


@pytest.fixture
def ground(lab):
    """A lab whose processes, cgroups and rules of this test go when it ends."""
    outer = lab.stack
    with type(outer)() as lab.stack:
        lab.stack.callback(clear, lab)
        # The end of a connection of the test before may have been told since it was cleared.
        lab.world.clear()
        yield lab
    lab.stack = outer


def clear(lab):
    for entry in lab.cgroups.root.iterdir():
        if entry.is_dir():
            lab.cgroups.remove(entry.name)
    # One process for all of it. What was held may not be sent again under the next test.
    both = "nft flush ruleset; conntrack -F"
    script = f'{both}; ss -K -t exclude listening; exec nsenter --net="$0" sh -c "{both}"'
    lab.host.command("sh", "-c", script, lab.world_ns.path, check=False)
    lab.world.clear()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    del call
    item.has_failed = (yield).get_result().failed or getattr(item, "has_failed", False)


@pytest.fixture
def daemon(ground, request):
    """A daemon of this test, not started; its log and its last events are shown when the test fails."""
    if ground.egressd is None:
        pytest.fail("no egressd: run `make build`, or set EGRESSD to the binary")
    made = ground.daemon()
    yield made
    events = made.last_events() if getattr(request.node, "has_failed", False) else ""
    # Its table goes with the ground.
    made.kill()
    print(f"---- {made.log_file}\n{made.log()[-6000:]}\n---- the last events\n{events}")


@pytest.fixture
def job(ground):
    """A program of the workload `job`."""
    return ground.agent(JOB, uid=1001)


@pytest.fixture
def started(daemon, ground, job):
    """A daemon that has denied one request of the job's."""
    daemon.start({"job": job_policy(ground, IPV4)})
    job.tcp(IPV4.stranger, 443)
    daemon.request_for(IPV4.stranger, 443)
    return daemon


@pytest.fixture
def basic(ground, family):
    """The policy that most tests start from: storage is allowed but for a part of it, the rest is unknown."""
    return {"job": job_policy(ground, family)}


def job_policy(ground, family, **keys):
    keys.setdefault("allow", [rule("storage", family.storage_prefix, [443, "9000-9010", "443/udp", "9000/udp"])])
    keys.setdefault("deny", [rule("secrets", family.secret_prefix)])
    keys = {key: value for key, value in keys.items() if value}
    return policy("job", ground.glob(JOB), user=1001, **keys)
