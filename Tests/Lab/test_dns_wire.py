"""Our reader and writer of DNS against dnspython's, on messages that are generated, written by the other, and broken.

Both must say the same of every message. Where only one reads it, the difference must be one of STRICTER or LAXER, and
that it is that one is checked.
"""

from __future__ import annotations

import collections
import io
import ipaddress
import json
import random
import re
import struct
import sys

import pytest
from checkers import checker
from conftest import SEED
from lab import ROOT

sys.path.insert(0, str(ROOT / ".build/python"))
dns = pytest.importorskip("dns", reason="dnspython is missing: run Tests/Tools/install-dependencies")

import dns.edns  # noqa: E402
import dns.exception  # noqa: E402
import dns.flags  # noqa: E402
import dns.message  # noqa: E402
import dns.name  # noqa: E402
import dns.rdata  # noqa: E402
import dns.rdtypes.ANY.SOA  # noqa: E402
import dns.rdtypes.svcbbase  # noqa: E402
import dns.rrset  # noqa: E402

GENERATED = 6_000
BROKEN = 14_000
A, NS, CNAME, SOA, PTR, MX, RP, AAAA, SRV, NAPTR, DNAME, OPT, SVCB, HTTPS, TSIG = (
    1, 2, 5, 6, 12, 15, 17, 28, 33, 35, 39, 41, 64, 65, 250,
)  # fmt: skip
# The types whose data both read: in every class, and in IN alone.
READ_ANYWHERE = {NS, CNAME, SOA, PTR, MX, RP, 18, 21, 24, DNAME, OPT}
READ_IN_IN = {A, AAAA, SRV, NAPTR, 26, 36, SVCB, HTTPS}
# RFC 3597 §4 has receivers write these out; dnspython keeps them as they are.
OLD = {3, 4, 7, 8, 9, 14, 30}
# Kept as bytes, with the names in them in lower case.
LOWERED = {MX, RP, 18, 21, 24, 26, NAPTR, 36}

# What we refuse and dnspython reads: our sentence, and why.
STRICTER = {
    "a dot or NUL within a label": "two names would have one text (BYPASSES.md, odd spellings)",
    "a compression pointer that may not be there": "it leads into the header, where no name is (RFC 1035 §4.1.4)",
    "old types": "their names are written out, so they must be whole (RFC 3597 §4)",
}
# What dnspython refuses and we read: the name of the difference, and why.
LAXER = {
    "long chain": "up to 127 pointers, as many as a name has labels; dnspython follows 16",
    "compressed": "names in DNAME, RT, AFSDB and KX are read when compressed, and written whole (RFC 3597 §4)",
    "signature": "TSIG is a record as others; where it stands is for who checks it (RFC 8945 §5.1)",
    "parameters": "what keys mean is for who uses them: alias mode, mandatory, no-default-alpn (RFC 9460 §2.4.2, §8)",
}


class HeaderPointer(dns.exception.FormError):
    """A pointer into the header."""


@pytest.fixture(scope="module", autouse=True)
def plain_dnspython():
    """Has dnspython keep as bytes what we keep as bytes: other types' data, options, values of service parameters."""
    patch = pytest.MonkeyPatch()
    classes = dns.rdata.get_rdata_class

    def get_rdata_class(rdclass, rdtype, use_generic=True):
        if rdtype in READ_ANYWHERE or rdclass == 1 and rdtype in READ_IN_IN:
            return classes(rdclass, rdtype, use_generic)
        return dns.rdata.GenericRdata

    patch.setattr(dns.rdata, "get_rdata_class", get_rdata_class)
    patch.setattr(dns.edns, "_type_to_class", {})
    mandatory = dns.rdtypes.svcbbase.ParamKey.MANDATORY
    params = dns.rdtypes.svcbbase._class_for_key
    patch.setattr(dns.rdtypes.svcbbase, "_class_for_key", {mandatory: params[mandatory]})
    yield
    patch.undo()


