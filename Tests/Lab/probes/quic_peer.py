"""QUIC's two sides with aioquic. `quic_peer.py server PLAN` tells what it saw; `quic_peer.py client PLAN` does what it is told,
one JSON command and one JSON answer per line. The plan: `{"library": …, "certificate": …, "key": …, "serve": […]}`.
"""

import asyncio
import json
import os
import socket
import sys
import time

PLAN = json.loads(sys.argv[2])
sys.path[:0] = [PLAN["library"], os.path.dirname(os.path.abspath(__file__))]

from aioquic.asyncio.protocol import QuicConnectionProtocol  # noqa: E402
from aioquic.asyncio.server import QuicServer  # noqa: E402
from aioquic.buffer import Buffer  # noqa: E402
from aioquic.quic.configuration import QuicConfiguration  # noqa: E402
from aioquic.quic.connection import QuicConnection  # noqa: E402
from aioquic.quic.crypto import CryptoPair  # noqa: E402
from aioquic.quic.events import ConnectionTerminated, HandshakeCompleted, StreamDataReceived  # noqa: E402
from aioquic.quic.packet import QuicPacketType, encode_long_header_first_byte, pull_quic_header  # noqa: E402
from commands import obey  # noqa: E402

VERSIONS = {1: 0x00000001, 2: 0x6B3343CF}
ALPN = ["hq-interop"]


def tell(**facts):
    print(json.dumps({"at": time.monotonic(), **facts}), flush=True)


# The server


class Echo(QuicConnectionProtocol):
    """Says back what comes on a stream."""

    def quic_event_received(self, event):
        if isinstance(event, HandshakeCompleted):
            tell(event="handshake", alpn=event.alpn_protocol)
        elif isinstance(event, StreamDataReceived):
            self._quic.send_stream_data(event.stream_id, event.data, end_stream=event.end_stream)
            self.transmit()


class Server(QuicServer):
    def __init__(self, at, **keys):
        super().__init__(**keys)
        self.at = at

    def datagram_received(self, data, addr):
        tell(event="datagram", size=len(data), peer=addr[:2], local=self.at)
        super().datagram_received(data, addr)


def bound(address, port):
    made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((address, port))
    return made


async def serve():
    configuration = QuicConfiguration(is_client=False, alpn_protocols=ALPN)
    configuration.load_cert_chain(PLAN["certificate"], PLAN["key"])
    loop = asyncio.get_running_loop()
    for at in PLAN["serve"]:
        made = bound(*at)
        await loop.create_datagram_endpoint(
            lambda at=at: Server(at, configuration=configuration, create_protocol=Echo), sock=made
        )
    tell(event="ready")
    await asyncio.Event().wait()


# The client


def opened(datagram, keys):
    """The version, the connection ids and the frames of an Initial packet, and the number of the packet."""
    header = pull_quic_header(Buffer(data=datagram), host_cid_length=8)
    buffer = Buffer(data=datagram)
    buffer.seek(5 + 1 + len(header.destination_cid) + 1 + len(header.source_cid))
    buffer.pull_bytes(buffer.pull_uint_var())
    buffer.pull_uint_var()
    plain, frames, number = keys.decrypt_packet(datagram[: header.packet_length], buffer.tell(), 0)
    del plain
    return header, frames, number


def crypto_data(frames):
    """The offset and the bytes of each CRYPTO frame."""
    buffer, found = Buffer(data=frames), []
    while not buffer.eof():
        kind = buffer.pull_uint_var()
        if kind == 6:
            at = buffer.pull_uint_var()
            found.append((at, buffer.pull_bytes(buffer.pull_uint_var())))
    return found


def scrambled(pieces):
    """CRYPTO frames of at most 90 bytes, last first, a PING between two of them, and PADDING to the end."""
    small = [(at + cut, data[cut : cut + 90]) for at, data in pieces for cut in range(0, len(data), 90)]
    buffer = Buffer(capacity=1500)
    for at, data in reversed(small):
        buffer.push_uint_var(6)
        buffer.push_uint_var(at)
        buffer.push_uint_var(len(data))
        buffer.push_bytes(data)
        buffer.push_uint_var(1)
    return buffer.data


