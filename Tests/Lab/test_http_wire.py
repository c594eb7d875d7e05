"""Our readers of HTTP, HPACK and SSH against others': h11, h2 and hpack, and what real clients send.

On requests that are generated and broken, both must say the same. Where only one reads a request, the difference must be one of
those listed, and that it is that one is checked.
"""

from __future__ import annotations

import collections
import ipaddress
import json
import random
import re
import struct
import subprocess
import sys

import pytest
from checkers import checker, framed
from conftest import SEED
from lab import ROOT

sys.path.insert(0, str(ROOT / ".build/python"))
h11 = pytest.importorskip("h11", reason="h11 is missing: run Tests/Tools/install-dependencies")
hpack = pytest.importorskip("hpack", reason="hpack is missing: run Tests/Tools/install-dependencies")
pytest.importorskip("h2", reason="h2 is missing: run Tests/Tools/install-dependencies")

import h2.config  # noqa: E402
import h2.connection  # noqa: E402
import h2.events  # noqa: E402
import h2.exceptions  # noqa: E402
import h2.settings  # noqa: E402

GENERATED = 4_000
BROKEN = 8_000
LIMIT = 16_384
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

# What we refuse and h11 reads: our sentence, and why.
STRICTER = {
    "an HTTP line that does not end in CR LF": "two readers could see two heads (RFC 9112 §2.2)",
    "an HTTP field over several lines": "obsolete (RFC 9112 §5.2)",
    "an HTTP field value with control characters": "h11 refuses blanks and NUL alone",
    "an HTTP version other than 1.0 and 1.1": "h11 reads any two digits",
    "an HTTP target that is no path": "h11 takes any visible characters",
    "HTTP content of more than one length": "beside Transfer-Encoding, or a list of one length (RFC 9112 §6.3)",
    "an HTTP transfer encoding other than chunked": "in HTTP/1.0 (RFC 9112 §6.1)",
    "an HTTP method that is no token": "of more than 32 characters",
    "more than 128 HTTP fields": "h11 bounds the bytes alone",
    "several HTTP hosts": "in HTTP/1.0, too",
    "HTTP that is to become": "h11 leaves upgrades to others",
}  # fmt: skip
# What we refuse and h2 reads.
STRICTER2 = {
    "an HTTP/2 frame that may not be there": "h2 takes any frame before the settings (RFC 9113 §3.4)",
    "an HTTP method that is no token": "h2 takes any method",
    "an HTTP target that is no path": "h2 takes any scheme, and any path that is not empty",
    "an HTTP field name that is no token": "h2 refuses what RFC 9113 §8.2.1 does, which is less",
    "an HTTP field value with control characters": "h2 refuses NUL, CR and LF alone",
    "HTTP/2 pseudo-fields that do not fit": "h2 moves cookies to the end before it looks; CONNECT needs its :authority (§8.5)",
    "a field in HTTP/2 that only HTTP/1 has": "h2 takes `te: trailers` in any case",
    "HTTP that is to become": "h2 leaves extended CONNECT to others",
    "more than 128 HTTP/2 fields or 16384 bytes of them": "h2 allows 64 KiB",
    "a wrong table size in compressed HTTP/2 fields": "at most two changes in one block (RFC 7541 §4.2)",
    "an HTTP head of more than 16384 bytes": "h2 has no bound on what comes before the request",
}


@pytest.fixture(scope="module")
def wirecheck():
    ask = checker("wirecheck")
    return lambda reader, inputs: [json.loads(line) for line in ask(framed(inputs), reader, count=len(inputs))]


# What a host is, read once more.

LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", re.ASCII)


