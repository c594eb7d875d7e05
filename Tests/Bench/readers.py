"""What reading a first flight takes, without a kernel: nanoseconds and allocations for each read of a recorded one."""

from __future__ import annotations

import json
import os
import shutil
from typing import Any

from common import ROOT, table, verdict
from namespaces import run

LIMIT = 5.0  # µs for a ClientHello with a post-quantum key share in one record


def readers() -> list[dict[str, Any]]:
    swift = shutil.which("swift") or "/opt/swift/usr/bin/swift"
    print("\nReaders of first flights: building", flush=True)
    flags = ["-c", "release", "--static-swift-stdlib", "--package-path", str(ROOT)]
    run(swift, "build", *flags, "--product", "readerbench")
    scratch = run(swift, "build", *flags, "--show-bin-path").strip()
    lines = run(os.path.join(scratch, "readerbench")).splitlines()
    rows = [json.loads(line) for line in lines if line.startswith("{")]
    header = ("reader", "input", "bytes", "ns", "allocations")
    cells = [(row["reader"], row["input"], str(row["bytes"]), f"{row['nanoseconds']:.0f}", f"{row['allocations']:.0f}")
             for row in rows]  # fmt: skip
    table("One read", cells, header)
    judged = [row for row in rows if row["reader"] == "tls" and "one record" in row["input"]]
    worst = max(row["nanoseconds"] for row in judged) / 1000
    print(f"  a ClientHello of {judged[0]['bytes']} bytes: {worst:.2f} µs, {verdict(worst, LIMIT)}; allocations "
          f"{max(row['allocations'] for row in judged):g}, {verdict(max(row['allocations'] for row in judged), 0)}")  # fmt: skip
    return rows
