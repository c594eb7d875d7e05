"""A world with names: name servers that do what a test tells them, and echo servers at global addresses.

    world.set(("job.lab.test", "A", 300, [site.first]))
    world.behave("job.lab.test", "drop", times=2)
    job = world.asker(JOB, uid=1001, nameservers=[site.resolver])
    job.do("ask", server=site.resolver, questions=[["job.lab.test", "A"]])
    world.queries(name="job.lab.test")        # what arrived at the world's name servers
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import pathlib
import socket
import subprocess
import threading
import time
from typing import Any

import pytest
from conftest import JOB
from families import IPV4, IPV6, Family
from lab import PYTHON, Agent, Lab, World
from namespaces import LabError


@dataclasses.dataclass(frozen=True)
class Site:
    """Addresses of one family that RFC 6890 does not call special: in the world's namespace alone, whoever owns them."""

    family: Family
    type: str  # the record that holds an address
    pool_prefix: str  # all of it is the world's, with echo servers at `POOL_PORT`
    upstream: str  # the broker's own
    resolver: str  # what the jobs' resolv.conf says; also at ports 853 and 5353
    spare: str  # one more name server
    packages: str  # HTTPS: the index and the repository
    first: str  # echo servers, like those of `World`
    second: str
    third: str
    unknown: str  # an echo server that no name leads to
    special: tuple[str, ...]  # what an answer must not open
    reverse: str  # the name of `first` for PTR

    @property
    def echoes(self) -> list[str]:
        return [self.first, self.second, self.third, self.unknown]

    def pool(self, number: int) -> str:
        """One of 65,535 more addresses, with an echo server at `POOL_PORT`."""
        if self.type == "A":
            return f"93.185.{number >> 8}.{number & 255}"
        return f"2606:2800:221::{number:x}"


SITE4 = Site(
    family=IPV4, type="A", pool_prefix="93.185.0.0/16", upstream=IPV4.world, resolver="93.184.216.53", spare="93.184.216.54",
    packages="93.184.216.80", first="93.184.216.10", second="93.184.216.11", third="93.184.216.12",
    unknown="93.184.216.99", special=("10.0.0.1", "127.0.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", IPV4.storage),
    reverse="10.216.184.93.in-addr.arpa",
)  # fmt: skip
SITE6 = Site(
    family=IPV6, type="AAAA", pool_prefix="2606:2800:221::/64", upstream=IPV6.world, resolver="2606:2800:220:1::53",
    spare="2606:2800:220:1::54", packages="2606:2800:220:1::80", first="2606:2800:220:1::10",
    second="2606:2800:220:1::11", third="2606:2800:220:1::12", unknown="2606:2800:220:1::99",
    special=("::1", "64:ff9b::a9fe:a9fe", "::ffff:10.0.0.1", "fe80::1", "::", "fd00:ec2::254", IPV6.storage),
    reverse=".".join(reversed("26062800022000010000000000000010")) + ".ip6.arpa",
)  # fmt: skip
SITES = {IPV4.name: SITE4, IPV6.name: SITE6}
ECHO_TCP = [80, 443, 853, 5353, 8443]
ECHO_UDP = [443, 853, 5353]
POOL_PORT = 9443


