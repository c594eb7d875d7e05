"""The world's servers of real protocols. Tells on its output what it saw, one JSON per line.

The plan: `{"certificate": …, "key": …, "library": …, "serve": [{"as": "tls", "at": address, "port": 443}, …]}`. `tls` answers
HTTP/1.1 inside TLS, `http` answers it bare and HTTP/2 with prior knowledge too, `quiet` reads and says nothing, `echo` says
back what it hears, `late` greets once it has heard something, `pipe` leads to another port of its own host (`to`),
`datagrams` reads UDP and says nothing.
"""

import asyncio
import json
import socket
import ssl
import sys
import time

TCP_FASTOPEN = 23


def tell(**facts):
    print(json.dumps({"at": time.monotonic(), **facts}), flush=True)


class Heard(asyncio.Protocol):
    """Tells of a connection's beginning, its first bytes and its end."""

    def __init__(self, plan):
        self.plan = plan
        self.total = 0
        self.ended = False

    def connection_made(self, transport):
        self.transport = transport
        self.who = {"peer": transport.get_extra_info("peername")[:2], "local": transport.get_extra_info("sockname")[:2]}
        tell(event="accept", **self.who)
        self.begun()

    def data_received(self, data):
        if self.total < 400:
            tell(event="data", data=data[:400].hex(), **self.who)
        self.total += len(data)
        self.heard(data)

    def eof_received(self):
        self.ended = True
        tell(event="eof", total=self.total, **self.who)

    def connection_lost(self, error):
        if not self.ended:
            tell(event="reset", total=self.total, error=str(error), **self.who)

    def begun(self):
        pass

    def heard(self, data):
        pass


class Quiet(Heard):
    pass


class Echo(Heard):
    def heard(self, data):
        self.transport.write(data)


class Late(Heard):
    """A server that lets the client speak first, and is SSH."""

    def heard(self, data):
        if self.total == len(data):
            self.transport.write(b"SSH-2.0-late\r\n")


class Pages(Heard):
    """Answers every request with one line that names the host and the target."""

    def __init__(self, plan):
        super().__init__(plan)
        self.buffer = b""
        self.second = None

    def say(self, data):
        self.transport.write(data)

    def heard(self, data):
        self.buffer += data
        if self.second is None and self.buffer.startswith(b"PRI * HTTP/2.0"):
            self.second = Second(self)
            data = self.buffer
        if self.second is not None:
            self.second.take(data)
            return
        while b"\r\n\r\n" in self.buffer:
            head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
            lines = head.decode("latin-1").split("\r\n")
            host = next((line[5:].strip() for line in lines[1:] if line.lower().startswith("host:")), None)
            tell(event="request", line=lines[0], host=host, **self.who)
            body = f"here is {host} with {lines[0]}\n".encode("latin-1")
            self.say(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


class Second:
    """HTTP/2 on a connection of `Pages`."""

    def __init__(self, pages):
        import h2.connection  # pylint: disable=import-outside-toplevel

        self.pages = pages
        self.connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        self.connection.initiate_connection()

    def take(self, data):
        import h2.events  # pylint: disable=import-outside-toplevel

        for event in self.connection.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                fields = dict(event.headers)
                tell(event="request", line="h2", host=fields.get(":authority"), **self.pages.who)
                self.connection.send_headers(event.stream_id, [(":status", "200")])
                body = f"here is {fields.get(':authority')} with h2\n".encode()
                self.connection.send_data(event.stream_id, body, end_stream=True)
        self.pages.transport.write(self.connection.data_to_send())


class Secured(Pages):
    """The same inside TLS; the bytes outside are told of as they come."""

    context = None

    def begun(self):
        self.inward, self.outward = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = self.context.wrap_bio(self.inward, self.outward, server_side=True)
        self.open = False

    def say(self, data):
        self.tls.write(data)

    def heard(self, data):
        self.inward.write(data)
        try:
            if not self.open:
                self.tls.do_handshake()
                self.open = True
                names = {"name": getattr(self.tls, "asked", None), "alpn": self.tls.selected_alpn_protocol()}
                tell(event="handshake", version=self.tls.version(), **names, **self.who)
            while plain := self.tls.read(65536):
                super().heard(plain)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            tell(event="failed", error=str(error), **self.who)
            self.flush()
            self.transport.close()
        self.flush()

    def flush(self):
        if out := self.outward.read():
            self.transport.write(out)


class Pipe(Heard):
    """Leads to another port."""

    def begun(self):
        self.waiting, self.far = [], None
        asyncio.get_running_loop().create_task(self.reach())

    async def reach(self):
        reader, self.far = await asyncio.open_connection("127.0.0.1", self.plan["to"])
        self.far.writelines(self.waiting)
        while data := await reader.read(65536):
            self.transport.write(data)
        self.transport.close()

    def heard(self, data):
        self.far.write(data) if self.far else self.waiting.append(data)

    def connection_lost(self, error):
        super().connection_lost(error)
        if self.far:
            self.far.close()


class Datagrams(asyncio.DatagramProtocol):
    def __init__(self, plan):
        self.plan = plan

    def datagram_received(self, data, peer):
        tell(event="datagram", data=data[:400].hex(), peer=peer[:2], local=[self.plan["at"], self.plan["port"]])


ROLES = {"quiet": Quiet, "echo": Echo, "late": Late, "http": Pages, "tls": Secured, "pipe": Pipe}


def bound(plan, kind):
    family = socket.AF_INET6 if ":" in plan["at"] else socket.AF_INET
    made = socket.socket(family, kind)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((plan["at"], plan["port"]))
    return made


async def serve(plan):
    loop = asyncio.get_running_loop()
    if plan["as"] == "datagrams":
        made = bound(plan, socket.SOCK_DGRAM)
        await loop.create_datagram_endpoint(lambda: Datagrams(plan), sock=made)
        return
    made = bound(plan, socket.SOCK_STREAM)
    made.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN, 64)
    await loop.create_server(lambda: ROLES[plan["as"]](plan), sock=made, backlog=4096)


async def main():
    plan = json.loads(sys.argv[1])
    sys.path.insert(0, plan["library"])
    Secured.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    Secured.context.load_cert_chain(plan["certificate"], plan["key"])
    Secured.context.set_alpn_protocols(["http/1.1"])
    Secured.context.sni_callback = lambda tls, name, _: setattr(tls, "asked", name)
    for one in plan["serve"]:
        await serve(one)
    tell(event="ready")
    await asyncio.Event().wait()


asyncio.run(main())
