"""The lab: a training host and a world in private network namespaces, with cgroups, real OpenSSH and real sockets.

    with Lab() as lab:
        daemon = lab.daemon()
        daemon.start({"job": policy("job", lab.glob("training.slice/job.service"), allow=[…])})
        agent = lab.agent("training.slice/job.service", uid=1001)
        agent.tcp("203.0.113.9", 443)        # {"ok": False, "error": "ECONNREFUSED", …}

What it makes carries the number of its process, is removed last in, first out, also after an exception, SIGINT or
SIGTERM, and after a SIGKILL by the next lab that starts.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from typing import Any, Callable

from capture import Capture
from daemon import Daemon
from families import FAMILIES, IPV4, IPV6, Family
from namespaces import CgroupTree, LabError, Namespace, run, sweep_stale

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PYTHON = os.path.realpath("/usr/bin/python3")
# OpenSSH refuses to run as a user that does not exist; this one exists on every Debian and its kin.
SSH_UID = 33
SSH_USER = "www-data"
WORLD_TCP = [80, 443, 2049, 5555, 7777, 8000, 8443, 9000, 9001, 9010, 9011]
WORLD_UDP = [123, 443, 5555, 7777, 9000]


def find_egressd() -> pathlib.Path | None:
    """EGRESSD, else the release build, else the debug build."""
    if "EGRESSD" in os.environ:
        return pathlib.Path(os.environ["EGRESSD"]).resolve()
    for kind in ("release", "debug"):
        path = ROOT / ".build" / kind / "egressd"
        if path.exists():
            return path
    return None


class Agent:
    """A program (probes/agent.py) in a cgroup, as a user, that does what it is told."""

    def __init__(self, process: subprocess.Popen):
        self.process = process
        self._lock = threading.Lock()
        self.pid = self._answer(10)["pid"]

    def _answer(self, timeout: float) -> dict[str, Any]:
        ready, _, _ = select.select([self.process.stdout], [], [], timeout)
        line = self.process.stdout.readline() if ready else ""
        if not line:
            self.process.kill()
            raise LabError(f"the agent did not answer within {timeout} s" if not ready else "the agent ended")
        return json.loads(line)

    def do(self, command: str, patience: float = 60, **keys: Any) -> dict[str, Any]:
        with self._lock:
            self.process.stdin.write(json.dumps({"do": command, **keys}) + "\n")
            self.process.stdin.flush()
            return self._answer(patience)

    def begin(self, command: str, **keys: Any) -> "Pending":
        """Starts a command and gives something to wait for."""
        return Pending(self, command, keys)

    def tcp(self, address: str, port: int, **keys: Any) -> dict[str, Any]:
        return self.do("tcp", to=[address, port], **keys)

    def udp(self, address: str, port: int, **keys: Any) -> dict[str, Any]:
        return self.do("udp", to=[address, port], **keys)

    def echo(self, handle: int, text: str = "still here", timeout: float = 2) -> dict[str, Any]:
        """Sends on an open connection and reads what comes back."""
        sent = self.do("write", handle=handle, data=text)
        return self.do("read", handle=handle, timeout=timeout) if sent["ok"] else sent

    def run(self, *argv: str, timeout: float = 20) -> dict[str, Any]:
        return self.do("run", argv=list(argv), timeout=timeout)

    def runner(self, argv: list[str]) -> tuple[int, str, str]:
        """For `Daemon.ctl(runner=…)`: runs it as this agent."""
        done = self.run(*argv)
        return done["status"], done["stdout"], done["stderr"]

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class Pending:
    """A command that an agent is busy with."""

    def __init__(self, agent: Agent, command: str, keys: dict[str, Any]):
        self._box: dict[str, Any] = {}

        def body() -> None:
            try:
                self._box["answer"] = agent.do(command, **keys)
            except Exception as error:  # pylint: disable=broad-except
                self._box["error"] = error

        self._thread = threading.Thread(target=body, daemon=True)
        self._thread.start()

    @property
    def done(self) -> bool:
        return not self._thread.is_alive()

    def wait(self, timeout: float = 60) -> dict[str, Any]:
        self._thread.join(timeout)
        if self._thread.is_alive():
            raise LabError(f"a command is not done after {timeout} s")
        if "error" in self._box:
            raise self._box["error"]
        return self._box["answer"]


class World:
    """The servers of the world, and what they saw."""

    def __init__(self, process: subprocess.Popen):
        self.process = process
        self.facts: list[dict[str, Any]] = []
        self._lock = threading.RLock()
        self._rest = b""
        self._output = process.stdout.fileno()
        os.set_blocking(self._output, False)
        self._collector = threading.Thread(target=self._collect, daemon=True)
        self._collector.start()
        self.wait(event="ready", timeout=15)

    def _collect(self) -> None:
        """A server whose pipe is full would wait."""
        while select.select([self._output], [], []) and self._drain():
            pass

    def _drain(self) -> bool:
        """Takes in what was told so far; False at the end.

        A server tells before it answers: whoever has its answer, and drains, finds it told.
        """
        with self._lock:
            while not self.process.stdout.closed:
                try:
                    data = os.read(self._output, 1 << 16)
                except BlockingIOError:
                    return True
                if not data:
                    return False
                *lines, self._rest = (self._rest + data).split(b"\n")
                self.facts += [json.loads(line) for line in lines]
            return False

    def clear(self) -> None:
        """Forgets what was seen until now."""
        # The collector may not take in between the two what nobody has asked for yet.
        with self._lock:
            self._drain()
            self.facts.clear()

    def find(self, **wanted: Any) -> list[dict[str, Any]]:
        self._drain()
        port = wanted.pop("peer_port", None)
        return [
            fact
            for fact in list(self.facts)
            if all(fact.get(key) == value for key, value in wanted.items())
            and (port is None or fact.get("peer", [None, None])[1] == port)
        ]

    def wait(self, timeout: float = 15, **wanted: Any) -> dict[str, Any]:
        deadline = time.monotonic() + timeout
        while not (found := self.find(**wanted)):
            if time.monotonic() > deadline:
                raise AssertionError(f"the world saw no {wanted} within {timeout} s")
            time.sleep(0.005)
        return found[0]

    def wait_closed(self, peer_port: int, timeout: float) -> dict[str, Any]:
        """Waits until the peer of a connection learned of its end, by FIN or reset."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            for fact in self.find(peer_port=peer_port):
                if fact["event"] in ("eof", "reset"):
                    return fact
            time.sleep(0.005)
        raise AssertionError(f"the peer of port {peer_port} did not learn within {timeout} s that it was cut")

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._collector.join()
        self.process.stdout.close()


