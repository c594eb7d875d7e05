"""A lab with a fast name server in its world, a client, and what answers in the broker's place: dnsmasq or egressd."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import time
from typing import Any

from common import BUILT  # first: it knows the way to the lab
from daemon import policy, rule
from families import IPV4
from lab import Lab, LabError

ASKED = IPV4.stranger  # what the client takes for its name server
PORT = 53
RESOLVER_PORT = 8053
Sample = dict[str, float]


def cgroup_of(index: int) -> str:
    return f"training.slice/w{index}.service"


class Place:
    """A lab whose world has a fast name server, and a client."""

    def __init__(self, stack: contextlib.ExitStack, label: str, need_egressd: bool = False):
        self.lab = stack.enter_context(Lab(need_egressd=need_egressd, label=label))
        self.client = self.lab.directory / "dnsload"
        shutil.copy2(BUILT / "dnsload", self.client)
        server = self.lab.spawn(
            [str(BUILT / "dnsworld"), IPV4.world, str(PORT)],
            namespace=self.lab.world_ns, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        if server.stdout.readline() != "ready\n":
            raise LabError("dnsworld did not start")
        self.daemon: Any = None
        self.cgroup = ""

    @contextlib.contextmanager
    def pinned(self, client: int, resolver: int):
        """The clients that are started meanwhile run on one processor, and what answers them on this one."""
        everywhere = os.sched_getaffinity(0)
        (answering,) = (self.lab.cgroups.make(self.cgroup) / "cgroup.procs").read_text().split()
        threads = [int(thread) for thread in os.listdir(f"/proc/{answering}/task")]

        def place(own: set[int], others: set[int]) -> None:
            os.sched_setaffinity(0, own)
            for thread in threads:
                os.sched_setaffinity(thread, others)

        place({client}, {resolver})
        try:
            yield
        finally:
            place(everywhere, everywhere)

    def ask(
        self,
        suffix: str,
        count: int,
        first: int = 0,
        span: int = 0,
        window: int = 1,
        server: str = ASKED,
        workload: int = 0,
    ) -> Sample:
        """Asks for `count` names; their numbers go round `span` of them from `first` on."""
        # The upstream's side takes a port for every query: its entries would fill the table.
        self.lab.host.command("conntrack", "-F", check=False)
        arguments = [server, str(PORT), suffix, *map(str, (first, span or count, count, window))]
        process = self.lab.spawn(
            [str(self.client), *arguments], cgroup=cgroup_of(workload), stdout=subprocess.PIPE, text=True
        )
        output, _ = process.communicate(timeout=300)
        if process.returncode != 0:
            raise LabError(f"dnsload {' '.join(arguments)}: exit {process.returncode}")
        answer = json.loads(output)
        if answer["refused"] or answer["lost"] > count / 1000:
            raise LabError(f"dnsload {' '.join(arguments)}: {answer}\n{self._log()}")
        return answer

    def _log(self) -> str:
        if self.daemon is None:
            return ""
        denied = self.daemon.ctl("log", "--limit", "2", "--verdict", "deny")
        return f"{self.daemon.log()[-1000:]}\nthe last denials: {denied}"

    def dnsmasq(self, cache: int) -> None:
        """Puts dnsmasq into the broker's place, with the redirect that one would write by hand."""
        self.lab.host.nft(
            f"""table ip hand {{
                chain names {{
                    type nat hook output priority -100; policy accept;
                    ip daddr != {IPV4.world} udp dport {PORT} redirect to :{RESOLVER_PORT}
                }}
            }}"""
        )
        binary = shutil.which("dnsmasq", path="/usr/sbin:/usr/bin:/sbin")
        if binary is None:
            raise LabError("no dnsmasq: run `make deps`")
        log = self.lab.directory / "dnsmasq.log"
        self.cgroup = "system.slice/dnsmasq.service"
        with open(log, "ab") as errors:
            process = self.lab.spawn(
                [binary, "--conf-file=/dev/null", "--keep-in-foreground", "--user=root", "--pid-file", "--log-facility=-",
                 "--no-resolv", "--no-hosts", "--bind-interfaces", "--listen-address=127.0.0.1", f"--port={RESOLVER_PORT}",
                 f"--server={IPV4.world}", f"--cache-size={cache}", "--dns-forward-max=10000"],
                cgroup=self.cgroup, stdout=errors, stderr=errors,
            )  # fmt: skip
        deadline = time.monotonic() + 10
        while f":{RESOLVER_PORT} " not in self.lab.host.command("ss", "-Hlun"):
            if time.monotonic() > deadline or process.poll() is not None:
                raise LabError(f"dnsmasq did not start: {log.read_text()}")
            time.sleep(0.02)

    def egressd(self, workloads: int) -> None:
        """Starts egressd, in a cgroup of its own, with workloads that may ask for the bench's names."""
        allow = [
            rule("bench", ["*.bench.example"], [443], protocol="any"),
            rule("exact", ["index.bench.test", "mirror.bench.test"], [443], protocol="any"),
        ]
        self.daemon = self.lab.daemon(dns={"upstream": [IPV4.world], "budget": 1_000_000})
        self.daemon.write(
            {f"w{index}": policy(f"w{index}", self.lab.glob(cgroup_of(index)), allow=allow) for index in range(workloads)}
        )
        self.cgroup = "system.slice/egressd.service"
        place = str(self.lab.cgroups.make(self.cgroup))
        self.daemon.launch("sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', place)
        self.daemon.wait_ready()
