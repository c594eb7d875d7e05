"""A resolver's side of DNS with bare sockets, told what to do like agent.py: one JSON command, one JSON answer per line."""

import errno
import json
import os
import select
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import dns_wire as wire  # noqa: E402
from arrival import SO_TIMESTAMPNS, SPACE, arrival, clock_offset  # noqa: E402
from commands import obey_by_name  # noqa: E402

SO_MARK = 36
handles = {}


def name_of(error):
    if isinstance(error, (socket.timeout, TimeoutError)) and getattr(error, "errno", None) is None:
        return "timeout"
    return errno.errorcode.get(error.errno, str(error))


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def made(kind, command):
    """A socket for the server that the command names, from the port and with the mark that it says."""
    new = socket.socket(family_of(command["server"]), kind)
    new.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if command.get("mark") is not None:
        new.setsockopt(socket.SOL_SOCKET, SO_MARK, struct.pack("=I", command["mark"]))
    if command.get("source"):
        new.bind(tuple(command["source"]))
    new.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    new.settimeout(command.get("timeout", 5))
    return new


def peer_of(command):
    return command["server"], command.get("port", 53)


def receive(through, size):
    """Bytes, who sent them, and when they came."""
    data, words, _, peer = through.recvmsg(size, SPACE)
    return data, peer, arrival(words, clock_offset())


def read_exactly(connection, count):
    """So many bytes, and when the last of them came."""
    data, at = b"", 0.0
    while len(data) < count:
        more, _, at = receive(connection, count - len(data))
        if not more:
            raise EOFError
        data += more
    return data, at


def read_message(connection):
    return read_exactly(connection, struct.unpack("!H", read_exactly(connection, 2)[0])[0])


def ask(command):
    """Asks every question: `sockets` "one" sends them all at once from one socket, "each" from a socket each.

    Gives an answer for each question in their order; `{"error": "timeout"}` for what did not come. Each says when it
    was `sent`, and how many milliseconds later the answer came.
    """
    started = time.monotonic()
    questions = command["questions"]
    numbers = {(0x1000 + index * 257) & 0xFFFF: index for index in range(len(questions))}
    messages = [
        wire.question(name, kind, number, edns=command.get("edns", 1232))
        for number, (name, kind) in zip(numbers, questions)
    ]
    if command.get("transport") == "tcp":
        answers = over_stream(command, messages)
    else:
        answers = over_datagrams(command, messages)
    for answer in answers:
        answer["ms"] = (answer.pop("at", time.monotonic()) - answer.setdefault("sent", started)) * 1000
    return {"ok": True, "answers": answers}


def over_stream(command, messages):
    """All in one write; the answers may come in any order."""
    answers = {}
    try:
        with made(socket.SOCK_STREAM, command) as connection:
            sent = time.monotonic()
            connection.connect(peer_of(command))
            connection.sendall(b"".join(struct.pack("!H", len(one)) + one for one in messages))
            for _ in messages:
                message, at = read_message(connection)
                told = wire.parse(message)
                answers[told["id"]] = {**told, "sent": sent, "at": at}
    except EOFError:
        failure = "eof"
    except OSError as error:
        failure = name_of(error)
    else:
        failure = "timeout"
    return [answers.get(struct.unpack("!H", one[:2])[0], {"error": failure}) for one in messages]


def over_datagrams(command, messages):
    one = command.get("sockets", "one") == "one"
    sockets = [made(socket.SOCK_DGRAM, command) for _ in (messages[:1] if one else messages)]
    answers, failures, sent = {}, {}, {}
    deadline = time.monotonic() + command.get("timeout", 5)
    waiting = {struct.unpack("!H", each[:2])[0] for each in messages}
    for index, each in enumerate(messages):
        through = sockets[0 if one else index]
        try:
            if command.get("connect", True) and (not one or index == 0):
                through.connect(peer_of(command))
            sent[struct.unpack("!H", each[:2])[0]] = time.monotonic()
            if command.get("connect", True):
                through.send(each)
            else:
                through.sendto(each, peer_of(command))
        except OSError as error:
            failures[struct.unpack("!H", each[:2])[0]] = name_of(error)
    while waiting - set(answers) - set(failures) and time.monotonic() < deadline:
        ready, _, _ = select.select(sockets, [], [], max(0, deadline - time.monotonic()))
        for through in ready:
            try:
                data, peer, at = receive(through, 65535)
            except OSError as error:
                index = sockets.index(through)
                for each in messages if one else [messages[index]]:
                    failures.setdefault(struct.unpack("!H", each[:2])[0], name_of(error))
                continue
            told = wire.parse(data)
            answers.setdefault(told["id"], {**told, "peer": peer[:2], "sent": sent.get(told["id"]), "at": at})
    for through in sockets:
        through.close()
    ids = [struct.unpack("!H", each[:2])[0] for each in messages]
    return [answers.get(number, {"error": failures.get(number, "timeout")}) for number in ids]


def raw(command):
    """Sends messages made by hand, over TCP all in one write; gives what comes back until `wait` are there or it ends."""
    messages = [bytes.fromhex(one) for one in command["messages"]]
    wanted = command.get("wait", len(messages))
    answers, ended = [], None
    kind = socket.SOCK_STREAM if command.get("transport") == "tcp" else socket.SOCK_DGRAM
    with made(kind, command) as through:
        try:
            through.connect(peer_of(command))
            if kind == socket.SOCK_STREAM:
                framed = b"".join(struct.pack("!H", len(one)) + one for one in messages)
                through.sendall(bytes.fromhex(command["bytes"]) if "bytes" in command else framed)
            else:
                for one in messages:
                    through.send(one)
            while len(answers) < wanted:
                data = read_message(through)[0] if kind == socket.SOCK_STREAM else through.recv(65535)
                answers.append({**wire.parse(data), "bytes": data.hex()})
        except EOFError:
            ended = "eof"
        except OSError as error:
            ended = name_of(error)
    return {"ok": True, "answers": answers, "ended": ended}


