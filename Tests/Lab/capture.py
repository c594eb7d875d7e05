"""Reads what really arrives at the world's end of the uplink: the proof that nothing left."""

from __future__ import annotations

import contextlib
import dataclasses
import select
import socket
import struct
import threading
import time

from probes.arrival import SO_TIMESTAMPNS, SPACE, arrival, clock_offset

PACKET_OUTGOING = 4
ETH_P_ALL = 3


@dataclasses.dataclass(frozen=True)
class Seen:
    """One packet as it came in."""

    at: float  # of the monotonic clock, by the kernel's word: whoever reads it later waits for the processor
    ethertype: int
    protocol: int
    source: str
    destination: str
    source_port: int
    destination_port: int
    flags: str
    payload: bytes


def parse(frame: bytes, at: float) -> Seen:
    ethertype = struct.unpack("!H", frame[12:14])[0]
    if ethertype == 0x0800:
        length = (frame[14] & 15) * 4
        protocol, rest = frame[23], frame[14 + length : 14 + struct.unpack("!H", frame[16:18])[0]]
        source, destination = (socket.inet_ntoa(frame[at_ : at_ + 4]) for at_ in (26, 30))
    elif ethertype == 0x86DD:
        protocol, rest = frame[20], frame[54 : 54 + struct.unpack("!H", frame[18:20])[0]]
        source, destination = (socket.inet_ntop(socket.AF_INET6, frame[at_ : at_ + 16]) for at_ in (22, 38))
        if protocol == 0 and len(rest) >= 8:  # hop-by-hop options, as in MLD
            protocol, rest = rest[0], rest[8 * (rest[1] + 1) :]
    else:
        return Seen(at, ethertype, 0, "", "", 0, 0, "", frame[14:])
    flags, payload, ports = "", rest, (0, 0)
    if protocol in (6, 17) and len(rest) >= 8:
        ports = struct.unpack("!HH", rest[:4])
        payload = rest[8:]
        if protocol == 6 and len(rest) >= 20:
            flags = "".join(letter for bit, letter in enumerate("FSRPA") if rest[13] >> bit & 1)
            payload = rest[(rest[12] >> 4) * 4 :]
    return Seen(at, ethertype, protocol, source, destination, ports[0], ports[1], flags, payload)


class Capture:
    """A packet socket on an interface of a namespace; collects what comes in, not what goes out."""

    def __init__(self, namespace, interface: str):
        self.socket = namespace.inside(lambda: self._open(interface))
        self.socket.setblocking(False)
        self.seen: list[Seen] = []
        self._lock = threading.Lock()
        self._stop, self._wake = socket.socketpair()
        self._thread = threading.Thread(target=self._collect, daemon=True)
        self._thread.start()

    @staticmethod
    def _open(interface: str) -> socket.socket:
        made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        made.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)  # SO_RCVBUFFORCE
        made.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        made.bind((interface, ETH_P_ALL))
        return made

    def _collect(self) -> None:
        """A socket whose buffer is full loses packets."""
        while self._wake not in select.select([self.socket, self._wake], [], [])[0]:
            self._drain()

    def _drain(self) -> None:
        """Takes in all that has arrived: what came before a question is in its answer."""
        with self._lock, contextlib.suppress(BlockingIOError):
            offset = clock_offset()
            while self.socket.fileno() >= 0:
                frame, words, _, address = self.socket.recvmsg(65536, SPACE)
                if address[2] != PACKET_OUTGOING:
                    self.seen.append(parse(frame, arrival(words, offset)))

    def find(self, **wanted) -> list[Seen]:
        """What was seen with these fields: `protocol=6`, `destination=…`, `destination_port=…`, `payload=…` (contained)."""
        self._drain()
        inside = wanted.pop("payload", None)
        return [
            one
            for one in list(self.seen)
            if all(getattr(one, field) == value for field, value in wanted.items())
            and (inside is None or inside in one.payload)
        ]

    def wait(self, timeout: float = 15, **wanted) -> list[Seen]:
        deadline = time.monotonic() + timeout
        while not (found := self.find(**wanted)) and time.monotonic() < deadline:
            time.sleep(0.01)
        return found

    def end_of(self, source_port: int, timeout: float = 15) -> Seen:
        """The first FIN or reset from that port."""
        deadline = time.monotonic() + timeout
        while True:
            for one in self.find(protocol=6, source_port=source_port):
                if set("FR") & set(one.flags):
                    return one
            assert time.monotonic() < deadline, f"no end came from port {source_port} within {timeout} s"
            time.sleep(0.01)

    def clear(self) -> None:
        self._drain()
        self.seen = []

    def close(self) -> None:
        self._stop.send(b".")
        self._thread.join()
        self._drain()
        for one in (self.socket, self._stop, self._wake):
            one.close()

    def __enter__(self) -> "Capture":
        return self

    def __exit__(self, *_) -> None:
        self.close()
