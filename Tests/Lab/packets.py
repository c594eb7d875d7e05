"""Packets made by hand, for what no socket call sends."""

from __future__ import annotations

import socket
import struct

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16


def checksum(data: bytes) -> int:
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def packed(address: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def pseudo(source: str, destination: str, protocol: int, body: bytes) -> bytes:
    if ":" in source:
        return packed(source) + packed(destination) + struct.pack("!II", len(body), protocol) + body
    return packed(source) + packed(destination) + struct.pack("!BBH", 0, protocol, len(body)) + body


def tcp(source: str, destination: str, ports: tuple[int, int], flags: int, payload: bytes = b"", seq: int = 1) -> bytes:
    """A TCP segment with its checksum."""
    acknowledged = 1 if flags & ACK else 0
    header = struct.pack("!HHIIBBHHH", *ports, seq, acknowledged, 5 << 4, flags, 65535, 0, 0)
    whole = header + payload
    return whole[:16] + struct.pack("!H", checksum(pseudo(source, destination, 6, whole))) + whole[18:]


def udp(source: str, destination: str, ports: tuple[int, int], payload: bytes) -> bytes:
    whole = struct.pack("!HHHH", *ports, 8 + len(payload), 0) + payload
    return whole[:6] + struct.pack("!H", checksum(pseudo(source, destination, 17, whole))) + whole[8:]


def echo_request(source: str, destination: str, payload: bytes) -> tuple[int, bytes]:
    """The protocol number and an echo request."""
    if ":" in source:
        body = struct.pack("!BBHHH", 128, 0, 0, 7, 1) + payload
        return 58, body[:2] + struct.pack("!H", checksum(pseudo(source, destination, 58, body))) + body[4:]
    body = struct.pack("!BBHHH", 8, 0, 0, 7, 1) + payload
    return 1, body[:2] + struct.pack("!H", checksum(body)) + body[4:]


def ip(source: str, destination: str, protocol: int, body: bytes) -> bytes:
    """A whole packet, IPv4 or IPv6."""
    if ":" in source:
        return struct.pack("!IHBB", 6 << 28, len(body), protocol, 64) + packed(source) + packed(destination) + body
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 1, 0, 64, protocol, 0)
    header += packed(source) + packed(destination)
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + body


def ethernet(destination: str, source: str, packet: bytes, ethertype: int | None = None) -> bytes:
    """A frame; link addresses as twelve hexadecimal digits."""
    if ethertype is None:
        ethertype = 0x86DD if packet[0] >> 4 == 6 else 0x0800
    return bytes.fromhex(destination) + bytes.fromhex(source) + struct.pack("!H", ethertype) + packet
