"""Opens TCP connections to ever other destinations at a steady rate, without waiting for one before the next.

    flood.py ADDRESS RATE SECONDS    prints {"attempts": …, "perSecond": …, "outcomes": {"ECONNREFUSED": …}}

The n-th goes to ADDRESS with n added, and to a port that changes with n, too. A socket is closed when its connection came to
something, so that whoever judges it can tell whose it is. Ends early, with what there was, at the end of its input.
"""

import errno
import ipaddress
import json
import resource
import select
import socket
import sys
import time

MOST_WAITING = 4096


def main():
    base, rate, seconds = ipaddress.ip_address(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])
    family = socket.AF_INET if base.version == 4 else socket.AF_INET6
    resource.setrlimit(resource.RLIMIT_NOFILE, (MOST_WAITING * 2, MOST_WAITING * 2))
    most = int(rate * seconds) + 1
    poll, waiting, outcomes = select.epoll(), {}, {}

    def end(thing, code):
        thing.close()
        word = errno.errorcode.get(code, str(code)) if code else "open"
        outcomes[word] = outcomes.get(word, 0) + 1

    def collect(timeout):
        for descriptor, _ in poll.poll(timeout):
            thing = waiting.pop(descriptor)
            end(thing, thing.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))

    attempts, stopped, start = 0, False, time.monotonic()
    while not stopped and (now := time.monotonic()) < start + seconds:
        due = min(int((now - start) * rate) + 1, most)
        while attempts < due and len(waiting) < MOST_WAITING:
            thing = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            code = thing.connect_ex((str(base + attempts), 1024 + attempts * 7 % 60000))
            attempts += 1
            if code == errno.EINPROGRESS:
                waiting[thing.fileno()] = thing
                poll.register(thing.fileno(), select.EPOLLOUT)
            else:
                end(thing, code)
        collect(0.001)
        stopped = bool(select.select([sys.stdin], [], [], 0)[0])
    took, deadline = time.monotonic() - start, time.monotonic() + 10
    while waiting and time.monotonic() < deadline:
        collect(0.01)
    for thing in list(waiting.values()):
        end(thing, errno.ETIMEDOUT)
    print(json.dumps({"attempts": attempts, "perSecond": attempts / took, "outcomes": outcomes}), flush=True)


main()
