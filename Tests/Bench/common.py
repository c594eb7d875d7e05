"""What the parts of the bench share: the way to the lab, the C programs, how results are printed."""

from __future__ import annotations

import os
import pathlib
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "Tests/Lab"))
sys.dont_write_bytecode = True

from namespaces import run  # noqa: E402

BUILT = ROOT / ".build/bench"
PROGRAMS = {
    "connload": [], "queueall": ["-lmnl"], "queuetable": ["-lmnl", "-lnftnl"], "dnsload": [], "dnsworld": [],
    "flightload": [],
}  # fmt: skip


def build_programs() -> None:
    BUILT.mkdir(parents=True, exist_ok=True)
    compiler = os.environ.get("CC", "cc")
    shared = (HERE / "load.h").stat().st_mtime
    for name, libraries in PROGRAMS.items():
        source, binary = HERE / f"{name}.c", BUILT / name
        if not binary.exists() or binary.stat().st_mtime < max(source.stat().st_mtime, shared):
            run(compiler, "-O2", "-Wall", "-Wextra", "-o", str(binary), str(source), *libraries)


def resident(daemon) -> float:
    """Megabytes."""
    status = pathlib.Path(f"/proc/{daemon.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def cpu(daemon) -> float:
    """Seconds of processor time since its start, of all its threads; by the scheduler, whose ticks are too coarse for an idle one."""
    tasks = pathlib.Path(f"/proc/{daemon.process.pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def wait_idle(daemon, patience: float = 30) -> None:
    """Waits until it has done what a load left to do."""
    deadline = time.monotonic() + patience
    before = cpu(daemon)
    while time.monotonic() < deadline:
        time.sleep(0.5)
        now = cpu(daemon)
        if now - before < 0.02:
            return
        before = now


def table(title: str, rows: list[tuple[str, ...]], header: tuple[str, ...]) -> None:
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    print(f"\n{title}")
    for row in [header, *rows]:
        print("  " + "  ".join(cell.ljust(width) if not column else cell.rjust(width)
                               for column, (cell, width) in enumerate(zip(row, widths))))  # fmt: skip
    sys.stdout.flush()


def verdict(value: float, limit: float, least: bool = False) -> str:
    good = value >= limit if least else value <= limit
    return f"{'≥' if least else '≤'} {limit:g} {'reached' if good else 'MISSED'}"
