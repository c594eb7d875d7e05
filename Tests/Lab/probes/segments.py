"""A TCP of its own over a raw socket, so that each segment is what a test wants: one JSON command, one JSON answer per line.

It needs CAP_NET_RAW, and a rule that keeps its packets from the kernel's TCP, which would reset them (`PORTS`).
"""

import os
import random
import select
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import packets  # noqa: E402
from commands import obey  # noqa: E402

PORTS = (61000, 61999)
FIN, SYN, RST, PSH, ACK, URG = 1, 2, 4, 8, 16, 32
ETH_P_ALL = 3
PACKET_OUTGOING = 4
SEGMENT = 1000
AGAIN = 0.25  # seconds until what is not acknowledged is sent again


class Flow:
    """One connection."""

    def __init__(self, command):
        self.source, self.destination = command["source"], command["to"][0]
        self.ports = (random.randint(*PORTS), command["to"][1])
        self.extended = command.get("extended", False)
        self.start = command.get("start", random.getrandbits(32))
        self.heard = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
        family = socket.AF_INET6 if ":" in self.destination else socket.AF_INET
        self.raw = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW)
        self.acknowledged = 0  # how many of our bytes the peer has
        self.next = 0  # the sequence number that we expect of the peer
        self.reply = b""
        self.open = self.ended = self.reset = False

    def send(self, flags, offset=0, data=b"", urgent=0):
        """A segment whose data begin `offset` bytes into the stream; the SYN comes before byte 0."""
        sequence = (self.start + offset + (0 if flags & SYN else 1)) & 0xFFFFFFFF
        options = struct.pack("!BBH", 2, 4, SEGMENT) if flags & SYN else b""
        head = struct.pack(
            "!HHIIBBHHH", *self.ports, sequence, self.next if flags & ACK else 0, (20 + len(options)) << 2, flags, 65000, 0, urgent
        )  # fmt: skip
        segment = head + options + data
        total = packets.checksum(packets.pseudo(self.source, self.destination, 6, segment))
        segment = segment[:16] + struct.pack("!H", total) + segment[18:]
        protocol = 6
        if self.extended and ":" in self.destination:
            # Destination options with a PadN before TCP (RFC 8200 §4.6).
            protocol, segment = 60, bytes([6, 0, 1, 4, 0, 0, 0, 0]) + segment
        self.raw.sendto(packets.ip(self.source, self.destination, protocol, segment), (self.destination, 0))

    def take(self, timeout):
        """Reads one packet of the peer's, or of whoever answers in its name; says whether there was one."""
        deadline = time.monotonic() + timeout
        while (left := deadline - time.monotonic()) > 0:
            if not select.select([self.heard], [], [], left)[0]:
                return False
            packet, link = self.heard.recvfrom(65536)
            if link[2] != PACKET_OUTGOING and (segment := self.of_peer(packet)):
                self.segment(segment)
                return True
        return False

    def of_peer(self, packet):
        """The TCP segment in it, when it is one of this flow's."""
        if packet[0] >> 4 == 6:
            protocol, source, segment = packet[6], packet[8:24], packet[40 : 40 + struct.unpack("!H", packet[4:6])[0]]
        else:
            protocol, source = packet[9], packet[12:16]
            segment = packet[(packet[0] & 15) * 4 : struct.unpack("!H", packet[2:4])[0]]
        mine = protocol == 6 and source == packets.packed(self.destination)
        return segment if mine and struct.unpack("!HH", segment[:4]) == self.ports[::-1] else None

    def segment(self, segment):
        sequence, acknowledged = struct.unpack("!II", segment[4:12])
        flags, data = segment[13], segment[(segment[12] >> 4) * 4 :]
        if flags & RST:
            self.reset = True
            return
        if flags & ACK:
            self.acknowledged = max(self.acknowledged, (acknowledged - self.start - 1) & 0x7FFFFFFF if self.open else 0)
        if flags & SYN:
            self.open, self.next = True, (sequence + 1) & 0xFFFFFFFF
        elif sequence == self.next and (data or flags & FIN):
            self.reply += data
            self.ended = bool(flags & FIN)
            self.next = (self.next + len(data) + self.ended) & 0xFFFFFFFF
        if data or flags & (SYN | FIN):
            self.send(ACK, self.acknowledged)

    def connect(self, early=b"", patience=3):
        """Shakes hands; the first SYN may carry data (RFC 9293 §3.10.7.2 allows it without fast open)."""
        deadline = time.monotonic() + patience
        while not self.open and not self.reset and time.monotonic() < deadline:
            self.send(SYN, data=early)
            early = b""
            self.take(0.5)
        return self.open

    def say(self, script, truth, patience):
        """Sends the script's segments, then whatever of `truth` is not acknowledged, until the peer answers or resets."""
        for one in script:
            urgent = one.get("urgent", 0)
            self.send(ACK | PSH | (URG if urgent else 0), one["at"], bytes.fromhex(one["data"]), urgent)
            while self.take(one.get("pause", 0)):
                pass
        deadline = time.monotonic() + patience
        again = time.monotonic() + AGAIN
        while time.monotonic() < deadline and not (self.reply or self.reset or self.ended):
            self.take(0.05)
            if time.monotonic() > again:
                again = time.monotonic() + AGAIN
                for at in range(self.acknowledged, len(truth), SEGMENT):
                    self.send(ACK | PSH, at, truth[at : at + SEGMENT])

    def close(self):
        if self.open and not self.reset:
            self.send(RST | ACK, self.acknowledged)
        self.heard.close()
        self.raw.close()


def speak(command):
    """A connection, its segments, and what the peer said."""
    flow = Flow(command)
    try:
        if not flow.connect(bytes.fromhex(command.get("early", ""))):
            return {"ok": False, "error": "reset" if flow.reset else "timeout", "stage": "begin"}
        truth = bytes.fromhex(command["truth"])
        flow.say(command["script"], truth, command.get("within", 3))
        facts = {"reply": flow.reply.hex(), "acknowledged": flow.acknowledged, "source": [flow.source, flow.ports[0]]}
        error = "reset" if flow.reset else "eof" if flow.ended else "timeout"
        return {"ok": bool(flow.reply), "error": None if flow.reply else error, "stage": "read", **facts}
    finally:
        flow.close()


if __name__ == "__main__":
    obey(speak, stage="probe")