class Lab:
    """Makes everything on entering, removes it on leaving."""

    def __init__(self, need_egressd: bool = True, label: str = ""):
        """`label` tells several labs of one process apart."""
        self.need_egressd = need_egressd
        self.number = os.getpid()
        self.stack = contextlib.ExitStack()
        self.daemons = 0
        self._shared: dict[type, Any] = {}
        self.host = Namespace(f"egressd-{self.number}-{label}host")
        self.world_ns = Namespace(f"egressd-{self.number}-{label}world")
        self.cgroups = CgroupTree(f"egressd-lab-{self.number}{label}")
        self.egressd: pathlib.Path | None = None
        self.world: World
        self.directory: pathlib.Path

    # Life

    def __enter__(self) -> "Lab":
        if os.geteuid() != 0:
            raise LabError("the lab makes network namespaces and cgroups: run it as root")
        try:
            self._catch_signals()
            self._build()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def close(self) -> None:
        # An impatient second Ctrl-C must not leave half of it behind.
        held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        try:
            self.stack.close()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)

    def _catch_signals(self) -> None:
        def interrupt(number: int, _frame: Any) -> None:
            raise KeyboardInterrupt(signal.Signals(number).name)

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self.stack.callback(signal.signal, number, signal.signal(number, interrupt))

    def _build(self) -> None:
        sweep_stale()
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix=f"egressd-lab-{self.number}-", dir="/tmp"))
        self.stack.callback(shutil.rmtree, self.directory, ignore_errors=True)
        os.chmod(self.directory, 0o755)
        # Agents run as users that cannot read the checkout.
        shutil.copytree(HERE / "probes", self.directory / "probes")
        run("chmod", "-R", "a+rX", str(self.directory / "probes"))
        found = find_egressd()
        if found is not None and found.exists():
            self.egressd = self.directory / "egressd"
            shutil.copy2(found, self.egressd)
            os.chmod(self.egressd, 0o755)
        elif self.need_egressd:
            raise LabError("no egressd: run `make build`, or set EGRESSD to the binary")
        self.stack.callback(self.cgroups.remove)
        self.cgroups.make("")
        for namespace in (self.host, self.world_ns):
            self.stack.callback(namespace.delete)
            namespace.create()
        self._connect()
        self.world = World(
            self.spawn(
                [PYTHON, "-I", str(self.directory / "probes/world.py"), json.dumps(self._world_plan())],
                namespace=self.world_ns,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        self.stack.callback(self.world.close)

    @staticmethod
    def _world_addresses(family: Family) -> list[str]:
        return [
            family.world, family.storage, family.secret, family.stranger, family.other, family.third, family.metadata,
        ]  # fmt: skip

    def _world_plan(self) -> dict[str, Any]:
        addresses = [address for family in FAMILIES for address in self._world_addresses(family)]
        return {"addresses": addresses, "tcp": WORLD_TCP, "udp": WORLD_UDP}

    def _connect(self) -> None:
        self.host.ip(f"link add uplink type veth peer name downlink netns {self.world_ns.name}")
        self.host.ip(
            f"address add {IPV4.host}/24 dev uplink",
            f"address add {IPV6.host}/64 dev uplink nodad",
            "link set uplink up",
        )
        addresses = [
            f"address add {address}/{32 if family is IPV4 else 128} dev lo{'' if family is IPV4 else ' nodad'}"
            for family in FAMILIES
            for address in self._world_addresses(family)[1:]
        ]
        self.world_ns.ip(
            f"address add {IPV4.world}/24 dev downlink",
            f"address add {IPV6.world}/64 dev downlink nodad",
            "link set downlink up",
            *addresses,
        )
        for family in FAMILIES:
            self.host.ip(f"route add default via {family.world} dev uplink")
        # A veth is up a moment after it says so; the first packets would be lost and cost a second.
        deadline = time.monotonic() + 10
        for family in FAMILIES:
            while "1 received" not in self.host.command(
                "ping", "-c1", "-W0.2", "-I", family.host, family.stranger, check=False
            ):
                if time.monotonic() > deadline:
                    raise LabError(f"the host cannot reach the world on {family}")

    def once(self, kind: type, make: Callable[[], Any]) -> Any:
        """What all tests share, made for the first that wants it: a fixture that files import is another in each."""
        if kind not in self._shared:
            self._shared[kind] = make()
        return self._shared[kind]

    # Programs

    def spawn(
        self,
        argv: list[str],
        namespace: Namespace | None = None,
        cgroup: str | None = None,
        uid: int | None = None,
        gid: int | None = None,
        capabilities: tuple[str, ...] = (),
        environment: dict[str, str] | None = None,
        **keys: Any,
    ) -> subprocess.Popen:
        """Starts a program in a namespace (the training host's by default), a cgroup of the lab, and as a user.

        The process number is the program's own: every step before it replaces itself.
        """
        command = ["nsenter", f"--net={(namespace or self.host).path}", "--"]
        if cgroup is not None:
            directory = self.cgroups.make(cgroup)
            command += ["sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', str(directory)]
        if uid is not None and (uid != 0 or gid is not None):
            command += ["setpriv", f"--reuid={uid}", f"--regid={uid if gid is None else gid}", "--clear-groups"]
            if capabilities:
                wanted = ",".join(f"+{name}" for name in capabilities)
                command += [f"--inh-caps={wanted}", f"--ambient-caps={wanted}"]
            command += ["--"]
        keys.setdefault("stdin", subprocess.DEVNULL)
        keys.setdefault("start_new_session", True)
        process = subprocess.Popen(command + argv, env={**os.environ, **(environment or {})}, **keys)
        self.stack.callback(end, process)
        return process

    def agent(self, cgroup: str | None = None, uid: int = 0, **keys: Any) -> Agent:
        """An agent in a cgroup of the lab (or in none of them), as a user."""
        process = self.spawn(
            [keys.pop("python", PYTHON), "-I", str(self.directory / "probes/agent.py")],
            cgroup=cgroup,
            uid=uid,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            **keys,
        )
        agent = Agent(process)
        self.stack.callback(agent.close)
        return agent

    def outsider(self) -> Agent:
        """An agent in the world."""
        return self.agent(namespace=self.world_ns)

    def daemon(self, **configuration: Any) -> Daemon:
        """A daemon that is not started yet, with a directory of its own."""
        self.daemons += 1
        daemon = Daemon(self, self.directory / f"daemon-{self.daemons}", **configuration)
        self.stack.callback(daemon.kill)
        return daemon

    def glob(self, path: str) -> str:
        """A cgroup below the lab's, as a policy names it."""
        return f"{self.cgroups.name}/{path}"

    def capture(self) -> Capture:
        """Reads what arrives at the world's end."""
        return Capture(self.world_ns, "downlink")

    def destination_mac(self) -> str:
        """The link address of the world's end, as hexadecimal digits."""
        text = self.world_ns.inside(lambda: _link_address("downlink"))
        return text.hex()

    def source_mac(self) -> str:
        return self.host.inside(lambda: _link_address("uplink")).hex()

    # More of the world

    def sshd(self, port: int = 22) -> "Sshd":
        """A real OpenSSH server in the world, on all its addresses."""
        return Sshd(self, port)

    def guest(self) -> Namespace:
        """A machine behind the training host, which forwards its packets."""
        namespace = Namespace(f"egressd-{self.number}-guest")
        self.stack.callback(namespace.delete)
        namespace.create()
        self.host.ip(f"link add guest0 type veth peer name eth0 netns {namespace.name}")
        # A namespace goes when it will; its link is in the way of the next one.
        self.stack.callback(self.host.ip, "link delete guest0", check=False)
        self.host.ip(
            f"address add {IPV4.guest_gateway}/24 dev guest0",
            f"address add {IPV6.guest_gateway}/64 dev guest0 nodad",
            "link set guest0 up",
        )
        namespace.ip(
            f"address add {IPV4.guest}/24 dev eth0",
            f"address add {IPV6.guest}/64 dev eth0 nodad",
            "link set eth0 up",
            f"route add default via {IPV4.guest_gateway}",
            f"route add default via {IPV6.guest_gateway}",
        )
        self.world_ns.ip(
            f"route replace 10.98.0.0/24 via {IPV4.host}",
            f"route replace fd98::/64 via {IPV6.host}",
        )
        self.forwarding(True)
        return namespace

    def forwarding(self, on: bool) -> None:
        self.host.sysctl("net.ipv4.ip_forward", "1" if on else "0")
        self.host.sysctl("net.ipv6.conf.all.forwarding", "1" if on else "0")


class Sshd:
    """OpenSSH with keys of its own: `key` opens it for root."""

    def __init__(self, lab: Lab, port: int):
        self.lab = lab
        self.port = port
        self.directory = lab.directory / f"sshd-{port}"
        self.directory.mkdir(mode=0o755)
        self.key = self.directory / "user_key"
        host_key = self.directory / "host_key"
        for path in (self.key, host_key):
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path))
        authorized = self.directory / "authorized_keys"
        shutil.copy(f"{self.key}.pub", authorized)
        configuration = self.directory / "sshd_config"
        configuration.write_text(
            f"""Port {port}
AddressFamily any
HostKey {host_key}
AuthorizedKeysFile {authorized}
PidFile {self.directory}/pid
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
AllowTcpForwarding yes
GatewayPorts no
UseDNS no
LogLevel VERBOSE
"""
        )
        pathlib.Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        self.log = self.directory / "log"
        sshd = shutil.which("sshd", path="/usr/sbin:/usr/bin:/sbin")
        if sshd is None:
            raise LabError("no sshd: run `make deps`")
        self.process = lab.spawn(
            [sshd, "-D", "-f", str(configuration), "-E", str(self.log)], namespace=lab.world_ns
        )
        deadline = time.monotonic() + 10
        while "Server listening on ::" not in (self.log.read_text() if self.log.exists() else ""):
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise LabError(f"sshd did not start: {self.log.read_text() if self.log.exists() else ''}")
            time.sleep(0.02)

    def client(self, *arguments: str, uid: int = 0) -> list[str]:
        """The command line of a client that needs no files of its own."""
        key = self.directory / f"key-{uid}"
        if not key.exists():
            shutil.copy(self.key, key)
            os.chown(key, uid, uid)
            os.chmod(key, 0o600)
        options = {
            "IdentitiesOnly": "yes",
            "StrictHostKeyChecking": "no",
            "UserKnownHostsFile": "/dev/null",
            "GlobalKnownHostsFile": "/dev/null",
            "BatchMode": "yes",
            "ExitOnForwardFailure": "yes",
            "ConnectTimeout": "5",
            "LogLevel": "ERROR",
        }
        flags = [flag for key_, value in options.items() for flag in ("-o", f"{key_}={value}")]
        return ["ssh", "-F", "none", "-i", str(key), "-p", str(self.port), *flags, *arguments]

    def reverse_tunnel(
        self, address: str, remote_port: int, local_port: int, cgroup: str, uid: int = 0, **keys: Any
    ) -> subprocess.Popen:
        """`ssh -N -R`, as a job would do it."""
        # The bracketed form: an IPv6 address and a forward have colons both.
        argv = self.client("-N", "-R", f"{remote_port}:127.0.0.1:{local_port}", "-l", "root", address, uid=uid)
        return self.lab.spawn(argv, cgroup=cgroup, uid=uid, stderr=subprocess.PIPE, text=True, **keys)


def _link_address(interface: str) -> bytes:
    import fcntl  # pylint: disable=import-outside-toplevel
    import socket  # pylint: disable=import-outside-toplevel
    import struct  # pylint: disable=import-outside-toplevel

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        return fcntl.ioctl(made, 0x8927, struct.pack("256s", interface.encode()))[18:24]  # SIOCGIFHWADDR


def end(process: subprocess.Popen) -> None:
    if process.poll() is None:
        process.kill()
    process.wait()


def main() -> int:
    """`python3 lab.py`: makes a lab, says how to look around, and waits."""
    with Lab(need_egressd=False) as lab:
        print(f"host   nsenter --net={lab.host.path}\nworld  nsenter --net={lab.world_ns.path}")
        print(f"cgroup {lab.cgroups.root}\nfiles  {lab.directory}\nCtrl-C removes it all.")
        signal.pause()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
