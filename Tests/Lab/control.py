"""Asks a daemon over its own socket where `egressd ctl` is not what is tested: Varlink, and no process for every call."""

from __future__ import annotations

import json
import pathlib
import socket
from typing import Any, Iterator

from namespaces import LabError

# Whether it was done is not known then.
UNHEARD = "no answer"


class Control:
    """A connection for each call."""

    def __init__(self, path: pathlib.Path):
        self.path = path

    def call(self, method: str, timeout: float = 8, **parameters: Any) -> dict[str, Any]:
        """The reply's parameters; LabError for an error, for no answer in time, and when nobody listens."""
        (reply,) = self._replies(method, timeout, parameters)
        return reply

    def record(self) -> list[dict[str, Any]]:
        """All events."""
        parts = self._replies("Log", 30, {"limit": 100_000}, more=True)
        return [event for part in parts for event in part["events"]]

    def events(self, after: int = 0) -> list[dict[str, Any]]:
        """What the record has after this number, of the last 200."""
        return [event for event in self.call("Log", limit=200)["events"] if event["seq"] > after]

    def last(self) -> int:
        return max((event["seq"] for event in self.call("Log", limit=1)["events"]), default=0)

    def _replies(
        self, method: str, timeout: float, parameters: dict[str, Any], more: bool = False
    ) -> list[dict[str, Any]]:
        asked = {"method": f"io.egressd.{method}", "parameters": parameters, "more": more}
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout)
            try:
                connection.connect(str(self.path))
                connection.sendall(json.dumps(asked).encode() + b"\0")
                replies = list(self._read(connection, method))
            except OSError as error:
                raise LabError(f"{method}: {UNHEARD}: {error!r}") from error
        for reply in replies:
            if "error" in reply:
                raise LabError(f"{method}: {reply['error']}: {reply.get('parameters')}")
        return [reply["parameters"] for reply in replies]

    @staticmethod
    def _read(connection: socket.socket, method: str) -> Iterator[dict[str, Any]]:
        """Until one that none follows."""
        rest = b""
        while True:
            while b"\0" not in rest:
                data = connection.recv(1 << 18)
                if not data:
                    raise LabError(f"{method}: {UNHEARD}")
                rest += data
            text, _, rest = rest.partition(b"\0")
            reply = json.loads(text)
            yield reply
            if not reply.get("continues"):
                return
