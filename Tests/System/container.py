"""A Debian 12 that boots with systemd in a container of its own, and the world outside its one network device."""

from __future__ import annotations

import hashlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS / "Lab"))

from namespaces import LabError, Namespace, run, sweep_stale  # noqa: E402

BUILD = pathlib.Path(os.environ.get("EGRESSD_BUILD", TESTS.parent / ".build")) / "system"
MIRROR = os.environ.get("EGRESSD_MIRROR", "http://deb.debian.org/debian")
# What a small training host has, and what the package depends on: inside there is no way to a mirror.
PACKAGES = (
    "systemd systemd-sysv dbus nftables iproute2 openssh-client python3 procps init-system-helpers man-db "
    "libnftnl11 libmnl0 libyaml-0-2 libsqlite3-0 libstdc++6 iputils-ping bash-completion"
).split()

HOST4, HOST6 = "10.20.0.2", "fd00:20::2"
STORAGE4, STORAGE6 = "10.20.0.1", "fd00:20::1"
STRANGER4, STRANGER6 = "203.0.113.9", "2001:db8::9"
NETWORK = f"""[Match]
Name=host0
[Network]
Address={HOST4}/16
Address={HOST6}/64
Gateway={STORAGE4}
Gateway={STORAGE6}
IPv6AcceptRA=no
[Link]
ActivationPolicy=always-up
"""
SSHD = """ListenAddress {address4}
ListenAddress [{address6}]
HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
StrictModes no
UsePAM no
PermitRootLogin yes
PidFile none
LogLevel VERBOSE
"""


