"""A name server of the world that does what it is told: one JSON command per line, and each query it saw as a JSON line.

Its one argument is the plan: `{"servers": [["10.99.0.2", 53], …]}`. All of them serve the same records, over UDP and TCP.
"""

import asyncio
import json
import os
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import dns_wire as wire  # noqa: E402

SOA = ["ns.lab.test", "root.lab.test", 1, 3600, 600, 86400]


def tell(**facts):
    print(json.dumps({"at": time.monotonic(), **facts}), flush=True)


class Zone:
    """Records by name and type. A name that starts with `*.` answers for all below it that have no records."""

    def __init__(self):
        self.clear()

    def clear(self):
        self.records = {}
        self.behaviours = []
        self.negative_ttl = 5

    def kinds(self, name):
        name = name.lower()
        while name not in self.records:
            parent = name.removeprefix("*.").partition(".")[2]
            if not parent:
                return None
            name = f"*.{parent}"
        return self.records[name]

    def answers(self, name, kind):
        """The code and the records, with the chain of CNAMEs that leads to them, as a recursive server gives them."""
        found, seen, code = [], set(), "NOERROR"
        while True:
            kinds = self.kinds(name)
            if kinds is None:
                return ("NXDOMAIN" if code == "NOERROR" else code), found
            if kind in kinds or kind == "ANY":
                for each in kinds if kind == "ANY" else [kind]:
                    ttl, values = kinds[each]
                    found += [(name, each, ttl, value) for value in values]
                return code, found
            if "CNAME" not in kinds:
                return code, found
            ttl, values = kinds["CNAME"]
            found.append((name, "CNAME", ttl, values[0]))
            if name.lower() in seen:
                return code, found
            seen.add(name.lower())
            name = values[0]

    def behaviour(self, name, kind, transport, server):
        """The first that fits; one that is for a number of times only is counted down."""
        for entry in self.behaviours:
            fits = (
                covers(entry["name"], name.lower())
                and entry.get("type", kind) == kind
                and entry.get("transport", transport) == transport
                and entry.get("server", server) == server
            )
            if fits and entry.get("times") != 0:
                if "times" in entry:
                    entry["times"] -= 1
                return entry
        return {"do": "answer"}


def covers(pattern, name):
    return name.endswith(pattern[1:]) if pattern.startswith("*.") else name == pattern.lower()


ZONE = Zone()


def message(number, spelled, kind, code, records, flags=0, edns=True):
    head = wire.RESPONSE | wire.RECURSE | wire.AVAILABLE | flags | wire.CODES[code]
    body = b""
    for name, each, ttl, value in records:
        raw = bytes.fromhex(value) if each.startswith("TYPE") else wire.put_data(each, value)
        body += wire.put_name(name) + struct.pack("!HHIH", wire.type_number(each), 1, ttl, len(raw)) + raw
    authority = b""
    if not any(each == kind for _, each, _, _ in records) and code in ("NOERROR", "NXDOMAIN"):
        raw = wire.put_data("SOA", [*SOA, ZONE.negative_ttl])
        authority = wire.put_name("test") + struct.pack("!HHIH", wire.TYPES["SOA"], 1, ZONE.negative_ttl, len(raw)) + raw
    extra = b"\0" + struct.pack("!HHIH", wire.TYPES["OPT"], 1232, 0, 0) if edns else b""
    counts = (1, len(records), 1 if authority else 0, 1 if extra else 0)
    asked = wire.put_name(spelled) + struct.pack("!HH", wire.type_number(kind), 1)
    return struct.pack("!6H", number, head, *counts) + asked + body + authority + extra


class Reply:
    """What goes back for one query, as its behaviour says."""

    def __init__(self, told, transport, server, send):
        self.number = told["id"]
        self.spelled, self.kind = told["questions"][0]
        self.edns = told["edns"]
        self.transport = transport
        self.send = send
        self.behaviour = ZONE.behaviour(self.spelled, self.kind, transport, server)

    def honest(self, **changes):
        code, records = ZONE.answers(self.spelled, self.kind)
        whole = {"number": self.number, "spelled": self.spelled, "code": code, "records": records, **changes}
        made = message(
            whole["number"], whole["spelled"], self.kind, whole["code"], whole["records"], edns=self.edns is not None
        )
        limit = 65535 if self.transport == "tcp" else max(512, self.edns or 512)
        return made if len(made) <= limit else self.cut()

    def cut(self):
        return message(self.number, self.spelled, self.kind, "NOERROR", [], wire.TRUNCATED, self.edns is not None)

    def poisoned(self, **changes):
        """An answer with the address that nobody may believe."""
        poison = self.behaviour.get("poison")
        return self.honest(**({"records": [(self.spelled, self.kind, 300, poison)]} if poison else {}), **changes)

    async def give(self):
        do = self.behaviour["do"]
        if do == "drop":
            return
        if do == "delay":
            await asyncio.sleep(self.behaviour["seconds"])
        elif do == "rcode":
            return self.send(self.honest(code=self.behaviour["code"], records=[]))
        elif do == "truncate" and self.transport == "udp":
            return self.send(self.cut())
        elif do == "garbage":
            return self.send(bytes.fromhex(self.behaviour["bytes"]).replace(b"ID", struct.pack("!H", self.number)))
        elif do == "extra":
            code, records = ZONE.answers(self.spelled, self.kind)
            more = [tuple(record) for record in self.behaviour["records"]]
            return self.send(self.honest(code=code, records=records + more))
        elif do == "wrong-case":
            return self.send(self.honest(spelled=self.spelled.lower()))
        elif do == "spoof":
            self.spoof()
        self.send(self.honest())

    def spoof(self):
        """False answers ahead of the true one: another id, another question, another spelling, another sender."""
        for shift in (1, 0x8000):
            self.send(self.poisoned(number=self.number ^ shift))
        self.send(self.poisoned(spelled="other.test"))
        if self.spelled != self.spelled.lower():
            self.send(self.poisoned(spelled=self.spelled.lower()))
        if self.transport == "udp":
            self.send(self.poisoned(), elsewhere=True)


