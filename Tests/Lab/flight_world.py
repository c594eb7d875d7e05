"""A world whose servers speak what they should, and clients that say first bytes in every way.

    world.set((NAME, site.type, 300, [flights.web(site)]))
    client = flights.client(site)                 # a process of the workload `job`
    client.do("resolve", name=NAME)
    flights.speak(client, flights.web(site), hello(NAME))       # {"ok": True, "reply": "1603…"}
"""

from __future__ import annotations

import contextlib
import json
import pathlib
import random
import shutil
import subprocess
from typing import Any

import pytest
from conftest import JOB
from lab import PYTHON, ROOT, SSH_UID, Agent, Lab, World
from names_tools import SSH_PORT, Tools, tools_of
from names_world import SITES, NamesWorld, Site, daemon, names_world, site, world
from namespaces import LabError
from probes import flight_wire as wire

NAME, NEIGHBOUR = wire.NAME, "other.lab.test"  # both at `web`, with certificates
QUIET, SSH = "quiet.lab.test", "ssh.lab.test"
LIBRARY = ROOT / ".build/python"
PACKAGES = (
    "aioquic", "attr", "attrs", "certifi", "cffi", "_cffi_backend*", "charset_normalizer", "cryptography", "h2", "hpack",
    "hyperframe", "idna", "OpenSSL", "pylsqpack", "requests", "service_identity", "typing_extensions*", "urllib3",
    "pyasn1*", "chardet",
)  # fmt: skip
EARLY_PORT = 8443
MORE_PORTS = range(4400, 4440)
# Segments for these ports are those of probes/segments.py: the kernel has no socket for them and would reset them.
SEGMENT_RULES = """table inet lab_segments {
    chain in { type filter hook input priority 1000; policy accept; tcp dport 61000-61999 drop; }
}"""
# Fast open without a cookie on both sides: what the first SYN can carry, it does.
CLIENT_FAST_OPEN, SERVER_FAST_OPEN = 0x5, 0x603


