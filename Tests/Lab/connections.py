"""Fills the kernel's connection table of a namespace, by ctnetlink."""

from __future__ import annotations

import socket
import struct

from namespaces import Namespace

NETLINK_NETFILTER = 12
CT_NEW = 1 << 8  # NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_NEW
REQUEST_CREATE = 0x001 | 0x400
# Confirmed, seen in both directions, and assured: the kernel drops no such entry to make room.
STATUS = 1 << 3 | 1 << 1 | 1 << 2
CHUNK = 400


def fill_connections(namespace: Namespace, count: int) -> None:
    """Adds this many UDP connections, or as many as there is room for."""
    namespace.inside(lambda: _fill(count))


def _fill(count: int) -> None:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as kernel:
        kernel.bind((0, 0))
        for start in range(0, count, CHUNK):
            messages = b"".join(_entry(number) for number in range(start, min(count, start + CHUNK)))
            kernel.send(messages)
            # Only errors come, and the first that there is no room ends it.
            try:
                kernel.recv(65536, socket.MSG_DONTWAIT)
            except BlockingIOError:
                continue
            return


def _attribute(kind: int, payload: bytes, nested: bool = False) -> bytes:
    padding = b"\0" * (-len(payload) % 4)
    return struct.pack("=HH", 4 + len(payload), kind | (0x8000 if nested else 0)) + payload + padding


def _tuple(kind: int, source: bytes, destination: bytes, source_port: int, destination_port: int) -> bytes:
    address = _attribute(1, _attribute(1, source) + _attribute(2, destination), True)
    ports = struct.pack(">H", source_port), struct.pack(">H", destination_port)
    protocol = _attribute(2, _attribute(1, b"\x11") + _attribute(2, ports[0]) + _attribute(3, ports[1]), True)
    return _attribute(kind, address + protocol, True)


def _entry(number: int) -> bytes:
    source, destination = b"\x0a\xc8" + struct.pack(">H", number >> 16), b"\x0a\xc9\0\x01"
    port = number & 0xFFFF
    body = (
        struct.pack("=BBH", socket.AF_INET, 0, 0)
        + _tuple(1, source, destination, port, 9)
        + _tuple(2, destination, source, 9, port)
        + _attribute(3, struct.pack(">I", STATUS))
        + _attribute(7, struct.pack(">I", 600))
    )
    return struct.pack("=IHHII", 16 + len(body), CT_NEW, REQUEST_CREATE, 1, 0) + body
