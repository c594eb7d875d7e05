"""Our reader of ClientHellos against scapy's, on hellos that are real, generated, and broken.

Where ours reads one, scapy must say the same of it, and an own computation of JA4 too. scapy checks next to nothing: where ours
refuses what scapy reads, scapy's fields must show the flaw that our sentence names.
"""

from __future__ import annotations

import collections
import hashlib
import json
import random
import struct
import sys

import pytest
from checkers import checker, framed
from conftest import SEED
from lab import ROOT

sys.path.insert(0, str(ROOT / ".build/python"))
scapy = pytest.importorskip("scapy", reason="scapy is missing: run Tests/Tools/install-dependencies")

from scapy.layers.tls.handshake import TLSClientHello  # noqa: E402
from scapy.packet import Raw  # noqa: E402

GENERATED = 3_000
BROKEN = 9_000
CORPUS = ROOT / "Tests/Fuzz/corpus/tls"
LIMIT = 16_384
SERVER_NAME, GROUPS, ALGORITHMS, ALPN, PADDING, PSK, VERSIONS, KEY_SHARE = 0, 10, 13, 16, 21, 41, 43, 51

# What we refuse and scapy reads: how our sentence starts or ends, and why.
STRICTER = {
    "inside what it must hold": "lengths that say more than there is; scapy takes what there is",
    "behind the ClientHello": "bytes behind the message, its extensions, or in its last record",
    "of TLS 1.0 to 1.3": "SSL 3.0, drafts, and versions that do not exist",
    "more than 32 bytes": "a session id that is too long (RFC 8446 §4.1.2)",
    "half of one": "no cipher suites, or an odd number of bytes",
    "null compression": "compression methods without null (RFC 5246 §7.4.1.2)",
    "twice": "two parsers could take another one of the two (RFC 8446 §4.2)",
    "more than 64 extensions": "no honest client sends so many",
    "is malformed": "a list in server_name, ALPN, signature_algorithms or supported_versions that is not all of its data",
    "behind pre_shared_key": "the binder covers what is before it (RFC 8446 §4.2.11)",
}
# What scapy fails at and we read: "other extensions" in the outcomes. What is in extensions that nothing here needs is not
# looked at; scapy reads into some 30 of them, and takes a point that is on no curve for a failure of its own.


@pytest.fixture(scope="module")
def wirecheck():
    ask = checker("wirecheck")
    return lambda inputs: [json.loads(line) for line in ask(framed(inputs), "tls", count=len(inputs))]


# Streams and messages.


def message_of(stream):
    """The ClientHello at the start of the stream, read once more; None when it is not whole, or there is none."""
    message, place = b"", 0
    while len(stream) >= place + 5:
        kind, major, minor, length = struct.unpack_from("!BBBH", stream, place)
        if kind != 22 or major != 3 or minor > 4 or not 1 <= length <= 1 << 14 or len(stream) < place + 5 + length:
            return None
        message += stream[place + 5 : place + 5 + length]
        place += 5 + length
        if message[0] != 1:
            return None
        if len(message) >= 4 and len(message) >= 4 + int.from_bytes(message[1:4], "big"):
            return message
    return None


def vector(layout, data):
    return struct.pack(layout, len(data)) + data


