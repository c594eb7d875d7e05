"""The first bytes of connections, made by hand or kept from real clients: TLS, and what else comes to an open port."""

import json
import os
import struct

NAME = "web.lab.test"
# What crypto/tls of Go 1.19 and OpenJDK 17 really send, each as one record that names `NAME`.
GO = bytes.fromhex(
    "16030101110100010d0303edc627258c91879c08dd58e7e4b24123f9140d21d0a2e4c8c62d536c14ea94db20b84c65160b3300fd737ecd4c"
    "4b619cc61539e6910ca7c7b647dcfcbfbb5fdacb0026c02bc02fc02cc030cca9cca8c009c013c00ac014009c009d002f0035c012000a1301"
    "130213030100009e00000011000f00000c7765622e6c61622e74657374000500050100000000000a000a0008001d001700180019000b0002"
    "0100000d001a0018080404030807080508060401050106010503060302010203ff010001000010000e000c02683208687474702f312e3100"
    "120000002b00050403040303003300260024001d0020877afe3de4912a0001ec3d299d8dc889d438234a4b9fc2f8ae4ae6e4bca3f736"
)
JAVA = bytes.fromhex(
    "16030301c8010001c40303a896478559ea00f00f9e5b67c29306d86dc9af6eaa550a2963971390c06333e02096591e861cea723d87eee30f"
    "37d620107a2f03f4e5d3fd4533c3b52413ec9afb004a130213011303c02cc02bcca9c030cca8c02f009fccaa00a3009e00a2c024c028c023"
    "c027006b006a00670040c00ac014c009c0130039003800330032009d009c003d003c0035002f00ff0100013100000011000f00000c776562"
    "2e6c61622e74657374000500050100000000000a00160014001d001700180019001e01000101010201030104000b00020100001100090007"
    "020004000000000017000000230000000d002c002a040305030603080708080804080508060809080a080b04010501060104020303030103"
    "02020302010202002b00050403040303002d000201010032002c002a040305030603080708080804080508060809080a080b040105010601"
    "04020303030103020203020102020033006b0069001d0020dec9477d19009f39a9a613597d20f37a633f8604e855b221ecbc5b6014ffae62"
    "00170041048f775a4f38de2921679e9a1b63ae2c16e08d5020c087f9acb8f51878ec068ffaae49e860117820da3735d605dcfc99e1ead7f0"
    "ea5ce242c8e368c925b7e438e5"
)  # fmt: skip
CIPHERS = [0x1301, 0x1302, 0x1303, 0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9, 0xCCA8, 0xC013, 0xC014, 0x9C, 0x2F]
SIGNATURES = [0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601]
GREASE = 0x7A7A


def vector(data, size):
    """Bytes with their length before them."""
    return len(data).to_bytes(size, "big") + data


def words(numbers):
    return b"".join(struct.pack("!H", number) for number in numbers)


def server_name(*names):
    return vector(b"".join(b"\0" + vector(name.encode("latin-1"), 2) for name in names), 2)


def hello_message(name=NAME, alpn=("h2", "http/1.1"), post_quantum=False, grease=False, old=False, extra=()):
    """A ClientHello as browsers send it. `name` may be None or a list, `old` ends at TLS 1.2,
    `extra` are more extensions.

    The post-quantum share (X25519MLKEM768, 1,216 bytes) is noise: a server that knows only X25519 takes the other one.
    """
    groups, shares = [0x1D, 0x17, 0x18], [(0x1D, os.urandom(32))]
    if post_quantum:
        groups, shares = [0x11EC, *groups], [(0x11EC, os.urandom(1216)), *shares]
    if grease:
        groups, shares = [GREASE, *groups], [(GREASE, b"\0"), *shares]
    extensions = [(GREASE, b"")] if grease else []
    if name is not None:
        extensions.append((0, server_name(*([name] if isinstance(name, str) else name))))
    extensions += [(23, b""), (0xFF01, b"\0"), (10, vector(words(groups), 2)), (11, b"\1\0")]
    extensions.append((13, vector(words(SIGNATURES), 2)))
    if alpn:
        extensions.append((16, vector(b"".join(vector(one.encode(), 1) for one in alpn), 2)))
    if not old:
        versions = [GREASE, 0x0304, 0x0303] if grease else [0x0304, 0x0303]
        entries = b"".join(struct.pack("!H", group) + vector(share, 2) for group, share in shares)
        extensions += [(43, vector(words(versions), 1)), (45, b"\1\1"), (51, vector(entries, 2))]
    extensions += extra
    ciphers = [cipher for cipher in CIPHERS if not old or cipher > 0x1303 or cipher < 0x1301]
    body = struct.pack("!H", 0x0303) + os.urandom(32) + vector(os.urandom(32), 1)
    body += vector(words([GREASE, *ciphers] if grease else ciphers), 2) + b"\1\0"
    body += vector(b"".join(struct.pack("!H", kind) + vector(data, 2) for kind, data in extensions), 2)
    return b"\1" + vector(body, 3)


