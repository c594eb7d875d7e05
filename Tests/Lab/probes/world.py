"""The world's servers: TCP that greets and echoes, UDP that echoes. Tells on its output what it saw, one JSON per line."""

import asyncio
import json
import socket
import sys
import time


def tell(**facts):
    print(json.dumps({"at": time.monotonic(), **facts}), flush=True)


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
        self.peer = transport.get_extra_info("peername")[:2]
        self.local = transport.get_extra_info("sockname")[:2]
        self.ended = False
        tell(event="accept", peer=self.peer, local=self.local)
        transport.write(b"hi\n")

    def data_received(self, data):
        tell(event="data", peer=self.peer, local=self.local, data=data[:200].decode("latin-1"))
        self.transport.write(data)

    def eof_received(self):
        self.ended = True
        tell(event="eof", peer=self.peer, local=self.local)

    def connection_lost(self, error):
        if not self.ended:
            tell(event="reset", peer=self.peer, local=self.local, error=str(error))


class Datagrams(asyncio.DatagramProtocol):
    """Answers from the very address it was asked at: a wildcard socket would not."""

    def connection_made(self, transport):
        self.transport = transport
        self.local = transport.get_extra_info("sockname")[:2]

    def datagram_received(self, data, peer):
        tell(event="datagram", peer=peer[:2], local=self.local, data=data[:200].decode("latin-1"))
        self.transport.sendto(data, peer)


async def main():
    plan = json.loads(sys.argv[1])
    loop = asyncio.get_running_loop()
    for address in plan["addresses"]:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        for port in plan["tcp"]:
            listener = socket.socket(family, socket.SOCK_STREAM)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind((address, port))
            await loop.create_server(Echo, sock=listener, backlog=4096)
        for port in plan["udp"]:
            datagrams = socket.socket(family, socket.SOCK_DGRAM)
            if family == socket.AF_INET6:
                datagrams.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            datagrams.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            datagrams.bind((address, port))
            await loop.create_datagram_endpoint(Datagrams, sock=datagrams)
    tell(event="ready")
    await asyncio.Event().wait()


asyncio.run(main())