def seen(data, transport, server, peer):
    """Tells of a query; nothing of what is no query."""
    try:
        told = wire.parse(data)
    except (IndexError, ValueError, struct.error):
        tell(event="junk", server=server, transport=transport, peer=peer, data=data[:200].hex())
        return None
    tell(
        event="query", server=server[0], port=server[1], transport=transport, peer=peer, id=told["id"],
        name=told["questions"][0][0].lower() if told["questions"] else None,
        spelled=told["questions"][0][0] if told["questions"] else None,
        type=told["questions"][0][1] if told["questions"] else None,
        questions=len(told["questions"]), edns=told["edns"],
    )  # fmt: skip
    return told if told["questions"] and not told["response"] else None


class Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server, elsewhere):
        self.server = server
        self.elsewhere = elsewhere

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, peer):
        told = seen(data, "udp", self.server, peer[:2])
        if told is not None:
            reply = Reply(told, "udp", self.server[0], lambda made, **where: self.send(peer, made, **where))
            asyncio.ensure_future(reply.give())

    def send(self, peer, made, elsewhere=False):
        if elsewhere:
            self.elsewhere.sendto(made, peer)
        else:
            self.transport.sendto(made, peer)


class Server:
    """One address and port, over both transports; it can be stopped and started."""

    def __init__(self, address, port):
        self.at = [address, port]
        self.family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.parts = []

    def bound(self, kind, port):
        made = socket.socket(self.family, kind)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self.family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind == socket.SOCK_DGRAM:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        made.bind((self.at[0], port))
        made.setblocking(False)
        return made

    async def start(self):
        if self.parts:
            return
        loop = asyncio.get_running_loop()
        elsewhere = self.bound(socket.SOCK_DGRAM, 0)
        transport, _ = await loop.create_datagram_endpoint(
            lambda: Datagrams(self.at, elsewhere), sock=self.bound(socket.SOCK_DGRAM, self.at[1])
        )
        listener = await asyncio.start_server(self.stream, sock=self.bound(socket.SOCK_STREAM, self.at[1]), backlog=1024)
        self.parts = [elsewhere, transport, listener]

    async def stop(self):
        for part in self.parts:
            part.close()
        self.parts = []

    async def stream(self, reader, writer):
        peer = writer.get_extra_info("peername")[:2]

        def send(made, **_):
            writer.write(struct.pack("!H", len(made)) + made)

        try:
            while True:
                length = struct.unpack("!H", await reader.readexactly(2))[0]
                told = seen(await reader.readexactly(length), "tcp", self.at, peer)
                if told is not None:
                    asyncio.ensure_future(Reply(told, "tcp", self.at[0], send).give())
        except (asyncio.IncompleteReadError, OSError):
            pass
        writer.close()


async def obey(command, servers):
    do = command["do"]
    if do == "set":
        for name, kind, ttl, values in command["records"]:
            ZONE.records.setdefault(name.lower(), {})[kind] = (ttl, values)
    elif do == "remove":
        for name in command["names"]:
            ZONE.records.pop(name.lower(), None)
    elif do == "behave":
        ZONE.behaviours.insert(0, command["behaviour"])
    elif do == "behave-well":
        ZONE.behaviours = []
    elif do == "negative":
        ZONE.negative_ttl = command["ttl"]
    elif do == "clear":
        ZONE.clear()
        for server in servers:
            await server.start()
    elif do in ("stop", "start"):
        for server in servers:
            if command.get("server") in (None, server.at[0]):
                await (server.stop() if do == "stop" else server.start())
    else:
        raise ValueError(do)


async def main():
    servers = [Server(*at) for at in json.loads(sys.argv[1])["servers"]]
    for server in servers:
        await server.start()
    tell(event="ready")
    reader = asyncio.StreamReader(limit=16 << 20)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        command = json.loads(line)
        try:
            await obey(command, servers)
            tell(event="done", number=command["number"], error=None)
        except Exception as error:  # pylint: disable=broad-except
            tell(event="done", number=command["number"], error=f"{type(error).__name__}: {error}")


asyncio.run(main())
