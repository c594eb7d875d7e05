"""A program inside a cgroup that says first bytes as it is told: one JSON command per line, one JSON answer per line."""

import contextlib
import errno
import os
import resource
import select
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from commands import obey_by_name  # noqa: E402

MSG_FASTOPEN = 0x20000000
IPV6_DSTOPTS = 59
handles = {}


def name_of(error):
    if isinstance(error, (socket.timeout, TimeoutError)) and getattr(error, "errno", None) is None:
        return "timeout"
    return errno.errorcode.get(error.errno, str(error))


def made(command, kind=socket.SOCK_STREAM):
    """A socket as the command wants it: `segment` bounds its segments, `extended` puts options behind the IP header."""
    family = socket.AF_INET6 if ":" in command["to"][0] else socket.AF_INET
    new = socket.socket(family, kind)
    new.settimeout(command.get("timeout", 4))
    if kind == socket.SOCK_STREAM and command.get("nodelay", True):
        new.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if command.get("own_port"):
        new.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        new.bind(("::" if family == socket.AF_INET6 else "0.0.0.0", command["own_port"]))
    if command.get("hops"):
        if family == socket.AF_INET6:
            new.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, command["hops"])
        else:
            new.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, command["hops"])
    if command.get("segment"):
        new.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, command["segment"])
    if command.get("extended") and family == socket.AF_INET6:
        # Destination options: next header, length, and a PadN of four bytes (RFC 8200 §4.6); needs CAP_NET_RAW.
        new.setsockopt(socket.IPPROTO_IPV6, IPV6_DSTOPTS, bytes([0, 0, 1, 4, 0, 0, 0, 0]))
    elif command.get("extended"):
        new.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, bytes([1, 1, 1, 1]))
    return new


def resolve(command):
    """As programs do it, by the files of its own /etc."""
    try:
        found = socket.getaddrinfo(command["name"], 443, socket.AF_UNSPEC, socket.SOCK_STREAM)
        return {"ok": True, "addresses": sorted({one[4][0] for one in found})}
    except OSError as error:
        return {"ok": False, "error": str(error)}


def begin(new, command, chunks):
    """Connects, waits for the peer's first words if it is to, and says the first chunks."""
    if command.get("fast_open"):
        # It takes what the SYN has room for, and may leave the rest.
        sent = new.sendto(chunks[0], MSG_FASTOPEN, tuple(command["to"]))
        chunks = [chunks[0][sent:], *chunks[1:]]
    else:
        new.connect(tuple(command["to"]))
    greeting = new.recv(500) if command.get("listen") else b""
    for number, chunk in enumerate(chunks):
        if number and command.get("pause"):
            time.sleep(command["pause"])
        new.sendall(chunk)
    return greeting


def speak(command):
    """Says the chunks and waits for the first bytes of an answer; `keep` leaves it open, `read: false` waits for none."""
    started = time.monotonic()
    new = made(command)
    answer = {"ok": False, "stage": "begin"}
    try:
        answer["greeting"] = begin(new, command, [bytes.fromhex(chunk) for chunk in command["chunks"]]).hex()
        answer.update(source=new.getsockname()[:2], stage="read")
        reply = b""
        if command.get("read", True):
            reply = new.recv(command.get("most", 4000))
            if not reply:
                return {**answer, "error": "eof", "ms": (time.monotonic() - started) * 1000}
        answer.update(ok=True, reply=reply.hex(), ms=(time.monotonic() - started) * 1000)
        if command.get("keep"):
            handles[new.fileno()] = new
            answer["handle"] = new.fileno()
            new = None
        return answer
    except OSError as error:
        with contextlib.suppress(OSError):
            answer["source"] = new.getsockname()[:2]
        return {**answer, "error": name_of(error), "ms": (time.monotonic() - started) * 1000}
    finally:
        if new is not None:
            new.close()


def write(command):
    try:
        handles[command["handle"]].sendall(bytes.fromhex(command["data"]))
        return {"ok": True}
    except OSError as error:
        return {"ok": False, "error": name_of(error)}


def read(command):
    """The next bytes, or how the connection ended."""
    started = time.monotonic()
    thing = handles[command["handle"]]
    thing.settimeout(command.get("timeout", 2))
    try:
        data = thing.recv(65536)
        answer = {"ok": True, "reply": data.hex()} if data else {"ok": False, "error": "eof"}
    except OSError as error:
        answer = {"ok": False, "error": name_of(error)}
    return {**answer, "ms": (time.monotonic() - started) * 1000}


def close(command):
    handles.pop(command["handle"]).close()
    return {"ok": True}


def repeat(command):
    """The same flight again and again: milliseconds from `connect` to the first byte of the answer."""
    took, failed = [], {}
    for _ in range(command["count"]):
        answer = speak(command)
        if answer["ok"]:
            took.append(answer["ms"])
        else:
            failed[answer["error"]] = failed.get(answer["error"], 0) + 1
    return {"ok": True, "took": took, "failed": failed}


def silent(command):
    """Connections that say nothing; how each ended, waited for this long from when the last of them stood."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    open_ones, outcomes = {}, {}
    poll = select.epoll()

    def settle(one, outcome):
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
        one.close()

    for _ in range(command["count"]):
        one = made(command)
        try:
            one.connect(tuple(command["to"]))
            open_ones[one.fileno()] = one
            poll.register(one.fileno(), select.EPOLLIN)
        except OSError as error:
            settle(one, name_of(error))
    deadline = time.monotonic() + command["within"]
    while open_ones and time.monotonic() < deadline:
        for descriptor, _ in poll.poll(0.1):
            one = open_ones.pop(descriptor)
            poll.unregister(descriptor)
            try:
                settle(one, "data" if one.recv(100) else "eof")
            except OSError as error:
                settle(one, name_of(error))
    for one in open_ones.values():
        settle(one, "open")
    return {"ok": True, "outcomes": outcomes}


def datagram(command):
    """One datagram, and what came of it."""
    new = made(command, socket.SOCK_DGRAM)
    try:
        new.connect(tuple(command["to"]))
        new.send(bytes.fromhex(command["data"]))
        return {"ok": True, "reply": new.recv(2000).hex()}
    except OSError as error:
        return {"ok": False, "error": name_of(error)}
    finally:
        new.close()


def run(command):
    """A program to its end. Its input stays open until `until` is on its output, or in the `file`."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command["argv"], stdin=subprocess.PIPE, stdout=output, stderr=errors)
        deadline = time.monotonic() + command.get("timeout", 15)
        answer = {}
        try:
            with contextlib.suppress(OSError):  # it has ended without reading
                process.stdin.write(command.get("input", "").encode("latin-1"))
                process.stdin.flush()
            while "until" in command and process.poll() is None and time.monotonic() < deadline:
                if command["until"] in (content(command["file"]) if "file" in command else text_of(output)):
                    break
                time.sleep(0.005)
            with contextlib.suppress(OSError):
                process.stdin.close()
            process.wait(max(0.001, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            answer = {"ok": False, "status": None, "error": "timeout"}
        done = {"ok": process.returncode == 0, "status": process.returncode, **answer}
        return {**done, "stdout": text_of(output), "stderr": text_of(errors)}


def text_of(file):
    """All of it; the place where its writer goes on is left alone."""
    return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0).decode("latin-1")


def content(path):
    with contextlib.suppress(OSError), open(path, encoding="latin-1") as file:
        return file.read()
    return ""


obey_by_name(resolve, speak, write, read, close, repeat, silent, datagram, run)