def host_form(text):
    """The host as wirecheck prints it, or "unreadable"."""
    text = text.decode("latin-1")
    if text == "":
        return None
    match = re.fullmatch(r"(\[[^\]]*\]|[^:\[\]]*)(?::(\d{0,5}))?", text, re.ASCII)
    if match is None or int(match[2] or 0) > 65535:
        return "unreadable"
    host = match[1].lower()
    try:
        if host.startswith("["):
            if "%" in host or ":" not in host:
                return "unreadable"
            address = ipaddress.IPv6Address(host[1:-1])
            return {"address": str(address.ipv4_mapped or address)}
        return {"address": str(ipaddress.IPv4Address(host))}
    except ValueError:
        pass
    labels = (host[:-1] if len(host) > 1 and host.endswith(".") else host).split(".")
    if not all(LABEL.fullmatch(label) for label in labels) or len(".".join(labels)) > 253:
        return "unreadable"
    if re.fullmatch(r"\d+|0x[0-9a-f]*", labels[-1]):
        return "unreadable"
    return {"name": ".".join(labels)}


def loosened(host):
    return "unreadable" if host and "unreadable" in host else host


def refusal(said):
    """Why ours refuses it; None when it does not."""
    return said.get("error") or said.get("flaw")


# HTTP/1.


class Chance:
    """Draws requests and breaks them."""

    NAMES = ["a.example", "PyPI.example.org", "192.0.2.1", "[2001:db8::1]", "files.example.org.", "x_y.example", "0x7f.1", "a b",
             "u@a.example", "[::ffff:192.0.2.1]", "", "-a.example", "1.2.3", "xn--bcher-kva.example"]  # fmt: skip
    METHODS = ["GET", "GET", "POST", "HEAD", "PUT", "OPTIONS", "CONNECT", "M-SEARCH", "get", "X" * 33]
    PARTS = [b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b"\0", b"\r\n ", b"\x0b", b"\x7f", b"\xc3\xa9", b",", b"/", b"HTTP/1.1", b"\x01"]

    def __init__(self, seed):
        self.random = random.Random(seed)

    def host(self):
        return self.random.choice(self.NAMES) + self.random.choice(["", "", "", ":80", ":", ":65536", ":x"])

    def target(self, method):
        if method == "CONNECT" and self.random.random() < 0.9:
            return self.host().replace(" ", "") or "a.example:443"
        paths = ["/", "/simple/", "/a?b=c", "*", "http://a.example/x", "https://B.example:8443", "a.example:80", "//x", "?", "mailto:x"]
        return self.random.choice(paths[:3] if self.random.random() < 0.7 else paths)

    def fields(self):
        """Names and values but for the host."""
        drawn = []
        for _ in range(self.random.choice([0, 1, 2, 3, 8, 8])):
            drawn.append(self.random.choice([
                ("Accept", "*/*"), ("User-Agent", "x/1 (y; z)"), ("X-Empty", ""), ("x-tab", "a\tb"), ("X-Text", "h\xe9"),
                ("Content-Length", self.random.choice(["0", "5", "5", "05", "5, 5", "-1", "x"])),
                ("Transfer-Encoding", self.random.choice(["chunked", "Chunked", "gzip, chunked", "identity"])),
                ("Upgrade", self.random.choice(["websocket", "WebSocket", "h2c", ""])), ("Connection", "Upgrade, close"),
            ]))  # fmt: skip
        return drawn

    def request(self):
        method = self.random.choice(self.METHODS)
        version = self.random.choice(["HTTP/1.1"] * 8 + ["HTTP/1.0"] * 3 + ["HTTP/1.2", "HTTP/0.9", "http/1.1"])
        fields = self.fields()
        for _ in range(self.random.choice([0, 1, 1, 1, 1, 1, 1, 2])):
            fields.insert(self.random.randint(0, len(fields)), (self.random.choice(["Host", "host", "HOST"]), self.host()))
        blank = self.random.choice([" ", " ", "", "\t", "  "])
        lines = [f"{method} {self.target(method)} {version}", *(f"{name}:{blank}{value}" for name, value in fields)]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def broken(self, data, parts):
        data = bytearray(data)
        for _ in range(self.random.randint(1, 3)):
            place = self.random.randint(0, len(data))
            match self.random.randint(0, 3):
                case 0:
                    data[place:place] = self.random.choice(parts)
                case 1:
                    data[place : place + self.random.randint(1, 4)] = b""
                case 2:
                    data[place : place + 1] = bytes([self.random.getrandbits(8)])
                case 3:
                    data[place : place + 2] = self.random.choice(parts)
        return bytes(data)


