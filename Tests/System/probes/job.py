"""What a job does in the container: `steady`, `busy`, `knock`, `echo`. Everything it sees goes to its standard output."""

import socket
import sys
import threading
import time


def say(*words):
    print(f"{time.monotonic():.3f}", *words, flush=True)


def steady(address, port):
    """One connection that asks and is answered until it breaks; says how long the longest answer took."""
    connection = socket.create_connection((address, int(port)), timeout=10)
    connection.settimeout(20)
    say("open")
    longest, count, told = 0.0, 0, time.monotonic()
    while True:
        begin = time.monotonic()
        connection.sendall(b"x" * 64)
        waiting = 64
        while waiting:
            got = connection.recv(waiting)
            if not got:
                say("closed")
                return 1
            waiting -= len(got)
        longest, count = max(longest, time.monotonic() - begin), count + 1
        if time.monotonic() - told > 0.2:
            say("answers", count, "longest", f"{longest:.3f}")
            told = time.monotonic()
        time.sleep(0.02)


def busy(address, port):
    """New connections, one after the other, each asked once; says how many there were and how many failed."""
    good, bad, told = 0, 0, time.monotonic()
    while True:
        try:
            with socket.create_connection((address, int(port)), timeout=20) as connection:
                connection.sendall(b"x")
                good += connection.recv(1) == b"x"
        except OSError as error:
            say("failed", error)
            bad += 1
        if time.monotonic() - told > 0.2:
            say("connections", good, "failed", bad)
            told = time.monotonic()
        time.sleep(0.005)


def knock(address, port):
    """Tries again and again, by TCP and by UDP, on a host that may have no network yet."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    while True:
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            with socket.socket(family, kind) as tried:
                tried.settimeout(0.1)
                try:
                    tried.connect((address, int(port)))
                    if kind == socket.SOCK_DGRAM:
                        tried.send(b"knock")
                        say("udp", "SENT")
                    else:
                        say("tcp", "CONNECTED")
                except OSError as error:
                    say("udp" if kind == socket.SOCK_DGRAM else "tcp", error)
        time.sleep(0.02)


def echo(port):
    """Gives back what it gets, on loopback."""
    listener = socket.create_server(("127.0.0.1", int(port)))
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=answer, args=(connection,), daemon=True).start()


def answer(connection):
    with connection:
        while data := connection.recv(65536):
            connection.sendall(data)


if __name__ == "__main__":
    sys.exit({"steady": steady, "busy": busy, "knock": knock, "echo": echo}[sys.argv[1]](*sys.argv[2:]))