class NamesWorld:
    """All of it, for all tests; `clear` between two of them."""

    def __init__(self, lab: Lab):
        self.lab = lab
        self.stack = contextlib.ExitStack()
        self.directory = lab.directory / f"names-{time.monotonic_ns()}"
        self.directory.mkdir(mode=0o755)
        self._numbers = itertools.count(1)
        self._places = itertools.count(1)
        self._lock = threading.Lock()
        self.https: World | None = None
        self.servers = [
            [address, port]
            for site in SITES.values()
            for address, port in [
                (site.upstream, 53), (site.resolver, 53), (site.spare, 53), (site.resolver, 853), (site.resolver, 5353),
            ]
        ]  # fmt: skip
        self._address(True)
        self.stack.callback(self._address, False)
        self.dns = self.server("dns_server.py", {"servers": self.servers}, stdin=subprocess.PIPE)
        echoes = [address for site in SITES.values() for address in site.echoes]
        self.echo = self.server("world.py", {"addresses": echoes, "tcp": ECHO_TCP, "udp": ECHO_UDP})
        self.pool = self.server("world.py", {"addresses": ["0.0.0.0", "::"], "tcp": [POOL_PORT], "udp": []})

    def _address(self, present: bool) -> None:
        lines, verb = [], "replace" if present else "delete"
        for site in SITES.values():
            length = 32 if site.type == "A" else 128
            for address in [site.resolver, site.spare, site.packages, *site.echoes]:
                lines.append(f"address {verb} {address}/{length} dev lo{' nodad' if present and length == 128 else ''}")
            lines.append(f"route {verb} local {site.pool_prefix} dev lo")
        self.lab.world_ns.ip(*lines, check=present)

    def server(self, program: str, plan: dict[str, Any], **keys: Any) -> World:
        argv = [PYTHON, "-I", str(self.lab.directory / "probes" / program), json.dumps(plan)]
        world = World(
            self.lab.spawn(argv, namespace=self.lab.world_ns, stdout=subprocess.PIPE, text=True, **keys)
        )
        self.stack.callback(world.close)
        return world

    def close(self) -> None:
        self.stack.close()

    # The name servers

    def tell(self, command: str, **keys: Any) -> None:
        """Gives the name servers a command and waits until it is done."""
        with self._lock:
            number = next(self._numbers)
            self.dns.process.stdin.write(json.dumps({"do": command, "number": number, **keys}) + "\n")
            self.dns.process.stdin.flush()
        answer = self.dns.wait(timeout=10, event="done", number=number)
        if answer["error"]:
            raise LabError(f"{command}: {answer['error']}")

    def set(self, *records: tuple[str, str, int, list[Any]]) -> None:
        """Puts records: name, type, TTL and their data, in place of those of that name and type."""
        self.tell("set", records=records)

    def remove(self, *names: str) -> None:
        self.tell("remove", names=names)

    def bulk(self, site: "Site", count: int, domain: str = "pool.lab.test", ttl: int = 300) -> list[str]:
        """Names with one address of the pool each."""
        names = [f"n{number}.{domain}" for number in range(1, count + 1)]
        self.set(*[(name, site.type, ttl, [site.pool(number)]) for number, name in enumerate(names, 1)])
        return names

    def behave(self, name: str, do: str, **keys: Any) -> None:
        """How a name, or all below it (`*.lab.test`), is answered from now on: `Reply` in probes/dns_server.py knows the words.

        `times` ends it after so many; `type`, `transport` and `server` narrow it.
        """
        self.tell("behave", behaviour={"name": name, "do": do, **keys})

    def behave_well(self) -> None:
        self.tell("behave-well")

    def stop(self, server: str | None = None) -> None:
        """A name server dies; all of them without an address."""
        self.tell("stop", server=server)

    def start(self, server: str | None = None) -> None:
        self.tell("start", server=server)

    def queries(self, **wanted: Any) -> list[dict[str, Any]]:
        """What arrived: `name` (in lower case), `spelled`, `type`, `transport`, `server`, `port`, `peer`, `id`, `edns`."""
        return self.dns.find(event="query", **wanted)

    def forget(self) -> None:
        """Begins the log of the queries anew."""
        self.dns.clear()

    def clear(self) -> None:
        self.tell("clear")
        self.dns.clear()
        for server in (self.echo, self.pool):
            server.clear()
        if self.https is not None:
            self.https.clear()

    # Programs with a resolv.conf of their own

    def place(self, nameservers: list[str]) -> pathlib.Path:
        """A folder with the files that name resolution reads."""
        place = self.directory / f"etc-{next(self._places)}"
        place.mkdir(mode=0o755)
        lines = [f"nameserver {address}\n" for address in nameservers]
        (place / "resolv.conf").write_text("".join(lines) + "options timeout:3 attempts:2\n")
        (place / "nsswitch.conf").write_text("passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n")
        # Some programs look up their own name.
        (place / "hosts").write_text(f"127.0.0.1 localhost {socket.gethostname()}\n::1 localhost\n")
        return place

    @staticmethod
    def private_etc(place: pathlib.Path) -> list[str]:
        """What goes before a command line, so that it sees the files of `place` in /etc and nobody else does."""
        script = 'for f in resolv.conf nsswitch.conf hosts; do mount --bind "$0/$f" "/etc/$f" || exit 97; done; exec "$@"'
        return ["unshare", "--mount", "--propagation", "private", "--", "sh", "-c", script, str(place)]

    def agent(
        self,
        cgroup: str | None,
        uid: int = 1001,
        nameservers: list[str] | None = None,
        probe: str = "agent.py",
        **keys: Any,
    ) -> Agent:
        """An agent whose /etc/resolv.conf names these servers."""
        place = self.place(nameservers or [SITE4.resolver])
        argv = self.private_etc(place)
        if uid != 0:
            argv += ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--"]
        process = self.lab.spawn(
            [*argv, PYTHON, "-I", str(self.lab.directory / "probes" / probe)],
            cgroup=cgroup, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **keys,
        )  # fmt: skip
        agent = Agent(process)
        self.lab.stack.callback(agent.close)
        return agent

    def asker(self, cgroup: str | None, uid: int = 1001, nameservers: list[str] | None = None, **keys: Any) -> Agent:
        """probes/dns_asker.py: DNS with bare sockets."""
        return self.agent(cgroup, uid, nameservers, probe="dns_asker.py", **keys)


@pytest.fixture(scope="session")
def names_world(lab):
    def make():
        made = NamesWorld(lab)
        lab.stack.callback(made.close)
        return made

    return lab.once(NamesWorld, make)


@pytest.fixture
def world(ground, names_world):
    """The world with names, without records."""
    names_world.clear()
    yield names_world
    names_world.clear()


@pytest.fixture
def site(family):
    return SITES[family.name]


@pytest.fixture
def daemon(daemon, site):
    """The daemon of conftest.py, with an upstream of this family."""
    daemon.configure(dns={"upstream": [site.upstream]})
    return daemon


@pytest.fixture
def asker(world, site):
    """Asks as the workload `job`."""
    return world.asker(JOB, nameservers=[site.resolver])


__all__ = ["POOL_PORT", "SITE4", "SITE6", "SITES", "NamesWorld", "Site", "asker", "daemon", "names_world", "site", "world"]
