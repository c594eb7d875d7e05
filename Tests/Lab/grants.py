"""When an approval ends: it began between two moments, before and after the one call that gave it.

An attempt that is over before the first possible end, and one that begins after the last, prove something; what lies
between proves nothing, however slow this machine is.
"""

from __future__ import annotations

import time

# What a grant may outlast its time by: it is cut within a second, and the kernel's own limit is a little later.
MORE = 1.5


class Term:
    """The time of the last approval."""

    def __init__(self, daemon, seconds: float):
        before, after = daemon.approved
        self.earliest, self.latest = before + seconds, after + seconds

    def holds(self, agent, address: str, port: int, **keys) -> bool:
        """Whether an attempt goes through, or tells nothing because the time may be up."""
        return agent.tcp(address, port, **keys)["ok"] or time.monotonic() >= self.earliest

    def wait(self, more: float = 0) -> None:
        """Until it is up, at the latest, and so much longer."""
        time.sleep(max(0, self.latest + more - time.monotonic()))

    def ends(self, agent, address: str, port: int) -> None:
        """Tries until it is refused: not before its time, and soon after it."""
        while True:
            begun = time.monotonic()
            if not agent.tcp(address, port)["ok"]:
                assert time.monotonic() >= self.earliest, "an approval ended early"
                return
            assert begun < self.latest + MORE, "an approval lasts longer than it was given for"