@pytest.fixture(scope="module")
def dnscheck():
    ask = checker("dnscheck")
    return lambda lines, *arguments: ask("".join(f"{line}\n" for line in lines).encode(), *arguments, count=len(lines))


def read(dnscheck, wires):
    return [json.loads(answer) for answer in dnscheck([wire.hex() for wire in wires])]


# What dnspython says, in dnscheck's form.


def parse(wire):
    """dnspython's message; of another opcode than QUERY too, which it would read in ways of its own."""
    if len(wire) > 2:
        wire = wire[:2] + bytes([wire[2] & 0x87]) + wire[3:]
    return dns.message.from_wire(wire, keyring=False, one_rr_per_rrset=True)


def name_form(name):
    return name.to_wire(canonicalize=True).hex() if name.is_absolute() else None


def data_form(rd):
    kind = rd.rdtype if rd.rdtype in READ_ANYWHERE or rd.rdclass == 1 else None
    if kind in (A, AAAA):
        address = ipaddress.ip_address(rd.address)
        return ["address", str(getattr(address, "ipv4_mapped", None) or address)]
    if kind in (NS, CNAME, PTR, DNAME):
        return ["name", name_form(rd.target)]
    if kind == SRV:
        return ["service", rd.priority, rd.weight, rd.port, name_form(rd.target)]
    if kind in (SVCB, HTTPS):
        return ["binding", rd.priority, name_form(rd.target), [[int(k), param(v)] for k, v in sorted(rd.params.items())]]
    if kind == SOA:
        times = [rd.serial, rd.refresh, rd.retry, rd.expire, rd.minimum]
        return ["authority", name_form(rd.mname), name_form(rd.rname), *times]
    return ["opaque", rd.to_wire().hex()]


def param(value):
    file = io.BytesIO()
    if value is not None:
        value.to_wire(file)
    return file.getvalue().hex()


def record_form(rrset):
    return [name_form(rrset.name), int(rrset.rdtype), int(rrset.rdclass), rrset.ttl, data_form(rrset[0])]


def form(message, wire):
    flags = bytearray(wire[:4])
    flags[3] &= 0xBF
    opt = None
    if message.opt is not None:
        ttl = message.opt.ttl
        opt = [int(message.opt[0].rdclass), ttl >> 24, ttl >> 16 & 255, bool(ttl & 0x8000)]
    return {
        "header": flags.hex(),
        "questions": [[name_form(q.name), int(q.rdtype), int(q.rdclass)] for q in message.question],
        "answers": [record_form(rrset) for rrset in message.answer],
        "authorities": [record_form(rrset) for rrset in message.authority],
        "additionals": [record_form(rrset) for rrset in message.additional],
        "extension": opt,
    }


def query_form(said):
    """The question of what is a query for us, else None."""
    records = said["answers"] + said["authorities"] + said["additionals"]
    plain = int(said["header"][4:6], 16) & 0xF8 == 0 and len(said["questions"]) == 1 and not records
    return said["questions"][0] if plain else None


def loosened(said):
    """The form without what the two may tell differently: the case of names in bytes, and what old types are."""
    said = {key: said[key] for key in ("header", "questions", "answers", "authorities", "additionals", "extension")}
    for section in ("answers", "authorities", "additionals"):
        records = []
        for owner, rdtype, rdclass, ttl, data in said[section]:
            if rdtype in LOWERED and data[0] == "opaque":
                data = ["opaque", bytes.fromhex(data[1]).lower().hex()]
            records.append([owner, rdtype, rdclass, ttl, None if rdtype in OLD else data])
        said[section] = records
    return said


# Messages.


