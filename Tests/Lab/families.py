"""The addresses of the lab, once for IPv4 and once for IPv6, so that a test is written once for both."""

from __future__ import annotations

import dataclasses
import socket


@dataclasses.dataclass(frozen=True)
class Family:
    """One side of the lab's plan of addresses."""

    name: str
    constant: int
    any: str
    loopback: str
    host: str  # the training host
    world: str  # the other end of its uplink
    storage: str  # what the examples allow
    storage_prefix: str
    secret: str  # inside the storage prefix, denied
    secret_prefix: str
    stranger: str  # what nobody allows
    other: str
    third: str
    metadata: str
    guest: str  # a machine behind the training host
    guest_gateway: str
    all: str  # the prefix of everything

    @property
    def other_prefix(self) -> str:
        return f"{self.other}/{32 if self.constant == socket.AF_INET else 128}"

    def join(self, address: str, port: int, transport: str = "tcp") -> str:
        """`203.0.113.9:22/tcp` or `[2001:db8::9]:22/tcp`, as the daemon prints it."""
        return f"{address}:{port}/{transport}" if ":" not in address else f"[{address}]:{port}/{transport}"

    def __str__(self) -> str:
        return self.name


IPV4 = Family(
    name="ipv4",
    constant=socket.AF_INET,
    any="0.0.0.0",
    loopback="127.0.0.1",
    host="10.99.0.1",
    world="10.99.0.2",
    storage="10.20.0.10",
    storage_prefix="10.20.0.0/16",
    secret="10.20.7.5",
    secret_prefix="10.20.7.0/24",
    stranger="203.0.113.9",
    other="203.0.113.10",
    third="198.51.100.7",
    metadata="169.254.169.254",
    guest="10.98.0.2",
    guest_gateway="10.98.0.1",
    all="0.0.0.0/0",
)

IPV6 = Family(
    name="ipv6",
    constant=socket.AF_INET6,
    any="::",
    loopback="::1",
    host="fd99::1",
    world="fd99::2",
    storage="fd00:20::10",
    storage_prefix="fd00:20::/48",
    secret="fd00:20:0:7::5",
    secret_prefix="fd00:20:0:7::/64",
    stranger="2001:db8::9",
    other="2001:db8::10",
    third="2001:db8:1::7",
    metadata="fd00:ec2::254",
    guest="fd98::2",
    guest_gateway="fd98::1",
    all="::/0",
)

FAMILIES = (IPV4, IPV6)
