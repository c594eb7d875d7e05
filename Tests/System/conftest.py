"""What every test of the installed package stands on: two versions of it, and one container for all."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.dont_write_bytecode = True

from container import BUILD, Container  # noqa: E402

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent.parent
EGRESSD = pathlib.Path(os.environ.get("EGRESSD", REPOSITORY / ".build/release/egressd"))
PATIENCE = 300


def pytest_sessionstart(session):
    if os.geteuid() != 0:
        pytest.exit("the system test boots a container: run it as root", 1)


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


def package(version: str | None = None) -> pathlib.Path:
    """The package as `make deb` makes it."""
    script = REPOSITORY / "systemd/debian/build"
    words = [str(script), str(EGRESSD), str(BUILD / "packages"), *([version] if version else [])]
    done = subprocess.run(words, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return pathlib.Path(done.stdout.split()[-1])


@pytest.fixture(scope="session")
def egressd():
    return EGRESSD


@pytest.fixture(scope="session")
def deb():
    return package()


@pytest.fixture(scope="session")
def next_deb():
    """The same program as a later version."""
    version = subprocess.run([EGRESSD, "version"], text=True, capture_output=True, check=True).stdout.split()[1]
    return package(version + "+next")


@pytest.fixture(scope="session")
def host(deb, next_deb):
    made = Container()
    try:
        made.start(deb, next_deb)
        yield made
    finally:
        made.stop()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """What the host says of a failure, beside it."""
    outcome = yield
    report = outcome.get_result()
    host = item.funcargs.get("host") if hasattr(item, "funcargs") else None
    if report.failed and host and host.process.poll() is None:
        journal = host.try_("journalctl", "--no-pager", "-n", "40", "--boot").stdout
        report.sections.append(("the host's journal", journal))
