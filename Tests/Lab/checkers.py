"""The programs of Tests that show what our readers of foreign bytes say, for the tests that hold others' against them."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess

from conftest import SEED
from lab import ROOT


def checker(name):
    """The program: a function from its input, its arguments and how many answers there must be to the lines that it prints.

    It is the one that the variable of its name in capitals says, or built now.
    """
    path = os.environ.get(name.upper())
    if path is None:
        swift = shutil.which("swift") or "/opt/swift/usr/bin/swift"
        flags = ["-c", "release", "--static-swift-stdlib", "--explicit-target-dependency-import-check", "error"]
        subprocess.run([swift, "build", *flags, "--product", name], cwd=ROOT, check=True, capture_output=True)
        path = ROOT / ".build/release" / name

    def ask(data, *arguments, count):
        done = subprocess.run([path, *arguments], input=data, capture_output=True, check=False)
        answers = done.stdout.decode().splitlines()
        assert done.returncode == 0 and len(answers) == count, f"EGRESSD_SEED={SEED}: it died: {done.stderr[-2000:]}"
        return answers

    return ask


def framed(inputs, layout="!I"):
    """The inputs one behind the other, each with its length before it."""
    return b"".join(struct.pack(layout, len(one)) + one for one in inputs)