def first_connect(command):
    """For each name: asks, and connects at once to the first address it got. Gives a word for each name."""
    outcomes = []
    for name in command["names"]:
        (answer,) = ask({**command, "questions": [[name, command["type"]]]})["answers"]
        addresses = [one["data"] for one in answer.get("answers", []) if one["type"] == command["type"]]
        if not addresses:
            outcomes.append(answer.get("error") or answer.get("code"))
            continue
        with socket.socket(family_of(addresses[0]), socket.SOCK_STREAM) as connection:
            connection.settimeout(5)
            try:
                connection.connect((addresses[0], command["to_port"]))
                outcomes.append("open" if connection.recv(10) else "eof")
            except OSError as error:
                outcomes.append(name_of(error))
    return {"ok": True, "outcomes": outcomes}


def burst(command):
    """Asks many names at once over `sockets` sockets, what stays silent every three seconds again, as resolvers of
    programs do; counts the codes of what came within the time."""
    sockets = [made(socket.SOCK_DGRAM, command) for _ in range(command.get("sockets", 16))]
    outcomes, started = {}, time.monotonic()
    waiting = [set() for _ in sockets]
    for through in sockets:
        through.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        through.connect(peer_of(command))
    questions = [wire.question(name, command.get("type", "A"), index) for index, name in enumerate(command["names"])]
    for number, question in enumerate(questions):
        sockets[number % len(sockets)].send(question)
        waiting[number % len(sockets)].add(number)
    again = started + 3
    deadline = started + command.get("timeout", 10)
    while any(waiting) and time.monotonic() < deadline:
        if time.monotonic() > again:
            again += 3
            for number in set().union(*waiting):
                sockets[number % len(sockets)].send(questions[number])
        for through in select.select(sockets, [], [], 0.2)[0]:
            try:
                told = wire.parse(through.recv(65535))
            except OSError:
                continue
            if told["id"] in waiting[sockets.index(through)]:
                waiting[sockets.index(through)].discard(told["id"])
                outcomes[told["code"]] = outcomes.get(told["code"], 0) + 1
    for through in sockets:
        through.close()
    missing = sum(len(one) for one in waiting)
    if missing:
        outcomes["timeout"] = missing
    return {"ok": True, "outcomes": outcomes, "seconds": time.monotonic() - started}


def rounds(command):
    """One question after the other; `{n}` in the name becomes the number. Gives the milliseconds of each and the codes."""
    times, outcomes = [], {}
    until = time.monotonic() + command["seconds"] if "seconds" in command else None
    number = command.get("first", 0)
    while (time.monotonic() < until) if until else (number < command.get("first", 0) + command["count"]):
        question = [[command["name"].format(n=number), command.get("type", "A")]]
        (answer,) = ask({**command, "questions": question})["answers"]
        word = answer.get("error") or answer["code"]
        outcomes[word] = outcomes.get(word, 0) + 1
        times.append(answer["ms"])
        number += 1
    return {"ok": True, "ms": times, "outcomes": outcomes, "next": number}


def forked(command):
    """The parent makes the socket; its child asks through it."""
    through = made(socket.SOCK_DGRAM, command)
    through.connect(peer_of(command))
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            name, kind = command["question"]
            through.send(wire.question(name, kind, 77))
            told = wire.parse(through.recv(65535))
        except OSError as error:
            told = {"error": name_of(error)}
        os.write(writer, json.dumps(told).encode())
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader) as answer:
        told = json.loads(answer.read())
    through.close()
    return {"ok": True, "child": child, "answer": told}


def open_socket(command):
    """A connected UDP socket that stays; `through` asks by it."""
    through = made(socket.SOCK_DGRAM, command)
    through.connect(peer_of(command))
    handles[len(handles) + 1] = through
    return {"ok": True, "handle": len(handles), "source": through.getsockname()[:2]}


def through(command):
    name, kind = command["question"]
    try:
        handles[command["handle"]].send(wire.question(name, kind, 99))
        return {"ok": True, "answer": wire.parse(handles[command["handle"]].recv(65535))}
    except OSError as error:
        return {"ok": False, "error": name_of(error)}


def look_up(command):
    """The C library's way: getaddrinfo."""
    started = time.monotonic()
    family = {"ipv4": socket.AF_INET, "ipv6": socket.AF_INET6}.get(command.get("family"), socket.AF_UNSPEC)
    try:
        found = socket.getaddrinfo(command["name"], command.get("port", 443), family, socket.SOCK_STREAM)
        addresses = sorted({entry[4][0] for entry in found})
        return {"ok": True, "addresses": addresses, "ms": (time.monotonic() - started) * 1000}
    except socket.gaierror as error:
        number = {getattr(socket, name): name for name in dir(socket) if name.startswith("EAI_")}
        return {"ok": False, "error": number.get(error.errno, str(error)), "ms": (time.monotonic() - started) * 1000}


obey_by_name(ask, raw, first_connect, burst, rounds, forked, open_socket, through, look_up)