def records(message, *cuts):
    """A handshake message as TLS records, cut at these offsets."""
    edges = [0, *cuts, len(message)]
    return b"".join(b"\x16\3\1" + vector(message[start:end], 2) for start, end in zip(edges, edges[1:]))


def hello(name=NAME, **keys):
    """A ClientHello in one record."""
    return records(hello_message(name, **keys))


def encrypted_hello(name=NAME):
    """With an encrypted ClientHello (draft-ietf-tls-esni) beside the outer name."""
    sealed = b"\0" + struct.pack("!HHB", 1, 1, 7) + vector(os.urandom(32), 2) + vector(os.urandom(208), 2)
    return hello(name, extra=[(0xFE0D, sealed)])


def is_server_hello(reply):
    """Whether a record with a ServerHello begins there."""
    return len(reply) > 5 and reply[0] == 22 and reply[1] == 3 and reply[5] == 2


def chopped(data, size):
    return [data[start : start + size] for start in range(0, len(data), size)]


def request(host, target="/", method="GET", *fields):
    """The head of an HTTP/1.1 request."""
    lines = [f"{method} {target} HTTP/1.1", *([f"Host: {host}"] if host is not None else []), *fields]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def json_line(**keys):
    return (json.dumps({"id": 1, "jsonrpc": "2.0", **keys}) + "\n").encode()


MARK = b"egressd-lab-marker"  # stands in what must not leave, wherever there is room for it
WEBSOCKET = request(
    NAME, "/" + MARK.decode(), "GET", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)  # fmt: skip
# What a denied stream is called, and an example of it.
STREAMS = {
    "stratum": json_line(method="mining.subscribe", params=["cgminer/4.10.0", MARK.decode()]),
    "monero": json_line(method="login", params={"login": MARK.decode(), "pass": "x", "agent": "XMRig/6.21.0"}),
    "socks": b"\5\1\0",
    "socks4": b"\4\1\1\xbb\xcb\0\x71\x09" + MARK + b"\0",
    "bittorrent": b"\x13BitTorrent protocol" + bytes(8) + MARK[:18] + b"aa" + b"-TR4050-" + bytes(12),
    "openvpn": struct.pack("!HB", 14, 0x38) + MARK[:8] + b"\0\0\0\0\0",
    "websocket": WEBSOCKET,
    "http-connect": request("evil.example:22", "evil.example:22", "CONNECT", f"X: {MARK.decode()}"),
    "http": request(NAME, "/" + MARK.decode()),
    "dns": vector(struct.pack("!6H", 7, 0x100, 1, 0, 0, 0) + b"\x12" + MARK + b"\4evil\7example\0\0\x10\0\1", 2),
    "ssh": b"SSH-2.0-" + MARK + b"\r\n",
    "unknown": b"\0\1\2" + MARK + bytes(range(128, 200)),
}
CALLED = {"monero": "stratum", "socks4": "socks"}  # the application, where it is not the key
DATAGRAMS = {
    "wireguard": b"\1\0\0\0" + MARK[:16] + os.urandom(128),
    "openvpn": b"\x38" + MARK[:8] + b"\0\0\0\0\0",
    "dns": struct.pack("!6H", 7, 0x100, 1, 0, 0, 0) + b"\x12" + MARK + b"\4evil\7example\0\0\x10\0\1",
    "unknown": b"\xf3\1\2" + MARK + bytes(range(128, 180)),
}


def quic_of_version(version):
    """A datagram that begins like a QUIC Initial of that version; what follows is noise."""
    head = b"\xc3" + struct.pack("!I", version) + vector(MARK[:8], 1) + vector(os.urandom(8), 1) + b"\0"
    return head + struct.pack("!H", 0x4000 | (1200 - len(head) - 2)) + os.urandom(1200 - len(head) - 2)