class Chance:
    """Draws messages and breaks them."""

    LABELS = ["www", "example", "org", "cdn", "a", "b", "_https", "_tcp", "xn--bcher-kva", "mail", "x" * 63, "MiXeD", "10"]

    def __init__(self, seed):
        self.random = random.Random(seed)

    def bytes(self, most):
        return self.random.randbytes(self.random.randint(0, most))

    def name(self, odd=False):
        labels = [self.random.choice(self.LABELS).encode() for _ in range(self.random.randint(0, 4))]
        if self.random.random() < 0.3:
            labels = [bytes(self.random.choice((byte, byte ^ 0x20)) if 0x41 <= byte & 0xDF <= 0x5A else byte for byte in label)
                      for label in labels]  # fmt: skip
        if self.random.random() < 0.02:
            labels.append(bytes(self.random.choice(b"\x01 \"\\@;\xc0\xff()") for _ in range(3)))
        if odd:
            labels.insert(0, b"a.b\0"[: self.random.randint(2, 4)])
        if self.random.random() < 0.7:
            labels += [b"example", b"org"]
        while sum(len(label) + 1 for label in labels) > 254:
            labels.pop()
        return dns.name.Name([*labels, b""])

    def numbers(self, layout):
        return struct.pack(layout, *(self.random.getrandbits(8 * struct.calcsize(f"!{part}")) for part in layout[1:]))

    def parameters(self):
        keys = sorted(self.random.sample([*range(8), 300, 65280], self.random.randint(0, 4)))
        if 0 in keys:
            keys.remove(0)
        if 2 in keys and 1 not in keys:
            keys.remove(2)
        return b"".join(struct.pack("!HH", key, len(value)) + value for key in keys for value in [self.bytes(20)])

    def data(self, rdtype, compress):
        """Data on the wire, its names compressed where the type and `compress` let them be."""
        name = lambda: compress(self.name())  # noqa: E731
        whole = lambda: self.name().to_wire()  # noqa: E731
        match rdtype:
            case 1:
                return self.random.randbytes(4)
            case 28:
                mapped = bytes(10) + b"\xff\xff" + self.random.randbytes(4)
                return mapped if self.random.random() < 0.1 else self.random.randbytes(16)
            case 2 | 5 | 12:
                return name()
            case 39:
                return whole()
            case 6:
                return name() + compress(self.name(odd=self.random.random() < 0.2)) + self.numbers("!IIIII")
            case 15 | 18 | 21:
                return self.numbers("!H") + (name() if rdtype == MX else whole())
            case 17:
                return name() + name()
            case 33:
                return self.numbers("!HHH") + (name() if self.random.random() < 0.3 else whole())
            case 35:
                strings = b"".join(bytes([len(text)]) + text for text in (self.bytes(5), self.bytes(9), self.bytes(20)))
                return self.numbers("!HH") + strings + name()
            case 64 | 65:
                parameters = self.parameters()
                return struct.pack("!H", 1 if parameters else self.random.choice([0, 1])) + whole() + parameters
            case _:
                return self.bytes(40)

    def message(self):
        """One message, compressed by chance: often as servers do, now and then in ways that are only allowed."""
        is_query = self.random.random() < 0.2
        counts = [1, 0, 0, 0] if is_query else [self.random.choice([0, 1, 1, 1, 2])] + [
            self.random.choice([0, 0, 1, 2, 5]) for _ in range(3)]  # fmt: skip
        opt = self.random.random() < 0.5
        flags = 0x0100 if is_query else self.random.getrandbits(16)
        head = struct.pack("!HHHHHH", self.random.getrandbits(16), flags, *counts[:3], counts[3] + opt)
        self.wire = bytearray(head)
        self.known = {}
        for _ in range(counts[0]):
            self.wire += self.compressed(self.name())
            self.wire += struct.pack("!HH", self.random.choice([1, 28, 5, 65, 255, 65399]), 1)
        place = self.random.randint(0, counts[3])
        for index in range(sum(counts[1:])):
            if opt and index == counts[1] + counts[2] + place:
                self.option()
                opt = False
            self.record()
        if opt:
            self.option()
        return bytes(self.wire)

    def compressed(self, name):
        """The name behind what was written, with a pointer to any earlier occurrence of its end."""
        start = len(self.wire)
        written = b""
        labels = [label.lower() for label in name.labels]
        for index, label in enumerate(name.labels[:-1]):
            target = self.known.get(tuple(labels[index:]))
            if target is not None and self.random.random() < 0.9:
                return written + struct.pack("!H", 0xC000 | target)
            if start + len(written) < 0x4000:
                self.known.setdefault(tuple(labels[index:]), start + len(written))
            written += bytes([len(label)]) + label
        return written + b"\0"

    def record(self):
        rdtype = self.random.choice([1, 1, 28, 28, 2, 5, 5, 6, 12, 15, 16, 17, 18, 21, 33, 35, 39, 46, 64, 65, 65, 99, 257, 65399])
        rdclass = 1 if self.random.random() < 0.95 else self.random.choice([3, 4, 254, 255])
        if rdtype in READ_IN_IN and rdclass != 1:
            rdtype = 65399
        self.wire += self.compressed(self.name())
        ttl = self.random.choice([0, 60, 3600, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
        self.wire += struct.pack("!HHIH", rdtype, rdclass, ttl, 0)
        length = len(self.wire)
        before = bytes(self.wire)
        # Where the names will be: what is before them in the data is drawn later.
        self.wire += bytes({MX: 2, SRV: 6}.get(rdtype, 0))
        compress = lambda name: self.follow(name) if rdtype != NAPTR else name.to_wire()  # noqa: E731
        data = self.data(rdtype, compress)
        self.wire = bytearray(before) + data
        self.wire[length - 2 : length] = struct.pack("!H", len(data))

    def follow(self, name):
        written = self.compressed(name)
        self.wire += written
        return written

    def option(self):
        options = b"".join(struct.pack("!HH", self.random.choice([3, 8, 10, 12, 15]), len(value)) + value
                           for value in (self.bytes(12) for _ in range(self.random.randint(0, 2))))  # fmt: skip
        self.wire += b"\0" + struct.pack("!HHIH", OPT, self.random.choice([512, 1232, 4096, 65535, 0]),
                                         self.random.choice([0, 0x8000, 0x01000000, 0x00010000, 0xFFFFFFFF]), len(options))  # fmt: skip
        self.wire += options

    def broken(self, wire):
        wire = bytearray(wire)
        for _ in range(self.random.choice([1, 1, 1, 2, 3])):
            place = self.random.randrange(len(wire)) if wire else 0
            match self.random.randint(0, 8):
                case 0 | 1 if wire:
                    wire[place] = self.random.choice([0, 1, 2, 0x2E, 0x3F, 0x40, 0x80, 0xC0, 0xFF, self.random.getrandbits(8)])
                case 2 if wire:
                    wire[place] ^= 1 << self.random.randrange(8)
                case 3:
                    wire[place : place + 2] = struct.pack("!H", 0xC000 | self.random.randrange(max(1, min(len(wire) + 4, 0x3FFF))))
                case 4:
                    del wire[place:]
                case 5:
                    wire += self.bytes(12)
                case 6 if len(wire) > 12:
                    wire[self.random.randrange(4, 12)] = self.random.choice([0, 1, 2, 3, 255])
                case 7:
                    wire[place:place] = self.bytes(4)
                case _:
                    other = self.random.randrange(len(wire)) if wire else 0
                    wire[place : place + 8] = wire[other : other + 8]
        return bytes(wire)


# The tests.


def check(wire, ours, theirs):
    wanted = loosened(form(theirs, wire))
    got = loosened(ours)
    assert got == wanted, f"EGRESSD_SEED={SEED}\n{wire.hex()}\nours:   {json.dumps(got)}\ntheirs: {json.dumps(wanted)}"
    assert ours.get("query") == query_form(ours), f"EGRESSD_SEED={SEED}: read as a query or not: {wire.hex()} {ours}"


def test_what_is_generated_is_read_alike(dnscheck):
    chance = Chance(SEED)
    wires = [chance.message() for _ in range(GENERATED)]
    kinds = collections.Counter()
    for wire, ours in zip(wires, read(dnscheck, wires)):
        assert "error" not in ours, f"EGRESSD_SEED={SEED}: {ours['error']}: {wire.hex()}"
        check(wire, ours, parse(wire))
        kinds.update(record[4][0] for section in ("answers", "authorities", "additionals") for record in ours[section])
    assert set(kinds) == {"address", "name", "service", "binding", "authority", "opaque"} and min(kinds.values()) > 300, kinds


def test_what_we_write_is_read_by_dnspython(dnscheck):
    chance = Chance(SEED + 1)
    wires = [chance.message() for _ in range(GENERATED)]
    forms = [form(parse(wire), wire) for wire in wires]
    # A mailbox with a dot can be read and not be made.
    forms = [said for said in forms if not re.search('"0[2-4]612e', json.dumps(said))]
    limits = [chance.random.choice([65535, 65535, 512, 1232, 300]) for _ in forms]
    lines = [json.dumps({**said, "limit": limit}) for said, limit in zip(forms, limits)]
    cut = 0
    for said, limit, written in zip(forms, limits, dnscheck(lines, "--encode")):
        assert written != "no message", f"EGRESSD_SEED={SEED}: {json.dumps(said)}"
        wire = bytes.fromhex(written)
        got = form(parse(wire), wire)
        context = f"EGRESSD_SEED={SEED} limit {limit}\n{written}\nmeant: {json.dumps(said)}\nread:  {json.dumps(got)}"
        # Questions are never cut off; who asks the resolver asks one.
        assert len(wire) <= limit or len(said["questions"]) > 1, context
        if limit < 65535:
            cut += got != said
            check_cut(said, got, context)
            said = got
        assert got == said, context
    assert len(forms) > GENERATED / 2 and cut > 100, (len(forms), cut)


def check_cut(said, got, context):
    """The message is the start of the one that was meant, with its OPT, and has TC when more than additionals is missing."""
    assert got["questions"] == said["questions"] and got["extension"] == said["extension"], context
    rest = ["answers", "authorities", "additionals"]
    meant = [(section, record) for section in rest for record in said[section]]
    left = [(section, record) for section in rest for record in got[section]]
    assert left == meant[: len(left)], context
    missing = any(section != "additionals" for section, _ in meant[len(left) :])
    flags = int(said["header"], 16) | (0x0200 if missing else 0)
    assert int(got["header"], 16) == flags, context


def test_what_is_broken_is_read_alike_or_differs_for_a_reason(dnscheck):
    chance = Chance(SEED + 2)
    wires = [chance.broken(chance.message()) for _ in range(BROKEN)]
    outcomes = collections.Counter()
    for wire, ours in zip(wires, read(dnscheck, wires)):
        try:
            theirs, error = parse(wire), None
        except Exception as raised:  # noqa: BLE001
            theirs, error = None, raised
        if theirs is not None and "error" not in ours:
            if theirs.tsig is not None:  # It is kept apart and without its time to live.
                outcomes["both, signed"] += 1
                continue
            check(wire, ours, theirs)
            outcomes["both"] += 1
        elif theirs is None and "error" in ours:
            outcomes["neither"] += 1
        else:
            reason = stricter(wire, ours, theirs) if theirs is not None else laxer(ours, error)
            assert reason in STRICTER or reason in LAXER, (
                f"EGRESSD_SEED={SEED}: only one reads it: {reason}\n{wire.hex()}\nours: {ours}\ntheirs: {theirs or repr(error)}"
            )
            outcomes[reason] += 1
    assert outcomes["both"] > BROKEN / 20 and outcomes["neither"] > BROKEN / 20, outcomes
    print(dict(outcomes))


def stricter(wire, ours, theirs):
    """Which of STRICTER it is that we refuse this; a sentence that is none of them when it is none."""
    names, types = [], set()
    for question in theirs.question:
        names.append(question.name)
    for rrset in theirs.answer + theirs.authority + theirs.additional:
        names.append(rrset.name)
        types.add(int(rrset.rdtype))
        names += [getattr(rrset[0], field) for field in ("target", "mname") if hasattr(rrset[0], field)]
    error = ours["error"]
    if error == "a dot or NUL within a label":
        odd = any(b"." in label or b"\0" in label for name in names for label in name.labels)
        return error if odd else f"no dot, but {error}"
    if error == "a compression pointer that may not be there" and points_into_header(wire):
        return error
    return "old types" if types & OLD else error


def laxer(ours, error):
    """Which of LAXER it is that dnspython refuses this."""
    records = ours["answers"] + ours["authorities"] + ours["additionals"]
    types = {record[1] for record in records}
    bindings = [record[4] for record in records if record[4][0] == "binding"]
    if isinstance(error, dns.name.PointerChainTooLong):
        return "long chain"
    if isinstance(error, dns.name.DecompressionForbidden) and types & {DNAME, 18, 21, 36}:
        return "compressed"
    if TSIG in types and isinstance(error, (dns.message.BadTSIG, dns.exception.FormError)):
        return "signature"
    if any(binding[1] == 0 and binding[3] or {0, 2} & {key for key, _ in binding[3]} for binding in bindings):
        return "parameters"
    return "no reason"


def points_into_header(wire):
    """Whether dnspython, told to refuse pointers into the header, refuses the message for one."""
    reader = dns.name.from_wire_parser

    def strict(parser, decompress=True):
        place = parser.current
        name = reader(parser, decompress)
        # Follow the pointers again: dnspython has seen that they end.
        while True:
            count = parser.wire[place]
            if count >= 192:
                place = (count & 63) << 8 | parser.wire[place + 1]
                if place < 12:
                    raise HeaderPointer
            elif count == 0:
                return name
            else:
                place += 1 + count

    patch = pytest.MonkeyPatch()
    patch.setattr(dns.name, "from_wire_parser", strict)
    try:
        parse(wire)
    except HeaderPointer:
        return True
    finally:
        patch.undo()
    return False


QUESTION = bytes.fromhex("123481800001000100000000") + b"\1a\7example\3org\0\0\1\0\1"


def answer(rdtype, data, rdclass=1):
    return QUESTION + b"\xc0\x0c" + struct.pack("!HHIH", rdtype, rdclass, 0, len(data)) + data


# The data of the first record, at 43: pointers each to the one before; the owner of the second points into them.
CHAIN = b"".join(struct.pack("!H", 0xC000 | (12 if hop == 0 else 41 + 2 * hop)) for hop in range(20))
DIFFERENCES = {
    "a dot or NUL within a label": answer(CNAME, b"\3a.b\0"),
    "a compression pointer that may not be there": answer(CNAME, b"\xc0\x08"),
    "old types": answer(7, b"\5a"),
    "long chain": QUESTION[:7] + b"\2" + answer(99, CHAIN)[8:] + CHAIN[-2:] + struct.pack("!HHIH", 99, 1, 0, 0),
    "compressed": answer(DNAME, b"\xc0\x0c"),
    "signature": answer(TSIG, b"", 255),
    "parameters": answer(HTTPS, b"\0\0\0\0\1\0\0"),
}


@pytest.mark.parametrize("reason", [*STRICTER, *LAXER])
def test_a_difference_that_is_listed_is_one(dnscheck, reason):
    wire = DIFFERENCES[reason]
    [ours] = read(dnscheck, [wire])
    try:
        theirs = parse(wire)
    except Exception as error:  # noqa: BLE001
        assert reason in LAXER and "error" not in ours, (ours, error)
        assert laxer(ours, error) == reason, (ours, repr(error))
    else:
        assert reason in STRICTER and "error" in ours, ours
        assert stricter(wire, ours, theirs) == reason