class Chance:
    """Draws ClientHellos and breaks them."""

    NAMES = ["packages.example.org", "wWw.Example.ORG", "a", "x" * 63 + ".example", "xn--bcher-kva.example", "_x.example"]
    NO_NAMES = ["", "a.example.", "192.0.2.1", "::1", "a b", "a\0.example", "*.example", "a:443", "-a.b", "x" * 64]
    GREASE = [0x0A0A, 0x1A1A, 0xFAFA]

    def __init__(self, seed):
        self.random = random.Random(seed)

    def some(self, values, least, most):
        return [self.random.choice(values) for _ in range(self.random.randint(least, most))]

    def words(self, values, least, most):
        return struct.pack(f"!{len(drawn)}H", *drawn) if (drawn := self.some(values, least, most)) else b""

    def server_names(self):
        names = [(0, self.random.choice(self.NAMES))]
        if self.random.random() < 0.2:
            names = [(self.random.choice([0, 0, 0, 1]), name) for name in self.some(self.NAMES + self.NO_NAMES, 1, 3)]
        return vector("!H", b"".join(bytes([kind]) + vector("!H", name.encode()) for kind, name in names))

    def data(self, kind):
        match kind:
            case 0:
                return self.server_names()
            case 10:
                return vector("!H", self.words([*self.GREASE, 0x11EC, 29, 23, 24, 256], 1, 6))
            case 13:
                return vector("!H", self.words([*self.GREASE, 0x0403, 0x0804, 0x0401, 0x0904, 0xFFFF], 1, 30))
            case 16:
                names = [b"h2", b"http/1.1", b"h3", b"\x0a\x0a", b"a\xff", b"q" * 255, b"1", b".x"]
                return vector("!H", b"".join(vector("!B", name) for name in self.some(names, 1, 6)))
            case 21:
                return bytes(self.random.choice([0, 1, 200]))
            case 43:
                return vector("!B", self.words([*self.GREASE, 0x0304, 0x0303, 0x0302, 0x0301], 1, 4) + b"\3\3")
            case 51:
                shares = [(0x11EC, 1216), (29, 32), (0x2A2A, 1)]
                return vector("!H", b"".join(struct.pack("!HH", group, size) + self.random.randbytes(size)
                                             for group, size in self.some(shares, 1, 3)))  # fmt: skip
            case 41:
                identity = vector("!H", self.random.randbytes(20)) + bytes(4)
                return vector("!H", identity) + vector("!H", vector("!B", bytes(32)))
            case _:
                return b""

    def extensions(self):
        known = [SERVER_NAME, GROUPS, ALGORITHMS, ALPN, PADDING, 22, 23, 49, VERSIONS, KEY_SHARE]
        kinds = self.random.sample(known, self.random.randint(0, len(known))) + self.random.sample(self.GREASE, 1)
        kinds += self.random.sample(range(1000, 1900), self.random.choice([0, 0, 3, 48]))
        self.random.shuffle(kinds)
        if self.random.random() < 0.2:
            kinds.append(PSK)
        return [(kind, self.data(kind)) for kind in kinds]

    def hello(self):
        """Version, session, suites, compressions and extensions; None for no extensions at all."""
        suites = [*self.GREASE, 0x1301, 0x1302, 0x1303, 0xC02B, 0x00FF, 0x5600, 0x002F]
        return {
            "version": self.random.choice([0x0303] * 8 + [0x0301, 0x0302]),
            "session": self.random.randbytes(self.random.choice([0, 32, 32, 7])),
            "suites": self.words(suites, 1, self.random.choice([5, 40, 150])),
            "compressions": self.random.choice([b"\0", b"\0", b"\1\0"]),
            "extensions": self.extensions() if self.random.random() < 0.95 else None,
        }

    def message(self, parts):
        body = struct.pack("!H", parts["version"]) + self.random.randbytes(32) + vector("!B", parts["session"])
        body += vector("!H", parts["suites"]) + vector("!B", parts["compressions"])
        if parts["extensions"] is not None:
            body += vector("!H", b"".join(struct.pack("!H", kind) + vector("!H", data) for kind, data in parts["extensions"]))
        return b"\1" + len(body).to_bytes(3, "big") + body

    def stream(self, message):
        """The message in records as a client may cut it, now and then with early data behind it."""
        sizes = self.random.choice([[1 << 14], [512], [1, 1, 1, 1, 1, 1 << 14], [self.random.randint(1, 300)]])
        stream, place = b"", 0
        while place < len(message):
            size = sizes.pop(0) if len(sizes) > 1 else sizes[0]
            stream += struct.pack("!BH", 22, self.random.choice([0x0301, 0x0303])) + vector("!H", message[place : place + size])
            place += size
        return stream + self.random.choice([b"", b"", b"\x14\x03\x03\0\1\1", b"\x17\x03\x03"])

    def broken(self):
        """A stream of a hello with a flaw: of its parts, which stay well-formed around it, or of any byte."""
        parts = self.hello()
        extensions = parts["extensions"] or []
        flaw = self.random.randrange(10)
        if flaw == 0:
            parts["version"] = self.random.choice([0, 0x0300, 0x0304, 0x0305, 0xFEFD])
            parts["extensions"] = [extension for extension in extensions if extension[0] != VERSIONS]
        elif flaw == 1:
            parts["suites"] = self.random.choice([b"", parts["suites"] + b"\0"])
        elif flaw == 2:
            parts["compressions"] = self.random.choice([b"", b"\1"])
        elif flaw == 3:
            parts["session"] = self.random.randbytes(self.random.randint(33, 255))
        elif flaw == 4 and extensions:
            extensions.insert(self.random.randrange(len(extensions)), self.random.choice(extensions))
        elif flaw == 5:
            extensions += [(kind, b"") for kind in range(2000, 2000 + self.random.randint(20, 70))]
        elif flaw == 6 and extensions:
            index = self.random.randrange(len(extensions))
            kind, data = extensions[index]
            place = self.random.randint(0, len(data))
            extensions[index] = kind, data[:place] + self.random.choice([b"", b"\0", b"\1\1"]) + data[place + 1 :]
        message = bytearray(self.message(parts))
        if flaw == 7:
            for _ in range(self.random.randint(1, 3)):
                message[self.random.randrange(4, len(message))] = self.random.choice([0, 1, 2, 0xFF, self.random.getrandbits(8)])
        elif flaw == 8:
            message += self.random.randbytes(3)
            message[1:4] = (len(message) - 4 - self.random.choice([0, 3])).to_bytes(3, "big")
        elif flaw == 9:
            message[1:4] = (len(message) - 4 - self.random.randint(1, 40)).to_bytes(3, "big")
            message = message[: 4 + int.from_bytes(message[1:4], "big")]
        return self.stream(bytes(message))