def wait(condition, seconds: float, what: str, step: float = 0.05):
    """Waits until the condition gives something, and gives it."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise LabError(f"after {seconds} s still not: {what}")
        time.sleep(step)
    return found


def base() -> pathlib.Path:
    """The tarball of the bare system; made once for a list of packages."""
    key = hashlib.sha256(" ".join(PACKAGES).encode()).hexdigest()[:12]
    tarball = BUILD / f"bookworm-{key}.tar"
    if not tarball.exists():
        folder = BUILD / "bootstrap"
        shutil.rmtree(folder, ignore_errors=True)
        BUILD.mkdir(parents=True, exist_ok=True)
        run("debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", "bookworm", str(folder), MIRROR)
        made = tarball.with_suffix(".part")
        run("tar", "--numeric-owner", "-C", str(folder), "-cf", str(made), ".")
        made.rename(tarball)
        shutil.rmtree(folder)
    return tarball


class World:
    """The other end of the container's wire: storage, a stranger with sshd, and a record of every frame."""

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        self.namespace = Namespace(f"egressd-system-{os.getpid()}")
        self.processes: list[subprocess.Popen] = []
        self.names: list[str] = []

    def start(self) -> None:
        sweep_stale()
        self.namespace.create()
        addresses = [f"{STORAGE4}/16", f"{STRANGER4}/32", f"{STORAGE6}/64", f"{STRANGER6}/128"]
        self.namespace.ip(
            "link add br0 type bridge", "link set br0 up", *(f"addr add {a} dev br0 nodad" for a in addresses[2:]),
            *(f"addr add {a} dev br0" for a in addresses[:2]),
        )
        for name in ("host", "user"):
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / name))
        config = self.folder / "sshd_config"
        config.write_text(SSHD.format(address4=STRANGER4, address6=STRANGER6, folder=self.folder))
        pathlib.Path("/run/sshd").mkdir(exist_ok=True)
        self.spawn("/usr/sbin/sshd", "-D", "-e", "-f", str(config), log="sshd.log")
        names = self.namespace.inside(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        names.bind((STORAGE4, 53))
        threading.Thread(target=self.serve_names, args=(names,), daemon=True).start()
        places = [(STORAGE4, 443), (STORAGE6, 443), (STRANGER4, 443), (STORAGE4, 8443), (STORAGE6, 8443)]
        for place in places:
            listener = self.namespace.inside(lambda p=place: self.listen(*p))
            threading.Thread(target=self.serve, args=(listener,), daemon=True).start()

    @staticmethod
    def listen(address: str, port: int) -> socket.socket:
        return socket.create_server((address, port), family=socket.AF_INET6 if ":" in address else socket.AF_INET)

    @staticmethod
    def serve(listener: socket.socket) -> None:
        def answer(connection: socket.socket) -> None:
            try:
                with connection:
                    while data := connection.recv(65536):
                        connection.sendall(data)
            except OSError:
                pass

        while True:
            connection, _ = listener.accept()
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    def serve_names(self, server: socket.socket) -> None:
        """Answers every question for a name with one address, and writes the name down."""
        while True:
            question, peer = server.recvfrom(4096)
            end = question.index(b"\0", 12)
            labels, place = [], 12
            while place < end:
                labels.append(question[place + 1 : place + 1 + question[place]].decode().lower())
                place += 1 + question[place]
            self.names.append(".".join(labels))
            record = bytes.fromhex("c00c000100010000003c0004") + socket.inet_aton("93.184.216.34")
            head = question[:2] + bytes.fromhex("81800001000100000000")
            server.sendto(head + question[12 : end + 5] + record, peer)

    def spawn(self, *argv: str, log: str) -> subprocess.Popen:
        output = open(self.folder / log, "ab")
        process = subprocess.Popen(
            ["nsenter", f"--net={self.namespace.path}", *argv],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
        )
        self.processes.append(process)
        return process

    def listening(self, port: int) -> bool:
        return bool(self.namespace.command("ss", "-tlnH", f"sport = :{port}").strip())

    def connect(self, address: str, port: int) -> socket.socket:
        return self.namespace.inside(lambda: socket.create_connection((address, port), timeout=5))

    def capture(self, *expression: str) -> "Capture":
        return Capture(self, expression)

    def stop(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self.namespace.delete()


class Capture:
    """The frames on the wire that match, while it is entered; `lines` afterwards."""

    def __init__(self, world: World, expression: tuple[str, ...]):
        self.world, self.expression, self.lines = world, expression, []

    def __enter__(self) -> "Capture":
        self.log = f"capture-{time.monotonic_ns()}.log"
        self.process = self.world.spawn(
            "tcpdump", "-i", "br0", "-n", "-l", "--immediate-mode", *self.expression, log=self.log
        )
        wait(lambda: "listening on" in self.text(), 10, "tcpdump listens")
        return self

    def text(self) -> str:
        return (self.world.folder / self.log).read_text()

    def __exit__(self, *_) -> None:
        time.sleep(0.2)
        self.process.send_signal(signal.SIGINT)
        self.process.wait(10)
        self.lines = [line for line in self.text().splitlines() if " IP" in line]


class Container:
    """The training host."""

    def __init__(self, name: str = "trainhost"):
        self.folder = BUILD / f"run-{os.getpid()}"
        self.root = self.folder / "root"
        self.name = name
        self.world = World(self.folder)
        self.process: subprocess.Popen | None = None

    def start(self, *files: pathlib.Path) -> None:
        tarball = base()
        self.root.mkdir(parents=True)
        run("tar", "--numeric-owner", "-C", str(self.root), "-xf", str(tarball))
        self.world.start()
        (self.root / "etc/hostname").write_text(self.name + "\n")
        (self.root / "etc/systemd/network/10-host.network").write_text(NETWORK)
        (self.root / "etc/machine-id").write_text("")
        run("chroot", str(self.root), "useradd", "--create-home", "--uid", "1001", "trainer")
        run("chroot", str(self.root), "useradd", "--create-home", "--uid", "1002", "approver")
        run("chroot", str(self.root), "systemctl", "enable", "systemd-networkd.service")
        ssh = self.root / "home/trainer/.ssh"
        ssh.mkdir(mode=0o700)
        shutil.copy(self.folder / "user", ssh / "id_ed25519")
        for path in (ssh, ssh / "id_ed25519"):
            os.chown(path, 1001, 1001)
        shutil.copytree(pathlib.Path(__file__).parent / "probes", self.root / "opt/probes")
        for file in files:
            shutil.copy(file, self.root / "root")
        self.boot()

    def boot(self) -> None:
        self.process = self.world.spawn(
            "systemd-nspawn", "--quiet", "-D", str(self.root), "--network-bridge=br0", "--boot", "--register=no",
            "--keep-unit", "--console=pipe", f"--machine={self.name}", log="console.log",
        )
        self.wait_up()

    def wait_up(self) -> None:
        """Waits until systemd has started everything, and no address is tentative any more."""
        self.leader = wait(self.find_leader, 60, "systemd runs")
        wait(lambda: self.state() in ("running", "degraded"), 90, "the container is up", 0.2)
        addresses = ("ip", "-6", "address", "show", "dev", "host0", "scope", "global", "-tentative")
        wait(lambda: HOST6 in self.try_(*addresses).stdout, 20, "its addresses are usable")

    def find_leader(self) -> int | None:
        # nsenter becomes nspawn, and the container's first process is its child.
        found = run("pgrep", "-x", "-P", str(self.process.pid), "systemd", check=False).split()
        return int(found[0]) if found else None

    def state(self) -> str:
        return self.try_("systemctl", "is-system-running").stdout.strip()

    def try_(self, *argv: str, text: str | None = None, seconds: float = 60) -> subprocess.CompletedProcess:
        """Runs a program inside, though not in a cgroup of the container: for what sends no packets."""
        return subprocess.run(
            ["nsenter", "-t", str(self.leader), "-a", "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", *argv],
            input=text, text=True, capture_output=True, check=False, timeout=seconds,
        )

    def do(self, *argv: str, text: str | None = None) -> str:
        done = self.try_(*argv, text=text)
        if done.returncode != 0:
            raise LabError(f"{' '.join(argv)}: exit {done.returncode}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def reaches(self, address: str, port: int) -> bool:
        """Whether a service of the host, and no workload's, can open a connection."""
        program = f"import socket; socket.create_connection(('{address}', {port}), 3)"
        return self.try_("systemd-run", "--quiet", "--wait", "--collect", "python3", "-c", program).returncode == 0

    def write(self, path: str, text: str) -> None:
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def show(self, unit: str, *names: str) -> dict[str, str]:
        text = self.do("systemctl", "show", unit, *(f"--property={name}" for name in names))
        return dict(line.split("=", 1) for line in text.splitlines())

    def number(self, unit: str, name: str) -> int:
        return int(self.show(unit, name)[name])

    def journal(self, *matches: str) -> str:
        # What was said until now is in it then.
        self.do("journalctl", "--sync")
        return self.do("journalctl", "--no-pager", "--quiet", "-o", "cat", *matches)

    def reboot(self) -> None:
        """As a machine does: everything of the kernel's is new, the network namespace too."""
        self.try_("systemctl", "reboot")
        status = self.process.wait(60)
        # nspawn leaves it to its caller to start it again (--keep-unit).
        if status != 133:
            raise LabError(f"the container ended with {status} instead of asking for a reboot")
        self.boot()

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.try_("systemctl", "poweroff")
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        self.world.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
