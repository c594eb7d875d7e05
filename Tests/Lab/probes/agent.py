"""A program inside a cgroup that does with sockets what it is told: one JSON command per line, one JSON answer per line."""

import errno
import os
import select
import socket
import struct
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from commands import obey_by_name  # noqa: E402

SO_MARK = 36
TOTAL_RETRANSMISSIONS = 100  # in struct tcp_info
handles = {}
ETH_P_ALL = 3


def keep(thing):
    number = len(handles) + 1
    while number in handles:
        number += 1
    handles[number] = thing
    return number


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def place(address, port):
    """Where to connect or to bind to; `fe80::1%uplink` has a device."""
    address, _, device = address.partition("%")
    return (address, port, 0, socket.if_nametoindex(device)) if device else (address, port)


def name_of(error):
    if isinstance(error, (socket.timeout, TimeoutError)) and getattr(error, "errno", None) is None:
        return "timeout"
    return errno.errorcode.get(error.errno, str(error))


def make(kind, address, command):
    made = socket.socket(family_of(address), kind)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if command.get("reuse_port"):
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if made.family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    if command.get("mark") is not None:
        made.setsockopt(socket.SOL_SOCKET, SO_MARK, struct.pack("=I", command["mark"]))
    if command.get("broadcast"):
        made.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    if command.get("interface"):
        made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, command["interface"].encode())
    if command.get("source"):
        made.bind(place(*command["source"]))
    made.settimeout(command.get("timeout", 3))
    return made


def sent_again(connection):
    """How many segments the kernel has sent more than once, the SYN too: it does that after a second."""
    told = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TOTAL_RETRANSMISSIONS + 4)
    return struct.unpack_from("=I", told, TOTAL_RETRANSMISSIONS)[0]


def tcp(command):
    """Connects, waits for the greeting; `keep` leaves it open. Tells how much the kernel had to send `again`."""
    started = time.monotonic()
    address, port = command["to"]
    connection = None
    try:
        connection = make(socket.SOCK_STREAM, address, command)
        connection.connect(place(address, port))
        took = time.monotonic() - started
        greeting = connection.recv(200) if command.get("greet", True) else b""
        answer = {"ok": True, "ms": took * 1000, "greeting": greeting.decode("latin-1")}
        answer["source"] = connection.getsockname()[:2]
        if command.get("greet", True) and not greeting:
            answer.update(ok=False, error="eof")
        elif command.get("keep"):
            answer["handle"] = keep(connection)
            connection = None
        return answer
    except OSError as error:
        answer = {"ok": False, "error": name_of(error), "ms": (time.monotonic() - started) * 1000}
        return answer if connection is None else {**answer, "again": sent_again(connection)}
    finally:
        if connection is not None:
            connection.close()


def udp(command):
    """Sends a datagram and waits for the echo."""
    started = time.monotonic()
    address, port = command["to"]
    datagrams = handles.get(command.get("handle"))
    own = datagrams is None
    try:
        if own:
            datagrams = make(socket.SOCK_DGRAM, address, command)
        if command.get("connect"):
            datagrams.connect(place(address, port))
        payload = command.get("payload", "ping").encode("latin-1")
        datagrams.settimeout(command.get("timeout", 1))
        if command.get("connect"):
            datagrams.send(payload)
        else:
            datagrams.sendto(payload, place(address, port))
        reply, peer = b"", None
        if command.get("reply", True):
            reply, peer = datagrams.recvfrom(2000)
        answer = {"ok": True, "reply": reply.decode("latin-1"), "source": datagrams.getsockname()[:2]}
        answer["peer"] = peer[:2] if peer else None
        return finish(answer, datagrams, command, own)
    except OSError as error:
        answer = {"ok": False, "error": name_of(error), "ms": (time.monotonic() - started) * 1000}
        return finish(answer, datagrams, command, own) if datagrams else answer


def finish(answer, datagrams, command, own):
    if own and command.get("keep"):
        answer["handle"] = keep(datagrams)
    elif own:
        datagrams.close()
    return answer


