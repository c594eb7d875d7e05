"""Our reader of QUIC Initials against aioquic: flights of its client, and flights sealed with its keys that are split and bent.

What is compared is what aioquic's server hands to its TLS. A ClientHello that we read must be the one that the server
reads, without an exception: else a client could show us one name and the server another. Where we refuse what the
server reads, the reason must be one of STRICTER.
"""

from __future__ import annotations

import collections
import dataclasses
import json
import logging
import random
import struct
import sys

import pytest
from checkers import checker, framed
from conftest import SEED
from lab import ROOT

sys.path.insert(0, str(ROOT / ".build/python"))
aioquic = pytest.importorskip("aioquic", reason="aioquic is missing: run Tests/Tools/install-dependencies")

from aioquic import tls  # noqa: E402
from aioquic.buffer import encode_uint_var  # noqa: E402
from aioquic.quic.configuration import QuicConfiguration  # noqa: E402
from aioquic.quic.connection import QuicConnection  # noqa: E402
from aioquic.quic.crypto import CryptoPair  # noqa: E402
from aioquic.quic.packet import QuicPacketType, QuicProtocolVersion, encode_long_header_first_byte  # noqa: E402

CLIENTS = 150
SPLIT = 600
BENT = 4_000
VERSIONS = [QuicProtocolVersion.VERSION_1, QuicProtocolVersion.VERSION_2]
INITIAL, EARLY, HANDSHAKE = QuicPacketType.INITIAL, QuicPacketType.ZERO_RTT, QuicPacketType.HANDSHAKE
ADDRESS = ("192.0.2.1", 4433)

# What we refuse and aioquic's server reads on: our sentence, and why.
STRICTER = {
    "a packet of another connection": "a server drops it or takes it for another connection; no client sends it",
    "an Initial that does not open": "a server drops it; no client sends it",
    "a packet number for the second time": "a server drops it; no client sends it",
    "bytes behind the last packet": "what is no packet may only be padding",
    "no long header": "bytes that are no packet of a first flight; a server drops them",
    "the datagram ends inside a packet": "a server drops it; no client sends it",
    "an Initial in a datagram of less than 1200 bytes": "a server drops it; no client sends it",
    "no Initial where one must be": "a Handshake packet or a Retry; a server drops it, and perhaps the rest of the datagram",
    "a connection id's length is impossible": "a server drops it; or a first one of less than 8 bytes (RFC 9000 §7.2)",
    "reserved bits that are not zero": "a server closes the connection, or drops a packet whose number it has had",
    "two frames with other bytes for one place": "which of them is read depends on the server (RFC 9000 §2.2)",
    "handshake bytes behind the ClientHello": "TLS refuses them",
    "a handshake message of type": "TLS refuses it",
    "a frame's length is impossible": "an ACK of packets below zero, which aioquic does not look at",
    "the connection closed before its ClientHello": "the ClientHello that came before is read, then the server closes",
    "a frame of type": "a longer spelling of a type (RFC 9000 §12.4)",
    "version": "a later packet of another version, which a server drops",
    "more than 64 gaps": "no honest program leaves so many",
    "a ClientHello of more than": "longer than what is read here",
}


@pytest.fixture(scope="module")
def wirecheck():
    ask = checker("wirecheck")

    def read(flights):
        data = framed([framed(flight, "!H") for flight in flights])
        return [json.loads(line) for line in ask(data, "quic", count=len(flights))]

    return read


@pytest.fixture(scope="module", autouse=True)
def quiet():
    """aioquic writes a warning for each flight that it refuses."""
    logging.getLogger("quic").setLevel(logging.CRITICAL)


# What aioquic's server says.