def h11_says(data):
    """What h11 reads: its request, None for what is not whole, or its error."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data)
    try:
        event = connection.next_event()
    except h11.RemoteProtocolError as error:
        return error
    return event if isinstance(event, h11.Request) else None


def application_form(method, target, fields):
    """What the request is, and which bytes are its host."""
    if method == b"CONNECT":
        return "http-connect", target
    if match := re.match(rb"[A-Za-z0-9+.-]+://([^/?#]*)", target):
        return "http-connect", match[1]
    hosts = [value for name, value in fields if name == b"host"]
    upgrade = any(name == b"upgrade" for name, _ in fields)
    return ("websocket" if upgrade else "http"), (hosts[0] if hosts else b"")


def is_stricter(reason, data, theirs):
    """Whether the request that h11 reads has what our sentence says."""
    head = data[: LIMIT + 4]
    fields = [(name, value) for name, value in theirs.headers]
    values = lambda wanted: [value for name, value in fields if name == wanted]  # noqa: E731
    lengths = values(b"content-length")
    raw_lengths = re.findall(rb"(?im)^content-length:[ \t]*([^\r\n]*?)[ \t]*\r?$", head)
    checks = {
        "an HTTP line that does not end in CR LF": lambda: re.search(rb"(?<!\r)\n", head) or re.search(rb"\r(?!\n)", head),
        "an HTTP field over several lines": lambda: re.search(rb"\n[ \t]", head),
        "an HTTP field value with control characters": lambda: re.search(rb"[\x01-\x08\x0b-\x0c\x0e-\x1f\x7f]", head),
        "an HTTP version other than 1.0 and 1.1": lambda: theirs.http_version not in (b"1.0", b"1.1"),
        "an HTTP target that is no path": lambda: not theirs.target.startswith(b"/"),
        "HTTP content of more than one length": lambda: lengths and (
            values(b"transfer-encoding") or any(not one.isdigit() for one in raw_lengths) or len(lengths[0]) > 19),
        # Over several lines it is refused all the same; the empty first one is met before.
        "an HTTP transfer encoding other than chunked": lambda: theirs.http_version == b"1.0"
            or re.search(rb"(?im)^transfer-encoding:[^\n]*\n[ \t]", head),
        "an HTTP method that is no token": lambda: len(theirs.method) > 32,
        "more than 128 HTTP fields": lambda: len(fields) > 128,
        "several HTTP hosts": lambda: theirs.http_version == b"1.0" and len(values(b"host")) > 1,
        "HTTP that is to become": lambda: values(b"upgrade")[0].lower() != b"websocket",
    }  # fmt: skip
    key = next((key for key in checks if reason.startswith(key)), None)
    return key if key in STRICTER and checks[key]() else None


def compare(data, ours, theirs):
    """None where both say the same; else the difference, which must be listed."""
    if "incomplete" in ours:
        assert theirs is None, (data, theirs)
        return None
    reason = refusal(ours)
    if ours.get("application") == "http-connect" and reason is None:
        # Known from its first line: what follows was not read, so h11 gets none of it.
        line = data[: data.index(b"\r\n")]
        theirs = h11_says(line + b"\r\nHost: x\r\n\r\n")
    if not isinstance(theirs, h11.Request):
        assert reason is not None, (data, ours, theirs)
        return None
    if reason is not None:
        key = is_stricter(reason, data, theirs)
        assert key, (data, ours, theirs)
        return key
    application, host = application_form(theirs.method, theirs.target, theirs.headers)
    expected = {
        "version": {b"1.0": "http10", b"1.1": "http11"}[theirs.http_version],
        "method": theirs.method.decode(),
        "application": application,
        "host": host_form(host),
        "flaw": None,
    }
    assert {**ours, "host": loosened(ours["host"])} == expected, (data, ours)
    return None


def test_requests_are_read_as_h11_reads_them(wirecheck):
    chance = Chance(SEED)
    inputs = [chance.request() for _ in range(GENERATED)]
    inputs += [chance.broken(chance.random.choice(inputs), Chance.PARTS) + b"\r\n\r\n" for _ in range(BROKEN)]
    differences = collections.Counter()
    agreed = collections.Counter()
    for data, ours in zip(inputs, wirecheck("http", inputs)):
        theirs = h11_says(data)
        try:
            differences[compare(data, ours, theirs)] += 1
        except AssertionError as error:
            raise AssertionError(f"EGRESSD_SEED={SEED}: {error}") from None
        agreed[isinstance(theirs, h11.Request), refusal(ours) is None] += 1
    assert agreed[True, True] > GENERATED / 4 and agreed[False, False] > BROKEN / 10, agreed
    assert set(differences) <= {None, *STRICTER}, differences


DIFFERENCES = {
    "an HTTP line that does not end in CR LF": b"GET / HTTP/1.1\nHost: a.example\n\n",
    "an HTTP field over several lines": b"GET / HTTP/1.1\r\nHost: a.example\r\nX: y\r\n z\r\n\r\n",
    "an HTTP field value with control characters": b"GET / HTTP/1.1\r\nHost: a.example\r\nX: \1\r\n\r\n",
    "an HTTP version other than 1.0 and 1.1": b"GET / HTTP/1.2\r\nHost: a.example\r\n\r\n",
    "an HTTP target that is no path": b"GET x HTTP/1.1\r\nHost: a.example\r\n\r\n",
    "HTTP content of more than one length": b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    "an HTTP transfer encoding other than chunked": b"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
    "an HTTP method that is no token": b"X" * 33 + b" / HTTP/1.0\r\n\r\n",
    "more than 128 HTTP fields": b"GET / HTTP/1.0\r\n" + b"X: y\r\n" * 129 + b"\r\n",
    "several HTTP hosts": b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n",
    "HTTP that is to become": b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\n\r\n",
}


@pytest.mark.parametrize("reason", STRICTER)
def test_a_difference_that_is_listed_is_one(wirecheck, reason):
    data = DIFFERENCES[reason]
    [ours] = wirecheck("http", [data])
    assert refusal(ours).startswith(reason)
    theirs = h11_says(data)
    # What several hosts mean is left to others in HTTP/1.0 by some versions of h11 only.
    if reason != "several HTTP hosts" or isinstance(theirs, h11.Request):
        assert is_stricter(refusal(ours), data, theirs) == reason, theirs


# HPACK.


def block(chance, encoder, fields):
    if chance.random.random() < 0.1:
        encoder.header_table_size = chance.random.choice([0, 100, 256, 4096])
    return encoder.encode(fields, huffman=chance.random.random() < 0.5)


def drawn_fields(chance):
    names = [b":path", b":method", b"accept", b"x-a", b"x-b", b"cookie", b"user-agent", b"", b"x" * 90, bytes(range(256))]
    drawn = []
    for _ in range(chance.random.choice([0, 1, 3, 10])):
        value = chance.random.choice([b"", b"a", b"GET", b"/", chance.random.randbytes(chance.random.randint(0, 60)), b"y" * 300])
        kind = chance.random.choice([hpack.HeaderTuple, hpack.HeaderTuple, hpack.NeverIndexedHeaderTuple])
        drawn.append(kind(chance.random.choice(names), value))
    return drawn


def hpack_says(blocks):
    """The fields of each block, as hpack reads them, and its error at the end."""
    decoder = hpack.Decoder(max_header_list_size=1 << 20)
    decoder.max_allowed_table_size = 4096
    said = []
    for one in blocks:
        try:
            said.append([[name.hex(), value.hex()] for name, value in decoder.decode(one, raw=True)])
        except hpack.HPACKError as error:
            return [*said, {"error": repr(error)}]
    return said


def test_fields_are_decompressed_as_hpack_does(wirecheck):
    chance = Chance(SEED)
    connections = []
    for index in range(GENERATED):
        encoder = hpack.Encoder()
        blocks = [block(chance, encoder, drawn_fields(chance)) for _ in range(chance.random.randint(1, 4))]
        if index % 3:
            place = chance.random.randrange(len(blocks))
            blocks[place] = chance.broken(blocks[place], [b"\xff", b"\xbe", b"\x3f\xe1\x1f", b"\x20", b"\0", b"\x7f\xff\xff\xff\xff\xff"])
        connections.append(blocks)
    inputs = [b"".join(struct.pack("!H", len(one)) + one for one in blocks) for blocks in connections]
    outcomes = collections.Counter()
    for blocks, ours in zip(connections, wirecheck("hpack", inputs)):
        theirs = hpack_says(blocks)
        outcomes[outcome(blocks, ours, theirs)] += 1
    assert outcomes["same"] > GENERATED / 3 and outcomes["both refuse"] > GENERATED / 10, outcomes


def outcome(blocks, ours, theirs):
    """`same`, `both refuse`, or by which of our bounds ours refuses what hpack reads."""
    context = f"EGRESSD_SEED={SEED}: {[one.hex() for one in blocks]}: {ours} {theirs}"
    our_error = ours[-1].get("error") if ours and isinstance(ours[-1], dict) else None
    their_error = theirs[-1].get("error") if theirs and isinstance(theirs[-1], dict) else None
    if our_error is None:
        assert their_error is None and ours == theirs, context
        return "same"
    # Up to there both say the same.
    assert ours[:-1] == theirs[: len(ours) - 1], context
    if their_error is not None and len(ours) == len(theirs):
        return "both refuse"
    assert our_error in STRICTER2, context
    return our_error


# HTTP/2.


def frame(kind, payload=b"", flags=0, stream=0):
    return struct.pack("!I", len(payload))[1:] + bytes([kind, flags]) + struct.pack("!I", stream) + payload


class Chance2(Chance):
    """Draws connections of HTTP/2 up to their first request; every other is `tidy`."""

    tidy = False

    PARTS = [b"\0", b"\1", b"\4", b"\x82", b"\x84", b"\x86", b"\xbe", b"\xff", b"\x0a", b":", b" ", frame(4), frame(4, flags=1),
             frame(6, bytes(8)), frame(8, b"\0\0\0\1"), frame(2, bytes(5), stream=3), frame(0xFA, b"x"), frame(0, b"x", stream=1)]  # fmt: skip

    def pseudo(self):
        if self.tidy:
            return [(":method", self.random.choice(["GET", "POST", "PUT"])), (":scheme", "http"), (":authority", self.host()),
                    (":path", self.random.choice(["/", "/x?y", "/simple/"]))]  # fmt: skip
        method = self.random.choice(["GET", "GET", "GET", "POST", "OPTIONS", "CONNECT", "get", "G T"])
        fields = [(":method", method), (":scheme", self.random.choice(["http"] * 6 + ["https", "ftp"])),
                  (":authority", self.host()), (":path", self.random.choice(["/", "/", "/x?y", "*", "", "x", "http://b/"]))]  # fmt: skip
        if method == "CONNECT":
            fields = [fields[0], fields[2]] if self.random.random() < 0.6 else fields
            if self.random.random() < 0.3:
                fields.append((":protocol", self.random.choice(["websocket", "connect-udp"])))
        if self.random.random() < 0.15:
            fields.pop(self.random.randrange(len(fields)))
        if self.random.random() < 0.1:
            fields.append(self.random.choice([*fields, (":x", "y"), (":status", "200"), (":protocol", "x")] or [(":x", "y")]))
        self.random.shuffle(fields)
        return fields

    def more(self):
        if self.tidy:
            fields = [("accept", "*/*"), ("user-agent", "x/1"), ("cookie", "a=b"), ("te", "trailers"), ("x-text", "h\xe9"), ("x-empty", "")]
            return self.random.sample(fields, self.random.randint(0, 5))
        drawn = []
        for _ in range(self.random.choice([0, 1, 2, 5])):
            drawn.append(self.random.choice([
                ("accept", "*/*"), ("user-agent", "x/1"), ("content-length", self.random.choice(["5", "6", "x"])), ("cookie", "a=b"),
                ("te", self.random.choice(["trailers", "gzip"])), ("x-empty", ""), ("x-text", "h\xe9"),
                self.random.choice([("connection", "close"), ("upgrade", "h2c"), ("Accept", "x"), ("x y", "z"), ("x", " y"), ("x", "a\0b"),
                                    ("", "x"), ("host", self.host()), ("transfer-encoding", "chunked"), ("x", "a\1b")]),
            ]))  # fmt: skip
        if self.random.random() < 0.1 and drawn:
            drawn.append((":path", "/"))
        return drawn

    def request(self):
        self.tidy = not self.tidy
        encoder = hpack.Encoder()
        fields = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in self.pseudo() + self.more()]
        block = encoder.encode(fields, huffman=self.random.random() < 0.7)
        stream = self.random.choice([1, 1, 1, 3, 13])
        frames = [frame(4, self.settings())]
        for _ in range(self.random.choice([0, 0, 1, 2])):
            frames.append(self.random.choice(self.PARTS[11:17]))
        return PREFACE + b"".join(frames) + self.headers(block, stream)

    def settings(self):
        keys = self.random.sample([(1, 4096), (2, 0), (3, 100), (4, 65535), (5, 16384), (6, 65536), (8, 1), (0x1A2A, 7)], 3)
        return b"".join(struct.pack("!HI", *key) for key in keys)

    def headers(self, block, stream):
        cuts = sorted(self.random.randint(0, len(block)) for _ in range(self.random.choice([0, 0, 0, 1, 2])))
        parts = [block[start:end] for start, end in zip([0, *cuts], [*cuts, len(block)])]
        flags, first = 1, parts[0]
        if self.random.random() < 0.2:
            flags, first = flags | 0x20, struct.pack("!IB", 0, 15) + first
        if self.random.random() < 0.2:
            flags, first = flags | 0x08, bytes([3]) + first + bytes(3)
        written = frame(1, first, flags | (4 if len(parts) == 1 else 0), stream)
        for index, part in enumerate(parts[1:], 2):
            written += frame(9, part, 4 if index == len(parts) else 0, stream)
        return written


def h2_says(data):
    """The fields of the first request as h2 reads them, None for none yet, or its error."""
    config = h2.config.H2Configuration(client_side=False, header_encoding=None)
    connection = h2.connection.H2Connection(config=config)
    connection.local_settings.enable_connect_protocol = 1
    connection.initiate_connection()
    try:
        place = len(PREFACE)
        connection.receive_data(data[:place])
        while place < len(data):
            end = place + 9 + int.from_bytes(data[place : place + 3]) if place + 9 <= len(data) else len(data)
            for event in connection.receive_data(data[place:end]):
                if isinstance(event, h2.events.RequestReceived):
                    return list(event.headers)
            place = end
    except (h2.exceptions.ProtocolError, hpack.HPACKError, ValueError) as error:
        return error
    return None


def form2(fields):
    said = dict(reversed(fields))
    method = said[b":method"]
    application = "http"
    if method == b"CONNECT":
        application = "websocket" if b":protocol" in said else "http-connect"
    host = said.get(b":authority", said.get(b"host", b""))
    return {"version": "http2", "method": method.decode(), "application": application, "host": host_form(host), "flaw": None}


def test_connections_are_read_as_h2_reads_them(wirecheck):
    chance = Chance2(SEED)
    inputs = [chance.request() for _ in range(GENERATED)]
    for _ in range(BROKEN):
        whole = chance.random.choice(inputs)
        inputs.append(PREFACE + chance.broken(whole[len(PREFACE) :], Chance2.PARTS))
    outcomes = collections.Counter()
    for data, ours in zip(inputs, wirecheck("http", inputs)):
        theirs = h2_says(data)
        context = f"EGRESSD_SEED={SEED}: {data.hex()}: {ours} {theirs!r}"
        if "incomplete" in ours:
            assert theirs is None or waits(data) or laxer(data, repr(theirs)), context
            outcomes["incomplete"] += 1
        elif (reason := refusal(ours)) is None:
            if not isinstance(theirs, list):
                assert laxer(data, repr(theirs)), context
                outcomes["ours alone"] += 1
                continue
            assert {**ours, "host": loosened(ours["host"])} == form2(theirs), context
            outcomes["same"] += 1
        elif isinstance(theirs, list):
            key = next((key for key in STRICTER2 if reason.startswith(key)), None)
            assert key, context
            outcomes[key] += 1
        else:
            outcomes["both refuse"] += 1
    assert outcomes["same"] > GENERATED / 3 and outcomes["both refuse"] > BROKEN / 10, outcomes


def frames(data):
    """The places of the frames, with a last one that may be cut, and where that would end."""
    place = len(PREFACE)
    while place + 9 <= len(data):
        yield place
        place += 9 + int.from_bytes(data[place : place + 3])
    yield place


def waits(data):
    """Whether the last frame is cut, so that what it will be wrong with is not there yet."""
    return list(frames(data))[-1] != len(data)


def laxer(data, error):
    """Whether it is one of three things that h2's reader of frames refuses and we read.

    Padding that leaves no fields does not exceed what is there (RFC 9113 §6.2), a reserved bit means nothing (§6.9), and what a
    client says in ALTSVC is ignored whatever it is (RFC 7838 §4).
    """
    for place in list(frames(data))[:-1]:
        kind, flags, payload = data[place + 3], data[place + 4], data[place + 9 :]
        length = int.from_bytes(data[place : place + 3])
        if kind == 1 and flags & 8 and length == 1 + payload[0] + (5 if flags & 0x20 else 0) and "padding" in error:
            return True
        if kind == 10 and "FrameDataMissing" in error:
            return True
        if kind == 8 and payload[0] & 0x80 and "non-compliant" in error:
            return True
    return False


FIELDS = [(":method", "GET"), (":scheme", "http"), (":authority", "a.example"), (":path", "/")]


def opened(fields, before=b"", first=frame(4), sizes=b""):
    return PREFACE + first + before + frame(1, sizes + hpack.Encoder().encode(fields), 5, 1)


DIFFERENCES2 = {
    "an HTTP/2 frame that may not be there": opened(FIELDS, first=frame(8, b"\0\0\0\1") + frame(4)),
    "an HTTP method that is no token": opened([(":method", "G T"), *FIELDS[1:]]),
    "an HTTP target that is no path": opened([*FIELDS[:3], (":path", "http://b.example/")]),
    "an HTTP field name that is no token": opened([*FIELDS, ("x(", "y")]),
    "an HTTP field value with control characters": opened([*FIELDS, ("x", "a\1b")]),
    "HTTP/2 pseudo-fields that do not fit": opened([*FIELDS[:3], ("cookie", "a=b"), FIELDS[3]]),
    "a field in HTTP/2 that only HTTP/1 has": opened([*FIELDS, ("te", "Trailers")]),
    "HTTP that is to become": opened([(":method", "CONNECT"), *FIELDS[1:], (":protocol", "connect-udp")]),
    "more than 128 HTTP/2 fields or 16384 bytes of them": opened([*FIELDS, *[("x", "y")] * 125]),
    "a wrong table size in compressed HTTP/2 fields": opened(FIELDS, sizes=b"\x20\x20\x20"),
    "an HTTP head of more than 16384 bytes": opened(FIELDS, frame(0xFA, bytes(10_000)) * 2),
}


@pytest.mark.parametrize("reason", STRICTER2)
def test_a_difference_from_h2_that_is_listed_is_one(wirecheck, reason):
    data = DIFFERENCES2[reason]
    [ours] = wirecheck("http", [data])
    assert refusal(ours).startswith(reason), ours
    assert isinstance(h2_says(data), list)


# SSH.


def test_banners_are_read_as_their_grammar_says(wirecheck):
    chance = Chance(SEED)
    parts = [b"\r\n", b"\n", b"\r", b"\0", b" ", b"-", b"SSH-", b"x" * 250, b"\xc3\xa9", b"y\n" * 20]
    strings = [b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", b"SSH-1.99-x\n", b"SSH-2.0-Go\r\n", b"hello\r\nSSH-2.0-x y\r\n", b"SSH-1.5-x\n"]
    inputs = strings + [chance.broken(chance.random.choice(strings), parts) for _ in range(GENERATED)]
    for data, ours in zip(inputs, wirecheck("ssh", inputs)):
        for side, before in (("client", rb""), ("server", rb"(?:(?!SSH-)[^\0\n]*\n){0,32}")):
            found = re.match(before + rb"(SSH-(?:2\.0|1\.99)-[!-~][ -~]*)(\r?\n)", data)
            whole = found is not None and len(found[1] + found[2]) <= 255
            said = ours[side].get("text")
            assert said == (found[1].hex() if whole else None), f"EGRESSD_SEED={SEED}: {data} {ours}"


# Real programs.

EXPECTED = {
    "curl": ("http", {"name": "pypi.example.org"}, None),
    "curl-post": ("http", {"name": "pypi.example.org"}, None),
    "curl-http10": ("http", {"name": "pypi.example.org"}, None),
    "curl-h2": ("http", {"name": "pypi.example.org"}, None),
    "curl-h2c": ("websocket", {"name": "pypi.example.org"}, "HTTP that is to become 'h2c'"),
    "curl-proxy": ("http-connect", {"name": "other.example"}, None),
    "curl-tunnel": ("http-connect", {"name": "other.example"}, None),
    "curl-websocket": ("websocket", {"name": "pypi.example.org"}, None),
    "curl-address": ("http", {"address": "127.0.0.1"}, None),
    "nghttp": ("http", {"name": "pypi.example.org"}, None),
    "requests": ("http", {"name": "pypi.example.org"}, None),
    "urllib": ("http", {"name": "pypi.example.org"}, None),
    "git": ("http", {"name": "git.example.org"}, None),
}
SIGNS = {"curl-socks4": "socks", "curl-socks4a": "socks", "curl-socks5": "socks", "ssh": "ssh", "sshd": "ssh", "dig": "dns"}


def test_what_real_programs_send_first(wirecheck, tmp_path):
    probe = ROOT / "Tests/Lab/probes/first_bytes.py"
    command = ["unshare", "--net", "--mount", "--propagation", "private", "/usr/bin/python3", str(probe), str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True)
    sent = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(sent) == EXPECTED.keys() | SIGNS.keys()
    for name, ours in zip(EXPECTED, wirecheck("http", [sent[name] for name in EXPECTED])):
        assert (ours.get("application"), ours.get("host"), ours.get("flaw")) == EXPECTED[name], (name, sent[name], ours)
    names = [*EXPECTED, *SIGNS]
    for name, ours in zip(names, wirecheck("application", [sent[name] for name in names])):
        assert ours["stream"] == SIGNS.get(name) or ours["stream"] == EXPECTED[name][0], (name, sent[name], ours)
    for side in ("client", "server"):
        program = {"client": "ssh", "server": "sshd"}[side]
        [ours] = wirecheck("ssh", [sent[program]])
        assert bytes.fromhex(ours[side]["text"]).startswith(b"SSH-2.0-OpenSSH"), ours
