"""First flights: from `connect()` to the server's first byte, and throughput after it, inspected and not.

One egressd, one client, two addresses of one server: a rule that trusts the address, and a rule that wants TLS there. What
is between the two is the first flight's hold and judgement; whether a name is compared as well makes no difference here.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import statistics
import subprocess
from typing import Any

from common import BUILT, table, verdict  # first: it knows the way to the lab
from daemon import policy, rule
from families import IPV4
from lab import Lab, LabError
from probes import flight_wire as wire

PORT = 9901
CGROUP = "training.slice/flights.service"
WAYS = {"by address": IPV4.storage, "inspected TLS": IPV4.third}
MICROSECONDS, THROUGHPUT = 120, 0.98


class Flights:
    """A lab with the server, the client and its flight; the daemon, or none."""

    def __init__(self, stack: contextlib.ExitStack, with_egressd: bool):
        self.lab = stack.enter_context(Lab(need_egressd=with_egressd, label="flights"))
        self.client, self.flight = self.lab.directory / "flightload", self.lab.directory / "flight"
        shutil.copy2(BUILT / "flightload", self.client)
        self.flight.write_bytes(wire.hello("bench.example", post_quantum=True, grease=True))
        argv = [str(BUILT / "flightload"), "serve", str(PORT)]
        server = self.lab.spawn(argv, namespace=self.lab.world_ns, stdout=subprocess.PIPE, text=True)
        if server.stdout.readline() != "ready\n":
            raise LabError("flightload did not start")
        if with_egressd:
            any_rule, tls_rule = (
                rule(name.replace(" ", "-").lower(), f"{address}/32", [PORT], protocol=protocol)
                for (name, address), protocol in zip(WAYS.items(), ("any", "tls"))
            )
            text = policy("flights", self.lab.glob(CGROUP), allow=[any_rule, tls_rule])
            self.lab.daemon().start({"flights": text})

    def run(self, what: str, address: str, amount: float) -> dict[str, Any]:
        self.lab.host.command("conntrack", "-F", check=False)
        argv = [str(self.client), what, address, str(PORT), str(amount), str(self.flight)]
        process = self.lab.spawn(argv, cgroup=CGROUP, stdout=subprocess.PIPE, text=True)
        output, _ = process.communicate(timeout=120)
        answer = json.loads(output) if process.returncode == 0 else {"failed": 1}
        if answer.get("failed"):
            raise LabError(f"{what} to {address}: {answer}")
        return answer


def flights(quick: bool, with_egressd: bool = True) -> dict[str, Any]:
    rounds, seconds, megabytes = (3, 0.4, 256) if quick else (11, 1.0, 1024)
    print("First flights: by address and inspected, in turn", flush=True)
    took: dict[str, list[dict[str, Any]]] = {name: [] for name in WAYS}
    sent: dict[str, list[float]] = {name: [] for name in WAYS}
    with contextlib.ExitStack() as stack:
        place = Flights(stack, with_egressd)
        for number in range(rounds + 1):
            # Neither is always the one that comes first.
            for name, address in list(WAYS.items())[:: 1 if number % 2 else -1]:
                sample, rate = place.run("connect", address, seconds), place.run("upload", address, megabytes)["perSecond"]
                if number > 0:  # the first round warms up
                    took[name].append(sample)
                    sent[name].append(rate)
    found: dict[str, Any] = {
        name: {"median": statistics.median(one["median"] for one in took[name]),
               "p99": statistics.median(one["p99"] for one in took[name]),
               "perSecond": statistics.median(sent[name])}
        for name in WAYS
    }  # fmt: skip
    plain, inspected = WAYS
    found["added"] = statistics.median(a["median"] - b["median"] for a, b in zip(took[inspected], took[plain]))
    found["throughput"] = statistics.median(a / b for a, b in zip(sent[inspected], sent[plain]))
    rows = [(name, f"{one['median']:.1f}", f"{one['p99']:.1f}", f"{one['perSecond'] / 1e9:.2f}")
            for name, one in ((name, found[name]) for name in WAYS)]  # fmt: skip
    table("From connect() to the first byte, and after it", rows, ("", "median µs", "p99 µs", "GB/s"))
    print(f"  inspected: {found['added']:+.1f} µs, {verdict(found['added'], MICROSECONDS)}; "
          f"throughput {found['throughput']:.3f} of it, {verdict(found['throughput'], THROUGHPUT, least=True)}",
          flush=True)  # fmt: skip
    return found