def many(command):
    """Tries every request at once: TCP until the greeting, UDP until the echo (sent three times). Gives a word for each."""
    timeout = command.get("timeout", 3)
    outcomes = [None] * len(command["requests"])
    waiting = {}
    poll = select.epoll()
    started = time.monotonic()

    def settle(number, outcome):
        outcomes[number] = outcome
        for descriptor, (index, entry, _) in list(waiting.items()):
            if index == number:
                poll.unregister(descriptor)
                entry.close()
                del waiting[descriptor]

    for index, (transport, address, port) in enumerate(command["requests"]):
        kind = socket.SOCK_STREAM if transport == "tcp" else socket.SOCK_DGRAM
        entry = socket.socket(family_of(address), kind | socket.SOCK_NONBLOCK)
        try:
            entry.connect((address, port))
        except BlockingIOError:
            pass
        except OSError as error:
            outcomes[index] = name_of(error)
            entry.close()
            continue
        waiting[entry.fileno()] = (index, entry, transport)
        poll.register(entry.fileno(), select.EPOLLIN | select.EPOLLERR)
    sends = [0.0, 0.4, 0.8]
    while waiting:
        passed = time.monotonic() - started
        if passed > timeout:
            break
        if sends and passed >= sends[0]:
            sends.pop(0)
            for index, entry, transport in list(waiting.values()):
                if transport == "udp":
                    try:
                        entry.send(b"?")
                    except OSError as error:
                        settle(index, name_of(error))
        for descriptor, _ in poll.poll(0.05):
            if descriptor not in waiting:
                continue
            index, entry, transport = waiting[descriptor]
            try:
                settle(index, "open" if entry.recv(100) else "eof")
            except BlockingIOError:
                pass
            except OSError as error:
                settle(index, name_of(error))
        if all(transport == "udp" for _, _, transport in waiting.values()) and passed > 1.2:
            break
    for index, entry, _ in list(waiting.values()):
        outcomes[index] = "timeout"
        entry.close()
    poll.close()
    return {"ok": True, "outcomes": outcomes}


def repeat(command):
    """The same request again and again, one after the other; counts what came of it.

    `sources`, an address and a port of this host, has each come from the next port.
    """
    outcomes = {}
    slowest = 0.0
    for number in range(command["count"]):
        once = dict(command)
        if "ports" in command:
            once["to"] = [command["to"][0], command["ports"][number % len(command["ports"])]]
        if "sources" in command:
            once["source"] = [command["sources"][0], command["sources"][1] + number]
        answer = tcp(once) if command.get("transport", "tcp") == "tcp" else udp(once)
        word = "open" if answer["ok"] else answer["error"]
        outcomes[word] = outcomes.get(word, 0) + 1
        slowest = max(slowest, answer.get("ms", 0))
        if command.get("pause"):
            time.sleep(command["pause"])
    return {"ok": True, "outcomes": outcomes, "slowest": slowest}


def until(command):
    """Tries a connection again and again until it stands; tells when that was."""
    address, port = command["to"]
    deadline = time.monotonic() + command.get("timeout", 10)
    while time.monotonic() < deadline:
        with socket.socket(family_of(address), socket.SOCK_STREAM) as attempt:
            if attempt.connect_ex((address, port)) == 0:
                return {"ok": True, "at": time.monotonic()}
    return {"ok": False, "error": "timeout"}


def write(command):
    try:
        handles[command["handle"]].sendall(command["data"].encode("latin-1"))
        return {"ok": True}
    except OSError as error:
        return {"ok": False, "error": name_of(error)}


def read(command):
    thing = handles[command["handle"]]
    thing.settimeout(command.get("timeout", 2))
    try:
        data = thing.recv(65536)
        return {"ok": True, "data": data.decode("latin-1")} if data else {"ok": False, "error": "eof"}
    except OSError as error:
        return {"ok": False, "error": name_of(error)}


def receive(command):
    """Waits for a datagram and, with `answer`, sends one back to whoever sent it."""
    thing = handles[command["handle"]]
    thing.settimeout(command.get("timeout", 2))
    try:
        data, peer = thing.recvfrom(65536)
        answer = {"ok": True, "data": data.decode("latin-1"), "peer": peer[:2]}
        if command.get("answer") is not None:
            thing.sendto(command["answer"].encode("latin-1"), peer)
        return answer
    except OSError as error:
        return {"ok": False, "error": name_of(error)}


def close(command):
    handles.pop(command["handle"]).close()
    return {"ok": True}


def listen(command):
    address, port = command["at"]
    try:
        listener = make(socket.SOCK_STREAM, address, {**command, "source": [address, port]})
        listener.listen(128)
        return {"ok": True, "handle": keep(listener), "port": listener.getsockname()[1]}
    except OSError as error:
        return {"ok": False, "error": name_of(error)}


def accept(command):
    listener = handles[command["handle"]]
    listener.settimeout(command.get("timeout", 2))
    try:
        connection, peer = listener.accept()
        return {"ok": True, "handle": keep(connection), "peer": peer[:2]}
    except OSError as error:
        return {"ok": False, "error": name_of(error)}


def bind(command):
    """A UDP socket at a port, to receive and answer with."""
    address, port = command["at"]
    try:
        made = make(socket.SOCK_DGRAM, address, {**command, "source": [address, port]})
        return {"ok": True, "handle": keep(made), "port": made.getsockname()[1]}
    except OSError as error:
        return {"ok": False, "error": name_of(error)}


