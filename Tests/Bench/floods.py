"""Floods: what a workload that opens 5,000 connections a second to unknown addresses costs another one.

One egressd, two workloads. The quiet one connects, one at a time, to what its policy allows by address and to what the broker
is asked about each time; alone, and while the other floods, in turn. Every attempt of the flood must be in the record and in
`ctl requests`.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import statistics
import subprocess
import time
from typing import Any

from common import BUILT, cpu, table, verdict  # first: it knows the way to the lab
from daemon import policy, rule
from families import IPV4
from lab import PYTHON, Lab, LabError

PORT = 9902
QUIET, LOUD = "training.slice/quiet.service", "training.slice/loud.service"
RATE, RATIO = 5000, 2
WAYS = {"by address": IPV4.storage, "brokered": IPV4.third}


class Floods:
    """A lab with a server, both workloads and the daemon."""

    def __init__(self, stack: contextlib.ExitStack):
        self.lab = stack.enter_context(Lab(label="floods"))
        self.client = self.lab.directory / "connload"
        shutil.copy2(BUILT / "connload", self.client)
        server = self.lab.spawn(
            [str(self.client), "serve", str(PORT)], namespace=self.lab.world_ns, stdout=subprocess.PIPE, text=True
        )
        if server.stdout.readline() != "ready\n":
            raise LabError("connload did not start")
        allow = [
            rule("address", f"{WAYS['by address']}/32", [PORT]),
            rule("program", f"{WAYS['brokered']}/32", [PORT], executable=str(self.client)),
        ]
        self.daemon = self.lab.daemon().start(
            {
                "quiet": policy("quiet", self.lab.glob(QUIET), allow=allow),
                "loud": policy("loud", self.lab.glob(LOUD)),
            }
        )

    def connect(self, address: str, seconds: float) -> dict[str, Any]:
        argv = [str(self.client), "connect", address, str(PORT), str(seconds)]
        process = self.lab.spawn(argv, cgroup=QUIET, stdout=subprocess.PIPE, text=True)
        output, _ = process.communicate(timeout=seconds + 20)
        answer = json.loads(output)
        if not answer["connections"]:
            raise LabError(f"{address}: {answer}")
        return answer

    @contextlib.contextmanager
    def flood(self, seconds: float, base: str, result: dict[str, Any]):
        """Floods while the body runs, at most this long."""
        argv = [PYTHON, "-I", str(self.lab.directory / "probes/flood.py"), base, str(RATE), str(seconds)]
        process = self.lab.spawn(argv, cgroup=LOUD, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        before = cpu(self.daemon), time.monotonic()
        # Not its beginning: how it goes on is what is measured.
        time.sleep(0.5)
        yield
        result["cpu"] = (cpu(self.daemon) - before[0]) / (time.monotonic() - before[1])
        output, _ = process.communicate(timeout=30)  # closes its input, which ends it
        result.update(json.loads(output))

    def counted(self) -> tuple[int, int]:
        """How many attempts of the flood the record and `ctl requests` have."""
        # Not by `ctl log`, whose answer has a bound that so many events do not fit into.
        path = self.daemon.state / "egressd.db"
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as record:
            rows = record.execute("SELECT body FROM events WHERE workload = 'loud' AND verdict = 'deny'").fetchall()
        events = [json.loads(body) for (body,) in rows]
        requests = self.daemon.ctl("requests")["requests"]
        return (
            sum(one.get("count", 1) for one in events),
            sum(one["count"] for one in requests if one.get("workload") == "loud"),
        )


def floods(quick: bool) -> dict[str, Any]:
    rounds, seconds = (3, 0.5) if quick else (9, 1.0)
    print(f"Floods: a quiet workload alone and beside {RATE} unknown connections a second, in turn", flush=True)
    ratios: dict[str, list[float]] = {name: [] for name in WAYS}
    samples: dict[str, list[tuple[float, float, float]]] = {name: [] for name in WAYS}
    attempts, rates, loads = 0, [], []
    # Of how many connections of the quiet workload, how many failed: alone, and beside the flood.
    tries = {name: {"alone": [0, 0], "beside": [0, 0]} for name in WAYS}
    with contextlib.ExitStack() as stack:
        place = Floods(stack)
        for number in range(rounds + 1):
            for index, (name, address) in enumerate(WAYS.items()):
                alone = place.connect(address, seconds)
                flooded: dict[str, Any] = {}
                base = f"100.{64 + number}.{index * 254 % 256}.0"
                with place.flood(seconds + 5, base, flooded):
                    beside = place.connect(address, seconds)
                if flooded["outcomes"] != {"ECONNREFUSED": flooded["attempts"]}:
                    raise LabError(f"the flood was not refused: {flooded}")
                attempts += flooded["attempts"]
                for when, one in (("alone", alone), ("beside", beside)):
                    tries[name][when][0] += one["connections"] + one["failed"]
                    tries[name][when][1] += one["failed"]
                if number > 0:  # the first round warms up
                    ratios[name].append(beside["median"] / alone["median"])
                    samples[name].append((alone["median"], beside["median"], beside["p99"]))
                    rates.append(flooded["perSecond"])
                    loads.append(flooded["cpu"])
        deadline = time.monotonic() + 30
        while (counted := place.counted()) != (attempts, attempts) and time.monotonic() < deadline:
            time.sleep(1)
    found: dict[str, Any] = {
        name: {"alone": statistics.median(one[0] for one in few), "beside": statistics.median(one[1] for one in few),
               "p99": statistics.median(one[2] for one in few), "ratio": statistics.median(ratios[name])}
        for name, few in samples.items()
    }  # fmt: skip
    table(
        f"Connections of a quiet workload, beside {statistics.median(rates):.0f} refused ones a second",
        [(name, f"{one['alone']:.1f}", f"{one['beside']:.1f}", f"{one['p99']:.1f}", f"{one['ratio']:.2f}")
         for name, one in found.items()],
        ("", "median µs alone", "beside", "p99 beside", "ratio"),
    )  # fmt: skip
    for name in WAYS:
        print(f"  {name}: {found[name]['ratio']:.2f} of its own median alone, {verdict(found[name]['ratio'], RATIO)}")
    for name, few in tries.items():
        words = ", ".join(f"{failed} of {count} {when}" for when, (count, failed) in few.items())
        print(f"  {name}: connections that failed: {words}")
    found["tries"] = tries
    found["daemon"] = statistics.median(loads)
    found["attempts"], (found["recorded"], found["requests"]) = attempts, counted
    print(f"  the daemon's processor meanwhile: {found['daemon'] * 100:.0f} %")
    exact = "all counted" if counted == (attempts, attempts) else "MISSED"
    print(f"  {attempts} attempts; {counted[0]} in the record, {counted[1]} in `ctl requests`: {exact}")
    return found