def sealed(header, frames, number, keys):
    """A datagram of 1,200 bytes or more with one Initial packet."""
    head = Buffer(capacity=200)
    head.push_uint8(encode_long_header_first_byte(header.version, QuicPacketType.INITIAL, 1))
    head.push_uint32(header.version)
    for one in (header.destination_cid, header.source_cid):
        head.push_uint8(len(one))
        head.push_bytes(one)
    head.push_uint_var(0)
    frames += bytes(max(0, 1200 - head.tell() - 4 - 16 - len(frames)))
    head.push_uint16(0x4000 | (2 + len(frames) + 16))
    head.push_uint16(number)
    return keys.encrypt_packet(head.data, frames, number)


class Ways:
    """Sends the first datagrams in another way: `scrambled` frames, or the datagrams `swapped`."""

    def __init__(self, transport, way):
        self.transport, self.way = transport, way
        self.keys, self.kept, self.sent = None, None, 0

    def sendto(self, data, peer=None):
        self.sent += 1
        if self.way == "scrambled" and self.sent == 1:
            data = self.scramble(data)
        if self.way == "swapped" and self.sent == 1:
            self.kept = data
            asyncio.get_running_loop().call_later(0.05, self.release)
            return
        self.transport.sendto(data, peer)

    def release(self):
        self.transport.sendto(self.kept)

    def scramble(self, data):
        header = pull_quic_header(Buffer(data=data), host_cid_length=8)
        theirs, ours = CryptoPair(), CryptoPair()
        theirs.setup_initial(header.destination_cid, is_client=False, version=header.version)
        ours.setup_initial(header.destination_cid, is_client=True, version=header.version)
        header, frames, number = opened(data, theirs)
        return sealed(header, scrambled(crypto_data(frames)), number, ours)

    def __getattr__(self, name):
        return getattr(self.transport, name)


class Client(QuicConnectionProtocol):
    def __init__(self, *arguments, way=None):
        super().__init__(*arguments)
        self.way = way
        self.answer = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        super().connection_made(Ways(transport, self.way) if self.way else transport)

    def error_received(self, error):
        self.settle({"ok": False, "error": error.strerror})

    def quic_event_received(self, event):
        if isinstance(event, HandshakeCompleted):
            stream = self._quic.get_next_available_stream_id()
            self._quic.send_stream_data(stream, b"hello", end_stream=True)
            self.transmit()
        elif isinstance(event, StreamDataReceived) and event.data:
            self.settle({"ok": True, "reply": event.data.decode("latin-1")})
        elif isinstance(event, ConnectionTerminated):
            self.settle({"ok": False, "error": event.reason_phrase or f"closed with {event.error_code}"})

    def settle(self, answer):
        if not self.answer.done():
            self.answer.set_result(answer)


async def speak(command):
    """A connection, a word on a stream, and its echo. `name` may be absent; `large` makes a hello of several datagrams."""
    configuration = QuicConfiguration(is_client=True, alpn_protocols=command.get("alpn", ALPN), verify_mode=0)
    configuration.server_name = command.get("name")
    # A version alone, so that nothing is negotiated behind our back.
    configuration.original_version = VERSIONS[command.get("version", 1)]
    configuration.supported_versions = [configuration.original_version]
    configuration.quantum_readiness_test = command.get("large", False)
    made = socket.socket(socket.AF_INET6 if ":" in command["to"][0] else socket.AF_INET, socket.SOCK_DGRAM)
    made.setblocking(False)
    made.connect(tuple(command["to"]))
    loop = asyncio.get_running_loop()
    connection = QuicConnection(configuration=configuration)
    _, client = await loop.create_datagram_endpoint(lambda: Client(connection, way=command.get("way")), sock=made)
    try:
        client.connect(made.getpeername())
        return {"source": made.getsockname()[:2], **await asyncio.wait_for(client.answer, command.get("timeout", 3))}
    except (asyncio.TimeoutError, TimeoutError):
        return {"ok": False, "error": "timeout"}
    finally:
        client.close()
        client._transport.close()  # pylint: disable=protected-access


if sys.argv[1] == "server":
    asyncio.run(serve())
else:
    obey(lambda command: asyncio.run(speak(command)))