# What scapy says, in wirecheck's form.


def text(value):
    return value if isinstance(value, bytes) else bytes(value)


def listed(hello, kind):
    """The one extension of this type; None without one."""
    return next((extension for extension in hello.ext or [] if extension.type == kind), None)


def form(hello):
    names, protocols = listed(hello, SERVER_NAME), listed(hello, ALPN)
    versions, algorithms = listed(hello, VERSIONS), listed(hello, ALGORITHMS)
    return {
        "legacyVersion": hello.version,
        "session": text(hello.sid).hex(),
        "suites": list(hello.ciphers),
        "compressions": bytes(hello.comp).hex(),
        "extensions": [[extension.type, extension.len] for extension in hello.ext or []],
        "versions": list(versions.versions) if versions else None,
        "algorithms": list(algorithms.sig_algs) if algorithms else [],
        "protocols": [text(name.protocol).hex() for name in protocols.protocols] if protocols else [],
        "name": name_form(names.servernames) if names else None,
    }


def name_form(names):
    """The one name when it is one; otherwise that it is not."""
    if len(names) != 1 or names[0].nametype != 0:
        return "unreadable"
    name = text(names[0].servername)
    labels = name.lower().split(b".")
    letters = set(b"abcdefghijklmnopqrstuvwxyz0123456789-_")
    good = all(0 < len(label) < 64 and set(label) <= letters and label.strip(b"-") == label for label in labels)
    numeric = labels[-1].isdigit() or labels[-1].startswith(b"0x")
    return name.lower().decode() if good and not numeric and len(name) <= 253 else "unreadable"