class Flights:
    """The servers, for all tests."""

    def __init__(self, tools: Tools):
        self.tools, self.names, self.lab = tools, tools.world, tools.world.lab
        names = self.names
        self._address("replace")
        names.stack.callback(self._address, "delete")
        self.library = self._library(self.lab)
        paths = {"certificate": str(self.tools.directory / "leaf.pem"), "key": str(self.tools.directory / "leaf.key")}
        self.plan = {"library": str(self.library), **paths}
        self.servers = names.server("flight_server.py", {**self.plan, "serve": self._serve()})
        self.quic = self._quic_server()
        self.early = [self._early_server(site) for site in SITES.values()]

    # Addresses: of the pool, where all are the world's

    @staticmethod
    def web(place: Site) -> str:
        """TLS and QUIC at 443, HTTP at 80, TLS with early data at `EARLY_PORT`; of `NAME`, `NEIGHBOUR` and others."""
        return place.pool(0xF001)

    @staticmethod
    def quiet(place: Site) -> str:
        """Reads at 22, 80, 443, 8443 and `MORE_PORTS`, and UDP at 443, 1194, 5555 and 51820, and says nothing."""
        return place.pool(0xF002)

    @staticmethod
    def ssh(place: Site) -> str:
        """A real OpenSSH server at 22 and 443, one that waits for the client's banner at 2200, an echo at 7."""
        return place.pool(0xF003)

    def _address(self, verb: str) -> None:
        lines = []
        for place in SITES.values():
            length, flag = (32, "") if place.type == "A" else (128, " nodad")
            for address in (self.web(place), self.quiet(place), self.ssh(place)):
                lines.append(f"address {verb} {address}/{length} dev lo{flag if verb == 'replace' else ''}")
        self.lab.world_ns.ip(*lines, check=verb == "replace")

    def _serve(self) -> list[dict[str, Any]]:
        made: list[dict[str, Any]] = []
        for place in SITES.values():
            web, quiet, ssh = self.web(place), self.quiet(place), self.ssh(place)
            made += [{"as": "tls", "at": web, "port": 443}, {"as": "http", "at": web, "port": 80}]
            made += [{"as": "quiet", "at": quiet, "port": port} for port in (22, 80, 443, 8443, *MORE_PORTS)]
            made += [{"as": "datagrams", "at": quiet, "port": port} for port in (443, 1194, 5555, 51820)]
            made += [{"as": "pipe", "at": ssh, "port": port, "to": SSH_PORT} for port in (22, 443)]
            made += [{"as": "late", "at": ssh, "port": 2200}, {"as": "echo", "at": ssh, "port": 7}]
        return made

    def _quic_server(self) -> World:
        plan = {**self.plan, "serve": [[self.web(place), 443] for place in SITES.values()]}
        argv = [PYTHON, "-I", str(self.lab.directory / "probes/quic_peer.py"), "server", json.dumps(plan)]
        return self._keep(World(self.lab.spawn(argv, namespace=self.lab.world_ns, stdout=subprocess.PIPE, text=True)))

    def _keep(self, made: World) -> World:
        self.names.stack.callback(made.close)
        return made

    def _early_server(self, place: Site) -> subprocess.Popen:
        """OpenSSL's own server: it takes early data (RFC 8446 §2.3), once per session."""
        web = self.web(place)
        at = f"[{web}]:{EARLY_PORT}" if ":" in web else f"{web}:{EARLY_PORT}"
        argv = ["openssl", "s_server", "-accept", at, "-cert", self.plan["certificate"], "-key", self.plan["key"]]
        with open(self.names.directory / f"early-{place.type}", "wb") as log:
            # It ends with its input.
            pipes = {"stdin": subprocess.PIPE, "stdout": log, "stderr": log}
            made = self.lab.spawn([*argv, "-early_data", "-naccept", "1000"], namespace=self.lab.world_ns, **pipes)
        self.names.stack.callback(made.wait)
        self.names.stack.callback(made.kill)
        return made

    def early_log(self, place: Site) -> str:
        """What the server that takes early data has said."""
        return (self.names.directory / f"early-{place.type}").read_text(errors="replace")

    @contextlib.contextmanager
    def fast_open(self):
        """Inside it both sides do it."""
        with contextlib.ExitStack() as stack:
            for namespace, value in ((self.lab.host, CLIENT_FAST_OPEN), (self.lab.world_ns, SERVER_FAST_OPEN)):
                stack.callback(namespace.sysctl, "net.ipv4.tcp_fastopen", namespace.sysctl("net.ipv4.tcp_fastopen"))
                namespace.sysctl("net.ipv4.tcp_fastopen", str(value))
            yield

    @staticmethod
    def _library(lab: Lab) -> pathlib.Path:
        """What came from PyPI, where programs of other users can read it."""
        target = lab.directory / "library"
        if not target.exists():
            target.mkdir(mode=0o755)
            for pattern in PACKAGES:
                for path in LIBRARY.glob(pattern):
                    copy = shutil.copytree if path.is_dir() else shutil.copy2
                    copy(path, target / path.name)
            subprocess.run(["chmod", "-R", "a+rX", str(target)], check=True)
        if not (target / "aioquic").exists():
            raise LabError("no aioquic in .build/python: run `make deps`")
        return target

    # Life

    def clear(self) -> None:
        for server in (self.servers, self.quic):
            server.clear()

    def arrived(self, **wanted: Any) -> list[dict[str, Any]]:
        """The bytes that came to a server: facts with `data`, in hexadecimal digits."""
        return self.servers.find(event="data", **wanted)

    # Clients

    def client(self, place: Site, cgroup: str | None = JOB, uid: int = SSH_UID, **keys: Any) -> Agent:
        """probes/flight_client.py, as a user whom OpenSSH serves."""
        keys.setdefault("environment", self.tools.environment())
        return self.names.agent(cgroup, uid, [place.resolver], probe="flight_client.py", **keys)

    def segments(self, cgroup: str = JOB, uid: int = 1001) -> Agent:
        """probes/segments.py."""
        self.lab.host.nft(SEGMENT_RULES)
        shutil.copy(pathlib.Path(__file__).with_name("packets.py"), self.lab.directory / "probes/packets.py")
        return self._probe("segments.py", cgroup, uid, capabilities=("net_raw",))

    def quic_client(self, cgroup: str = JOB, uid: int = 1001) -> Agent:
        """probes/quic_peer.py, the client."""
        return self._probe("quic_peer.py", cgroup, uid, "client", json.dumps({"library": str(self.library)}))

    def _probe(self, program: str, cgroup: str, uid: int, *arguments: str, **keys: Any) -> Agent:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        argv = [PYTHON, "-I", str(self.lab.directory / "probes" / program), *arguments]
        agent = Agent(self.lab.spawn(argv, cgroup=cgroup, uid=uid, **pipes, **keys))
        self.lab.stack.callback(agent.close)
        return agent

    def ssh_client(self, port: int, address: str) -> list[str]:
        """OpenSSH's client, for one command."""
        argv = self.tools.ssh.client("-l", "root", address, "echo", "lab", uid=SSH_UID)
        argv[argv.index("-p") + 1] = str(port)
        return argv

    def python(self, script: str, *arguments: str) -> list[str]:
        """The command line of a Python program that finds what came from PyPI."""
        return [PYTHON, "-I", "-c", f"import sys; sys.path.insert(0, {str(self.library)!r})\n{script}", *arguments]

    @staticmethod
    def speak(agent: Agent, address: str, *chunks: bytes, port: int = 443, **keys: Any) -> dict[str, Any]:
        """Connects and says these chunks; the reply as bytes."""
        answer = agent.do("speak", to=[address, port], chunks=[chunk.hex() for chunk in chunks], **keys)
        if "reply" in answer:
            answer["reply"] = bytes.fromhex(answer["reply"])
        return answer


def split_anyhow(data: bytes, seed: random.Random, most: int) -> list[bytes]:
    """The bytes in at most so many pieces, cut anywhere."""
    cuts = sorted(seed.sample(range(1, len(data)), min(most - 1, len(data) - 1)))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)])]


@pytest.fixture(scope="session")
def flight_servers(names_world):  # pylint: disable=redefined-outer-name
    return names_world.lab.once(Flights, lambda: Flights(tools_of(names_world)))


@pytest.fixture
def flights(flight_servers, world, site):  # pylint: disable=redefined-outer-name
    """The servers, with `NAME` and `NEIGHBOUR` at `web`, QUIET at `quiet`, SSH at `ssh`."""
    flight_servers.clear()
    kind = site.type
    world.set(
        (NAME, kind, 300, [flight_servers.web(site)]), (NEIGHBOUR, kind, 300, [flight_servers.web(site)]),
        (QUIET, kind, 300, [flight_servers.quiet(site)]), (SSH, kind, 300, [flight_servers.ssh(site)]),
    )  # fmt: skip
    with flight_servers.fast_open():
        yield flight_servers
    flight_servers.clear()


@pytest.fixture
def client(flights, site):  # pylint: disable=redefined-outer-name
    """A process of the workload `job` that says first bytes."""
    return flights.client(site)


__all__ = [
    "EARLY_PORT", "MORE_PORTS", "NAME", "NEIGHBOUR", "QUIET", "SSH", "Flights", "client", "daemon", "flight_servers",
    "flights", "names_world", "site", "split_anyhow", "world",
]  # fmt: skip