def serve(command):
    """Greets and echoes on a TCP port, or echoes on a UDP port, until the program ends."""
    address, port = command["at"]
    if command.get("transport", "tcp") == "udp":
        made = make(socket.SOCK_DGRAM, address, {**command, "source": [address, port]})
        made.settimeout(None)

        def echo_datagrams():
            while True:
                data, peer = made.recvfrom(65536)
                try:
                    made.sendto(data, peer)
                except OSError:
                    pass

        threading.Thread(target=echo_datagrams, daemon=True).start()
        return {"ok": True, "port": made.getsockname()[1]}
    listener = make(socket.SOCK_STREAM, address, {**command, "source": [address, port]})
    listener.listen(128)
    listener.settimeout(None)

    def serve_one(connection):
        try:
            connection.sendall(b"hi\n")
            while data := connection.recv(65536):
                connection.sendall(data)
        except OSError:
            pass
        connection.close()

    def accept_all():
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=serve_one, args=(connection,), daemon=True).start()

    threading.Thread(target=accept_all, daemon=True).start()
    return {"ok": True, "port": listener.getsockname()[1]}


def simultaneous(command):
    """Calls a peer again and again from one port, while the peer calls back."""
    deadline = time.monotonic() + command.get("timeout", 2)
    last = "timeout"
    address, port = command["to"]
    while time.monotonic() < deadline:
        try:
            connection = make(socket.SOCK_STREAM, address, {**command, "timeout": 0.3})
            connection.connect((address, port))
            connection.sendall(b"secret")
            answer = {"ok": True, "handle": keep(connection)}
            return answer
        except OSError as error:
            last = name_of(error)
        time.sleep(0.005)
    return {"ok": False, "error": last}


def raw(command):
    """Sends a packet made by hand. IPv4: with its IP header (`header`); else only the part after it, with `protocol`."""
    packet = bytes.fromhex(command["packet"])
    try:
        protocol = socket.IPPROTO_RAW if command.get("header") else command["protocol"]
        made = socket.socket(family_of(command["to"]), socket.SOCK_RAW, protocol)
        if command.get("mark") is not None:
            made.setsockopt(socket.SOL_SOCKET, SO_MARK, struct.pack("=I", command["mark"]))
        if made.family == socket.AF_INET6 and protocol == socket.IPPROTO_TCP:
            made.setsockopt(socket.IPPROTO_IPV6, 7, 16)  # IPV6_CHECKSUM: the kernel fills it in
        for _ in range(command.get("count", 1)):
            made.sendto(packet, (command["to"], 0))
        # A socket that is gone before anybody looks cannot be asked whose it was.
        if command.get("keep"):
            keep(made)
        else:
            made.close()
        return {"ok": True}
    except OSError as error:
        return {"ok": False, "error": name_of(error)}


def frame(command):
    """Puts a whole link-layer frame on an interface, through a packet socket."""
    try:
        made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        made.bind((command["interface"], 0))
        for _ in range(command.get("count", 1)):
            made.send(bytes.fromhex(command["frame"]))
        made.close()
        return {"ok": True}
    except OSError as error:
        return {"ok": False, "error": name_of(error)}


def join(command):
    """Joins a multicast group: the kernel itself then sends an IGMP or MLD report."""
    address = command["group"]
    try:
        made = socket.socket(family_of(address), socket.SOCK_DGRAM)
        index = socket.if_nametoindex(command["interface"])
        if made.family == socket.AF_INET:
            request = struct.pack("=4s4si", socket.inet_aton(address), b"\0\0\0\0", index)
            made.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)
        else:
            request = struct.pack("=16si", socket.inet_pton(socket.AF_INET6, address), index)
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, request)
        return {"ok": True, "handle": keep(made)}
    except OSError as error:
        return {"ok": False, "error": name_of(error)}


def run(command):
    try:
        done = subprocess.run(
            command["argv"], capture_output=True, text=True, timeout=command.get("timeout", 20), check=False
        )
        return {"ok": True, "status": done.returncode, "stdout": done.stdout, "stderr": done.stderr}
    except subprocess.TimeoutExpired:
        return {"ok": False, "error": "timeout"}


def move(command):
    """Moves itself to another cgroup."""
    try:
        with open(command["cgroup"] + "/cgroup.procs", "w", encoding="ascii") as procs:
            procs.write("0")
        return {"ok": True}
    except OSError as error:
        return {"ok": False, "error": name_of(error)}


obey_by_name(
    tcp, udp, many, repeat, until, write, read, receive, close, listen, accept, bind, serve, simultaneous, raw, frame, join,
    run, move,
)  # fmt: skip