class Server:
    """A server that keeps what its TLS is handed and answers nothing."""

    def __init__(self, first):
        self.taken = b""
        size = first[5] if len(first) > 5 else 0
        # A server must have a certificate; nobody asks for it.
        configuration = QuicConfiguration(is_client=False, supported_versions=VERSIONS, certificate=(), private_key=())
        self.quic = QuicConnection(
            configuration=configuration,
            original_destination_connection_id=bytes(first[6 : 6 + size]),
        )

        initialize = self.quic._initialize

        def begin(peer_cid):
            initialize(peer_cid)
            self.quic.tls.handle_message = self.keep

        self.quic._initialize = begin

    def take(self, datagram):
        self.quic.receive_datagram(datagram, ADDRESS, now=0.0)

    def keep(self, data, _):
        self.taken += data

    @property
    def is_closed(self):
        return self.quic._close_event is not None or self.quic._close_pending


def theirs(flight):
    """The ClientHello that aioquic's server reads, or None; and whether it closed the connection."""
    server = Server(flight[0])
    for datagram in flight:
        server.take(datagram)
        if server.is_closed:
            break
    whole = len(server.taken) >= 4 and len(server.taken) >= 4 + int.from_bytes(server.taken[1:4], "big")
    return (server.taken if whole else None), server.is_closed


# Flights.


@dataclasses.dataclass
class Packet:
    """An Initial, or what has its header, before it is sealed."""

    frames: bytes
    number: int
    version: int
    destination: bytes
    source: bytes
    kind: QuicPacketType = INITIAL
    token: bytes = b""
    number_size: int = 4
    reserved: int = 0
    fixed: int = 0x40
    length: int = 0
    flip: int | None = None

    def sealed(self, keys):
        first = encode_long_header_first_byte(self.version, self.kind, self.reserved << 2 | self.number_size - 1)
        header = bytes([first & 0xBF | self.fixed]) + struct.pack("!I", self.version)
        header += bytes([len(self.destination)]) + self.destination + bytes([len(self.source)]) + self.source
        if self.kind == INITIAL:
            header += encode_uint_var(len(self.token)) + self.token
        # The header's mask is made of 16 bytes from behind the longest packet number.
        frames = self.frames.ljust(4 - self.number_size, b"\0")
        length = self.number_size + len(frames) + 16 + self.length
        header += encode_uint_var(max(0, length)) + self.number.to_bytes(8, "big")[-self.number_size :]
        sealed = bytearray(keys.encrypt_packet(header, frames, self.number))
        if self.flip is not None:
            sealed[self.flip % len(sealed)] ^= 1 << self.flip % 8
        return bytes(sealed)


@dataclasses.dataclass
class Datagram:
    packets: list[Packet]
    size: int = 1200
    trailing: bytes = b""

    def sealed(self, keys):
        data = b"".join(packet.sealed(keys) for packet in self.packets)
        return data + bytes(max(0, self.size - len(data) - len(self.trailing))) + self.trailing


def keys_of(version, destination):
    pair = CryptoPair()
    pair.setup_initial(cid=destination, is_client=True, version=version)
    return pair


