"""DNS messages for the lab, to and from bytes (RFC 1035, 2782, 6891, 9460). It trusts what it reads: the lab made it."""

import socket
import struct

TYPES = {
    "A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "NULL": 10, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "SRV": 33,
    "OPT": 41, "SVCB": 64, "HTTPS": 65, "AXFR": 252, "ANY": 255,
}  # fmt: skip
NAMES = {number: name for name, number in TYPES.items()}
CODES = {"NOERROR": 0, "FORMERR": 1, "SERVFAIL": 2, "NXDOMAIN": 3, "NOTIMP": 4, "REFUSED": 5}
CODE_NAMES = {number: name for name, number in CODES.items()}
KEYS = {"mandatory": 0, "alpn": 1, "no-default-alpn": 2, "port": 3, "ipv4hint": 4, "ech": 5, "ipv6hint": 6}
KEY_NAMES = {number: name for name, number in KEYS.items()}
RESPONSE, AUTHORITATIVE, TRUNCATED, RECURSE, AVAILABLE = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080


def type_number(kind):
    return TYPES[kind] if kind in TYPES else int(kind.removeprefix("TYPE"))


def put_name(name):
    """A name without compression; text like `a.b`, or a list of labels as bytes for what has no text."""
    labels = name if isinstance(name, list) else [label.encode("latin-1") for label in name.rstrip(".").split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def question(name, kind, number=0, flags=RECURSE, edns=1232, klass=1):
    """A query with one question."""
    return query([(name, kind)], number, flags, edns, klass)


def query(questions, number=0, flags=RECURSE, edns=1232, klass=1):
    """A query with any number of questions."""
    body = b"".join(put_name(name) + struct.pack("!HH", type_number(kind), klass) for name, kind in questions)
    extra = b"\0" + struct.pack("!HHIH", TYPES["OPT"], edns, 0, 0) if edns else b""
    return struct.pack("!6H", number, flags, len(questions), 0, 0, 1 if edns else 0) + body + extra


def put_data(kind, data):
    """The data of a record, from what a test writes."""
    if kind == "A":
        return socket.inet_aton(data)
    if kind == "AAAA":
        return socket.inet_pton(socket.AF_INET6, data)
    if kind in ("CNAME", "PTR", "NS"):
        return put_name(data)
    if kind == "TXT":
        strings = [data] if isinstance(data, str) else data
        return b"".join(bytes([len(text)]) + text.encode("latin-1") for text in strings)
    if kind == "SRV":
        return struct.pack("!HHH", *data[:3]) + put_name(data[3])
    if kind == "SOA":
        return put_name(data[0]) + put_name(data[1]) + struct.pack("!5I", *data[2:])
    if kind in ("HTTPS", "SVCB"):
        return struct.pack("!H", data[0]) + put_name(data[1]) + put_parameters(data[2] if len(data) > 2 else {})
    return bytes.fromhex(data)


def put_parameters(parameters):
    made = []
    for name, value in parameters.items():
        if name == "alpn":
            raw = b"".join(bytes([len(one)]) + one.encode() for one in value)
        elif name == "mandatory":
            raw = b"".join(struct.pack("!H", number) for number in sorted(KEYS[one] for one in value))
        elif name == "port":
            raw = struct.pack("!H", value)
        elif name in ("ipv4hint", "ipv6hint"):
            raw = b"".join(put_data("A" if name == "ipv4hint" else "AAAA", one) for one in value)
        else:
            raw = bytes.fromhex(value)
        made.append((KEYS[name], raw))
    return b"".join(struct.pack("!HH", key, len(raw)) + raw for key, raw in sorted(made))


def get_name(message, at):
    """A name and where it ends; pointers are followed."""
    labels, end, jumps = [], None, 0
    while True:
        length = message[at]
        if length & 0xC0 == 0xC0:
            end = at + 2 if end is None else end
            at = (length & 0x3F) << 8 | message[at + 1]
            jumps += 1
            if jumps > 64:
                raise ValueError("a loop of pointers")
            continue
        at += 1
        if length == 0:
            return ".".join(labels), at if end is None else end
        labels.append(message[at : at + length].decode("latin-1"))
        at += length


def get_data(kind, message, at, length):
    raw = message[at : at + length]
    if kind == "A":
        return socket.inet_ntoa(raw)
    if kind == "AAAA":
        return socket.inet_ntop(socket.AF_INET6, raw)
    if kind in ("CNAME", "PTR", "NS"):
        return get_name(message, at)[0]
    if kind == "TXT":
        strings, position = [], 0
        while position < len(raw):
            strings.append(raw[position + 1 : position + 1 + raw[position]].decode("latin-1"))
            position += 1 + raw[position]
        return strings
    if kind == "SRV":
        return [*struct.unpack("!HHH", raw[:6]), get_name(message, at + 6)[0]]
    if kind in ("HTTPS", "SVCB"):
        target, position = get_name(message, at + 2)
        return [struct.unpack("!H", raw[:2])[0], target, get_parameters(message[position : at + length])]
    return raw.hex()


def get_parameters(raw):
    found, position = {}, 0
    while position < len(raw):
        key, length = struct.unpack("!HH", raw[position : position + 4])
        value = raw[position + 4 : position + 4 + length]
        name = KEY_NAMES.get(key, str(key))
        if name == "ipv4hint":
            found[name] = [socket.inet_ntoa(value[at : at + 4]) for at in range(0, length, 4)]
        elif name == "ipv6hint":
            found[name] = [socket.inet_ntop(socket.AF_INET6, value[at : at + 16]) for at in range(0, length, 16)]
        else:
            found[name] = value.hex()
        position += 4 + length
    return found


def parse(message):
    """What a message says. An OPT record is not among the records: `edns` is its size."""
    number, flags, questions, *counts = struct.unpack("!6H", message[:12])
    at = 12
    told = {
        "id": number, "code": CODE_NAMES.get(flags & 15, str(flags & 15)), "response": bool(flags & RESPONSE),
        "truncated": bool(flags & TRUNCATED), "recurse": bool(flags & RECURSE), "available": bool(flags & AVAILABLE),
        "opcode": flags >> 11 & 15, "questions": [], "edns": None, "size": len(message),
    }  # fmt: skip
    for _ in range(questions):
        name, at = get_name(message, at)
        kind, _klass = struct.unpack("!HH", message[at : at + 4])
        at += 4
        told["questions"].append([name, NAMES.get(kind, f"TYPE{kind}")])
    for section, count in zip(("answers", "authorities", "additionals"), counts):
        told[section] = []
        for _ in range(count):
            name, at = get_name(message, at)
            number, klass, ttl, length = struct.unpack("!HHIH", message[at : at + 10])
            kind = NAMES.get(number, f"TYPE{number}")
            at += 10
            if kind == "OPT":
                told["edns"] = klass
            else:
                told[section].append({"name": name, "type": kind, "ttl": ttl, "data": get_data(kind, message, at, length)})
            at += length
    return told
