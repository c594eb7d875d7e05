"""When something came to a socket, by the kernel's word: whoever reads it may have waited long for the processor."""

import socket
import struct
import time

SO_TIMESTAMPNS = 35
TIMESPEC = struct.Struct("=qq")
# What `recvmsg` needs for it.
SPACE = socket.CMSG_SPACE(TIMESPEC.size)


def clock_offset():
    """What the time of day, which the kernel tells, is ahead of the monotonic clock."""
    best, offset = float("inf"), 0.0
    for _ in range(5):
        # Between two readings this program may have to wait; the closest pair counts.
        before, day, after = time.monotonic(), time.time(), time.monotonic()
        if after - before < best:
            best, offset = after - before, day - before
    return offset


def arrival(words, offset):
    """The monotonic time that the ancillary data of `recvmsg` tell; now, when they tell none."""
    for level, kind, data in words:
        if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS):
            seconds, nanoseconds = TIMESPEC.unpack(data)
            return seconds + nanoseconds / 1e9 - offset
    return time.monotonic()