class Chance:
    """Draws flights and bends them."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def hello(self):
        """A message with a ClientHello's header; what is in it does not matter here."""
        count = self.random.choice([0, 1, 100, 300, 1100, 1800, 5000, 16_380])
        body = self.random.randbytes(count)
        return b"\1" + len(body).to_bytes(3, "big") + body

    def other_frame(self):
        ack = b"\x02" + encode_uint_var(self.random.randint(5, 300)) + b"\x00\x01\x02\x01\x00"
        ecn = b"\x03\x05\x00\x00\x05\x01\x02\x03"
        return self.random.choice([bytes(self.random.randint(1, 30)), b"\x01", ack, ecn])

    def frames(self, hello):
        """CRYPTO frames with all of the message: some overlap, some come twice, others are between them."""
        largest = self.random.choice([20, 200, 1000]) if len(hello) < 4000 else 1000
        frames, offset = [], 0
        while offset < len(hello):
            start = max(0, offset - self.random.choice([0, 0, 0, 5, 50]))
            end = min(len(hello), offset + self.random.randint(min(largest, 400) // 2, largest))
            data = hello[start:end]
            frames.append(b"\x06" + encode_uint_var(start) + encode_uint_var(len(data)) + data)
            if self.random.random() < 0.1:
                frames.append(frames[-1])
            if self.random.random() < 0.2:
                frames[-1] += self.other_frame()
            offset = end
        if self.random.random() < 0.6:
            self.random.shuffle(frames)
        return frames

    def flight(self):
        """The datagrams of one flight, before they are sealed; and its message."""
        hello = self.hello()
        version = self.random.choice(VERSIONS)
        destination = self.random.randbytes(self.random.randint(8, 20))
        source = self.random.randbytes(self.random.choice([0, 1, 8, 20]))
        token = self.random.randbytes(self.random.choice([0, 0, 16, 70]))
        number, datagrams = self.random.choice([0, 0, 1, 200]), []
        frames = self.frames(hello)
        while frames:
            count = self.random.randint(1, 3)
            taken, frames = b"".join(frames[:count]), frames[count:]
            size = 4 if number > 100 else self.random.randint(1, 4)
            packet = Packet(taken, number, version, destination, source, token=token, number_size=size)
            number += self.random.choice([1, 1, 1, 2])
            if datagrams and self.random.random() < 0.3:
                if self.random.random() < 0.3:
                    datagrams[-1].packets.append(dataclasses.replace(packet, kind=EARLY, frames=bytes(20)))
                datagrams[-1].packets.append(packet)
            else:
                datagrams.append(Datagram([packet]))
        packets = [packet for datagram in datagrams for packet in datagram.packets]
        # Far behind the largest, our reader does not know a number any more, and a short one means another.
        if packets[-1].number - packets[0].number < 64 and all(packet.number_size == 4 for packet in packets):
            self.random.shuffle(datagrams)
        return hello, datagrams

    def bend(self, datagrams):
        """Changes one thing, or a few, before anything is sealed."""
        for _ in range(self.random.choice([1, 1, 2])):
            datagram = self.random.choice(datagrams)
            packet = self.random.choice(datagram.packets)
            match self.random.randint(0, 18):
                case 0 if packet.frames:
                    frames = bytearray(packet.frames)
                    frames[self.random.randrange(len(frames))] ^= 1 << self.random.randrange(8)
                    packet.frames = bytes(frames)
                case 1 if packet.frames:
                    frames = bytearray(packet.frames)
                    frames[0] = self.random.randrange(256)
                    packet.frames = bytes(frames)
                case 2 if packet.frames:
                    packet.frames = packet.frames[: self.random.randrange(len(packet.frames))]
                case 3:
                    packet.frames += self.random.choice([self.other_frame(), b"\x1c\0\0\0", b"\x08\0x", b"\x40\x01", b"\x1e"])
                case 4:
                    packet.frames = self.other_frame() + packet.frames
                case 5:
                    other = self.random.choice(self.random.choice(datagrams).packets)
                    packet.number = other.number
                case 6:
                    packet.number = self.random.choice([0, 1, 63, 64, 65, 255, 256, 70_000])
                case 7:
                    packet.reserved = self.random.randint(1, 3)
                case 8:
                    packet.fixed = 0
                case 9:
                    packet.length = self.random.choice([-30, -1, 1, 40, 1000])
                case 10:
                    packet.flip = self.random.randrange(1 << 16)
                case 11:
                    packet.destination = self.random.randbytes(self.random.randint(0, 20))
                case 12:
                    packet.source = self.random.randbytes(self.random.randint(0, 20))
                case 13:
                    packet.version = self.random.choice([*VERSIONS, 0, 2, 0x1A2A3A4A])
                case 14:
                    packet.kind = self.random.choice([EARLY, HANDSHAKE, QuicPacketType.RETRY])
                case 15:
                    datagram.size = self.random.choice([0, 1199, 1201, 1500])
                case 16:
                    datagram.trailing = self.random.choice([b"\0", b"\1", b"\x40", b"\xc0", bytes(30) + b"\1", b"\x80" * 40])
                case 17:
                    datagrams.insert(self.random.randint(0, len(datagrams)), datagram)
                case 18:
                    datagrams.remove(datagram)
                    if not datagrams:
                        return [datagram]
        return datagrams


def seal(datagrams, keys):
    return [datagram.sealed(keys) for datagram in datagrams]


def client_flight(chance):
    """What aioquic's own client sends first, and the message that it made."""
    version = chance.random.choice(VERSIONS)
    count = chance.random.choice([1, 1, 2, 60, 150, 400])
    configuration = QuicConfiguration(
        is_client=True,
        server_name="x" * chance.random.randint(1, 60) + ".example.org",
        alpn_protocols=[f"protocol-{index}" for index in range(count)],
        original_version=version,
        supported_versions=[version],
        max_datagram_size=chance.random.choice([1200, 1280, 1350, 1452]),
        token=chance.random.randbytes(chance.random.choice([0, 0, 40, 120])),
    )
    quic = QuicConnection(configuration=configuration)
    quic.connect(ADDRESS, now=0.0)
    hello = bytes(quic._crypto_streams[tls.Epoch.INITIAL].sender._buffer)
    return hello, [datagram for datagram, _ in quic.datagrams_to_send(now=0.0)]


# The tests.


def test_flights_of_its_client_are_read(wirecheck):
    chance = Chance(SEED)
    flights = [client_flight(chance) for _ in range(CLIENTS)]
    assert any(len(flight) > 3 for _, flight in flights)
    said = wirecheck([flight for _, flight in flights])
    for (hello, flight), ours in zip(flights, said):
        assert ours.get("hello") == hello.hex(), (f"EGRESSD_SEED={SEED}", ours)
        assert theirs(flight) == (hello, False)
    # Until the last datagram is there, nothing is said.
    for ours in wirecheck([flight[:-1] for _, flight in flights if len(flight) > 1]):
        assert "error" not in ours and ours["hello"] is None, (f"EGRESSD_SEED={SEED}", ours)


def test_a_message_split_in_any_way_is_read(wirecheck):
    chance = Chance(SEED)
    flights = []
    for _ in range(SPLIT):
        hello, datagrams = chance.flight()
        first = datagrams[0].packets[0]
        flights.append((hello, seal(datagrams, keys_of(first.version, first.destination))))
    for (hello, flight), ours in zip(flights, wirecheck([flight for _, flight in flights])):
        if ours.get("error", "").startswith("more than 64 gaps"):
            continue
        assert ours.get("hello") == hello.hex(), (f"EGRESSD_SEED={SEED}", len(hello), ours)
        assert theirs(flight)[0] == hello, f"EGRESSD_SEED={SEED}"


def test_what_is_read_is_what_the_server_reads(wirecheck):
    chance = Chance(SEED)
    flights = []
    for _ in range(BENT):
        hello, datagrams = chance.flight()
        first = datagrams[0].packets[0]
        keys = keys_of(first.version, first.destination)
        datagrams = chance.bend(datagrams)
        flights.append(seal(datagrams, keys))
    counts = collections.Counter()
    for index, (flight, ours) in enumerate(zip(flights, wirecheck(flights))):
        hello, closed = theirs(flight)
        where = f"EGRESSD_SEED={SEED} flight {index}: {ours} {closed} {[part.hex() for part in flight]}"
        if "error" not in ours:
            assert not closed, where
            assert ours["hello"] == (hello.hex() if hello else None), where
            counts["alike"] += 1
        elif hello is None or closed:
            counts["refused by both"] += 1
        else:
            reasons = [reason for reason in STRICTER if ours["error"].startswith(reason)]
            assert reasons, where
            counts[reasons[0]] += 1
    assert counts["alike"] > BENT / 10 and counts["refused by both"] > BENT / 10, counts
    print(dict(counts))