def our_form(ours):
    """What wirecheck says, with only the length of the extensions' data."""
    name = ours["name"]
    return {
        **{key: ours[key] for key in ("legacyVersion", "session", "suites", "compressions", "versions", "algorithms", "protocols")},
        "extensions": [[kind, len(data) // 2] for kind, data in ours["extensions"]],
        "name": name and name.get("name", "unreadable"),
    }


def is_grease(number):
    return number & 0x0F0F == 0x0A0A and number >> 8 == number & 0xFF


def fingerprint(said):
    """JA4 of what scapy says."""
    plain = lambda numbers: [number for number in numbers if not is_grease(number)]  # noqa: E731
    hexed = lambda numbers: ",".join(f"{number:04x}" for number in numbers)  # noqa: E731
    short = lambda text: hashlib.sha256(text.encode()).hexdigest()[:12] if text else "0" * 12  # noqa: E731
    kinds = plain(kind for kind, _ in said["extensions"])
    highest = max(plain(said["versions"]), default=0) if said["versions"] is not None else said["legacyVersion"]
    version = {0x0304: "13", 0x0303: "12", 0x0302: "11", 0x0301: "10"}.get(highest, "00")
    protocol = "00"
    if said["protocols"]:
        first = bytes.fromhex(said["protocols"][0])
        plain_ends = all(chr(byte).isalnum() and byte < 128 for byte in (first[0], first[-1]))
        protocol = chr(first[0]) + chr(first[-1]) if plain_ends else first.hex()[0] + first.hex()[-1]
    suites = plain(said["suites"])
    hashed = hexed(sorted(kind for kind in kinds if kind not in (SERVER_NAME, ALPN)))
    if said["algorithms"] and hashed and plain(said["algorithms"]):
        hashed += "_" + hexed(plain(said["algorithms"]))
    named = "d" if SERVER_NAME in kinds else "i"
    counts = f"{min(len(suites), 99):02}{min(len(kinds), 99):02}"
    return f"t{version}{named}{counts}{protocol}_{short(hexed(sorted(suites)))}_{short(hashed)}"


def parse(message):
    """What scapy reads; None when it fails at it or takes an extension for bytes."""
    try:
        hello = TLSClientHello(message)
        said = form(hello)
    except Exception:  # noqa: BLE001
        return None, None
    return hello, said


def check(stream, ours, said):
    context = f"EGRESSD_SEED={SEED}\n{stream.hex()}\nours: {json.dumps(ours)}\ntheirs: {json.dumps(said)}"
    assert our_form(ours) == said, context
    assert ours["ja4"] == fingerprint(said), context


def flaw_shows(sentence, message):
    """Whether the fields that scapy finds one after another have the flaw that our sentence names."""
    end = 4 + int.from_bytes(message[1:4], "big")
    fields = layout(message)
    kinds = [kind for kind, _ in fields["extensions"]]
    match next(reason for reason in STRICTER if reason in sentence):
        case "inside what it must hold":
            return fields["end"] is None or fields["torn"] or end > len(message)
        case "behind the ClientHello":
            return end < len(message) or fields["end"] is not None and fields["end"] < end
        case "of TLS 1.0 to 1.3":
            offered = [data for kind, data in fields["extensions"] if kind == VERSIONS]
            words = struct.unpack(f"!{len(offered[0]) // 2}H", offered[0][1:]) if offered else [fields["version"]]
            return not any(0x0301 <= word <= (0x0304 if offered else 0x0303) for word in words)
        case "more than 32 bytes":
            return len(fields["session"]) > 32
        case "half of one":
            return len(fields["suites"]) % 2 == 1 or not fields["suites"]
        case "null compression":
            return 0 not in fields["compressions"]
        case "twice":
            return max(collections.Counter(kinds).values()) > 1
        case "more than 64 extensions":
            return len(kinds) > 64
        case "is malformed":
            kind = int(sentence.split()[1])
            return any(not is_list(kind, data) for found, data in fields["extensions"] if found == kind)
        case "behind pre_shared_key":
            return PSK in kinds[:-1]
    return False


def layout(message):
    """The parts of a message by its own lengths; `end` is None, or an extension `torn`, where they say more than there is."""
    data, place = message[: 4 + int.from_bytes(message[1:4], "big")], 38
    fields = {"version": int.from_bytes(message[4:6], "big"), "extensions": [], "end": None, "torn": False}
    for key, size in (("session", 1), ("suites", 2), ("compressions", 1)):
        length = int.from_bytes(data[place : place + size], "big")
        fields[key] = data[place + size : place + size + length]
        if len(data) < place + size + length:
            return fields
        place += size + length
    if place < len(data):
        length, place = int.from_bytes(data[place : place + 2], "big"), place + 2
        if place > len(data) or place + length > len(data):
            return fields
        fields["end"] = stop = place + length
        while place < stop:
            kind, length = int.from_bytes(data[place : place + 2], "big"), int.from_bytes(data[place + 2 : place + 4], "big")
            place += 4 + length
            if place > stop:
                fields["torn"] = True
                return fields
            fields["extensions"].append((kind, data[place - length : place]))
    else:
        fields["end"] = place
    return fields


def is_list(kind, data):
    """Whether the data is exactly the list that it must be."""
    size = 1 if kind == VERSIONS else 2
    rest = data[size:]
    if len(data) < size or len(rest) != int.from_bytes(data[:size], "big") or not rest:
        return False
    if kind in (VERSIONS, ALGORITHMS):
        return len(rest) % 2 == 0
    while rest:
        head = 3 if kind == SERVER_NAME else 1
        length = int.from_bytes(rest[head - 2 : head] if kind == SERVER_NAME else rest[:1], "big")
        if len(rest) < head + length or kind == ALPN and length == 0:
            return False
        rest = rest[head + length :]
    return True


# The tests.


def test_real_clients_are_read_alike(wirecheck):
    files = sorted(path for path in CORPUS.iterdir() if "-" in path.name or len(path.name) < 40)
    streams = [path.read_bytes() for path in files]
    assert len(streams) > 15
    for stream, ours in zip(streams, wirecheck(streams)):
        assert ours["message"] == message_of(stream).hex()
        check(stream, ours, parse(message_of(stream))[1])


def test_generated_hellos_are_read_alike(wirecheck):
    chance = Chance(SEED)
    messages = [chance.message(chance.hello()) for _ in range(GENERATED)]
    streams = [chance.stream(message) for message in messages]
    names = collections.Counter()
    for message, stream, ours in zip(messages, streams, wirecheck(streams)):
        assert ours.get("message") == message.hex(), f"EGRESSD_SEED={SEED}\n{stream.hex()}\n{ours}"
        hello, said = parse(message)
        assert hello is not None, f"EGRESSD_SEED={SEED}: scapy fails at {message.hex()}"
        check(stream, ours, said)
        names["absent" if said["name"] is None else "unreadable" if said["name"] == "unreadable" else "name"] += 1
    assert min(names[kind] for kind in ("absent", "unreadable", "name")) > GENERATED / 40, names


def test_a_hello_that_is_cut_is_not_whole(wirecheck):
    chance = Chance(SEED + 1)
    streams = []
    for _ in range(100):
        stream = chance.stream(chance.message(chance.hello()))
        streams += [stream[:count] for count in chance.random.sample(range(len(stream)), 10)]
    for stream, ours in zip(streams, wirecheck(streams)):
        whole = message_of(stream)
        assert ours == {"incomplete": True} if whole is None else ours["message"] == whole.hex(), (stream.hex(), ours)


def test_broken_hellos_are_read_alike_or_refused_for_a_reason(wirecheck):
    chance = Chance(SEED + 2)
    streams = [chance.broken() for _ in range(BROKEN)]
    outcomes = collections.Counter()
    for stream, ours in zip(streams, wirecheck(streams)):
        message = message_of(stream)
        context = f"EGRESSD_SEED={SEED}\n{stream.hex()}\nours: {json.dumps(ours)}"
        if "error" in ours:
            assert any(reason in ours["error"] for reason in STRICTER), context
            assert message is None or flaw_shows(ours["error"], message), context
            outcomes[next(reason for reason in STRICTER if reason in ours["error"])] += 1
        elif "incomplete" in ours:
            assert message is None, context
            outcomes["incomplete"] += 1
        else:
            assert ours["message"] == message.hex() and len(message) <= LIMIT, context
            outcomes[compare(stream, ours, message)] += 1
    print(dict(outcomes))
    assert outcomes["both"] > BROKEN / 10 and all(outcomes[reason] for reason in STRICTER), outcomes


def compare(stream, ours, message):
    """Compares with scapy; where that fails, with the lengths that are in the message."""
    hello, said = parse(message)
    if hello is None or any(isinstance(extension, Raw) for extension in hello.ext or []):
        found = [[kind, data.hex()] for kind, data in layout(message)["extensions"]]
        assert ours["extensions"] == found, f"EGRESSD_SEED={SEED}\n{stream.hex()}\nours: {json.dumps(ours)}"
        return "other extensions"
    check(stream, ours, said)
    return "both"
