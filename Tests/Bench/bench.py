"""Ratios in one run: no rules, a hand-written ruleset, egressd, and a minimal C program behind a queue.

Every configuration has a training host and a world of its own, all there at once, and the measurements go round them in
turn: what the machine does besides falls on all of them alike. Medians of the rounds; the ratios hold, the absolutes do not.

    bench.py [--json FILE] [--quick] [--only PART]     PART: connections apply reload memory names flights
                                                       floods readers
    bench.py --only names --baseline                   dnsmasq alone, without egressd; flights likewise
"""

from __future__ import annotations

import argparse
import contextlib
import ipaddress
import json
import os
import pathlib
import re
import signal
import statistics
import subprocess
import sys
import time

from common import BUILT, build_programs, cpu, resident, table, verdict  # first: it knows the way to the lab
from daemon import policy, rule
from families import IPV4
from flights import flights
from floods import floods
from lab import Lab, LabError
from names import names
from namespaces import Namespace, run
from readers import readers

PORT = 9900
PARTS = ["connections", "apply", "reload", "memory", "names", "flights", "floods", "readers"]


def workload_cgroup(index: int) -> str:
    return f"training.slice/w{index}.service"


def ten_rules(lab: Lab, index: int) -> str:
    """A workload of ten rules, each with a network of its own; all of them allow the bench's destination."""
    base = ipaddress.ip_address("10.32.0.0") + index * 160
    allow = [rule(f"r{number}", f"{base + number * 16}/28", [443, "9000-9010"]) for number in range(9)]
    allow.append(rule("bench", f"{IPV4.storage}/32" if index % 2 else IPV4.storage_prefix, [PORT]))
    return policy(f"w{index}", lab.glob(workload_cgroup(index)), allow=allow)


class Setting:
    """One configuration: a lab, and what is in force in it."""

    def __init__(self, stack: contextlib.ExitStack, label: str, need_egressd: bool = False):
        self.lab = stack.enter_context(Lab(need_egressd=need_egressd, label=label))
        self.connload = self.lab.directory / "connload"
        self.connload.write_bytes((BUILT / "connload").read_bytes())
        self.connload.chmod(0o755)
        server = self.lab.spawn(
            [str(self.connload), "serve", str(PORT)], namespace=self.lab.world_ns, stdout=subprocess.PIPE, text=True
        )
        assert server.stdout.readline() == "ready\n"
        self.daemon = None

    def load(self, seconds: float, cgroup: str, address: str = IPV4.storage, may_fail: bool = False):
        process = self.lab.spawn(
            [str(self.connload), "connect", address, str(PORT), str(seconds)],
            cgroup=cgroup, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        output, _ = process.communicate(timeout=seconds + 20)
        answer = json.loads(output)
        if answer["connections"] == 0 and not may_fail:
            events = self.daemon.ctl("log", "--limit", "2", "--verdict", "deny") if self.daemon else []
            raise LabError(f"no connection to {address} stood: {answer}; the last denials: {events}")
        return answer

    def start(self, count: int, extra: dict[str, str] | None = None, timeout: float = 120) -> float:
        """Starts egressd with this many workloads; gives how long it took to be ready."""
        self.daemon = self.lab.daemon()
        self.daemon.write({**{f"w{index}": ten_rules(self.lab, index) for index in range(count)}, **(extra or {})})
        started = time.monotonic()
        self.daemon.start(timeout=timeout)
        return time.monotonic() - started


def by_hand(setting: Setting) -> None:
    """What somebody would write who wants to allow one list of destinations."""
    setting.lab.host.nft(
        f"""table inet hand {{
            set allowed {{ type ipv4_addr . inet_proto . inet_service; elements = {{ {IPV4.storage} . tcp . {PORT} }}; }}
            chain out {{
                type filter hook output priority 0; policy accept;
                ct state established accept
                ip daddr . meta l4proto . th dport @allowed accept
                meta l4proto tcp drop
            }}
        }}"""
    )


def behind_queue(setting: Setting) -> None:
    setting.lab.host.command(str(BUILT / "queuetable"), "7")
    process = setting.lab.spawn([str(BUILT / "queueall"), "7"], stdout=subprocess.PIPE, text=True)
    if process.stdout.readline() != "ready\n":
        raise LabError("queueall did not start")


def brokered_policy(setting: Setting) -> dict[str, str]:
    """What the kernel cannot settle, so that every connection is asked: an executable rule, and `unknown: observe`."""
    allow = [rule("asked", IPV4.third, [PORT], executable=str(setting.connload))]
    return {
        "asked": policy("asked", setting.lab.glob("training.slice/asked.service"), allow=allow),
        "observed": policy("observed", setting.lab.glob("training.slice/observed.service"), unknown="observe"),
    }


def connections(stack: contextlib.ExitStack, rounds: int, seconds: float) -> dict[str, dict[str, float]]:
    """Connections per second and median latency of every configuration, in turn."""
    plain, hand, queued = (Setting(stack, label) for label in ("plain", "hand", "queue"))
    small, large = (Setting(stack, label, need_egressd=True) for label in ("small", "large"))
    by_hand(hand)
    behind_queue(queued)
    small.start(10, brokered_policy(small))
    print("  starting egressd with 10,000 workloads …", flush=True)
    took = large.start(10_000)
    print(f"  ready after {took:.1f} s", flush=True)
    ways = {
        "no rules": (plain, workload_cgroup(3), IPV4.storage),
        "hand-written rules": (hand, workload_cgroup(3), IPV4.storage),
        "egressd, 10 workloads": (small, workload_cgroup(3), IPV4.storage),
        "egressd, 10,000 workloads": (large, workload_cgroup(7003), IPV4.storage),
        "C program behind a queue": (queued, workload_cgroup(3), IPV4.third),
        "egressd, brokered": (small, "training.slice/observed.service", IPV4.third),
        "egressd, executable rule": (small, "training.slice/asked.service", IPV4.third),
    }
    samples: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, (setting, cgroup, address) in ways.items():
            setting.lab.host.command("conntrack", "-F", check=False)
            sample = setting.load(seconds, cgroup, address, may_fail="executable" in name)
            if number > 0:  # the first round warms up
                samples[name].append(sample)
    result = {
        name: {key: statistics.median(one[key] for one in few) for key in ("perSecond", "median", "p99")}
        for name, few in samples.items()
    }
    # Ratios are taken round by round, then their median: what disturbs one round disturbs both sides of it.
    for name, few in samples.items():
        for other, key in (("no rules", "toNoRules"), ("hand-written rules", "toHandWritten")):
            result[name][key] = statistics.median(
                one["perSecond"] / base["perSecond"] for one, base in zip(few, samples[other])
            )
    for name in ("egressd, brokered", "egressd, executable rule"):
        result[name]["latencyToQueueProgram"] = statistics.median(
            one["median"] / base["median"] for one, base in zip(samples[name], samples["C program behind a queue"])
        )
        result[name]["refused"] = sum(one["failed"] for one in samples[name])
    result["_settings"] = {"small": small, "large": large, "ready10000": took}  # type: ignore[assignment]
    return result


def reloads(large: Setting, times: int) -> list[float]:
    """One changed workload among 10,000: milliseconds from SIGHUP until its new destination opens."""
    index, took = 7003, []
    agent = large.lab.agent(workload_cgroup(index))
    original = ten_rules(large.lab, index)
    for number in range(times):
        port = 8000 if number % 2 else 8443
        daemon = large.daemon
        path = daemon.policies / f"w{index}.yaml"
        allow = [rule("bench", IPV4.storage_prefix, [PORT]), rule("new", f"{IPV4.other}/32", [port])]
        agent.do("tcp", to=[IPV4.other, port], timeout=1)
        path.write_text(policy(f"w{index}", large.lab.glob(workload_cgroup(index)), allow=allow))
        time.sleep(0.1)
        pending = agent.begin("until", to=[IPV4.other, port], timeout=20)
        time.sleep(0.05)
        started = time.monotonic()
        daemon.process.send_signal(signal.SIGHUP)
        answer = pending.wait(30)
        if not answer["ok"]:
            raise LabError(f"a reload did not come into force: {daemon.log()[-2000:]}")
        took.append((answer["at"] - started) * 1000)
    (large.daemon.policies / f"w{index}.yaml").write_text(original)
    return took


def many_hosts(stack: contextlib.ExitStack, kind: str, rounds: int) -> dict[str, float]:
    """100,000 single hosts or prefixes over 100 workloads: `nft -f` of what `policy compile` prints, and egressd's reload."""
    setting = Setting(stack, kind, need_egressd=True)
    lab = setting.lab
    setting.start(0)
    daemon = setting.daemon
    texts = {}
    for index in range(100):
        to = []
        for number in range(1000):
            place = index * 1000 + number
            # Every other network, so that no two can be joined.
            address = ipaddress.ip_address("10.0.0.0") + place * (64 if kind == "prefixes" else 2)
            to.append(f"{address}/27" if kind == "prefixes" else str(address))
        # Ten lists of a hundred, as people write them.
        allow = [rule(f"r{start}", to[start : start + 100], [443]) for start in range(0, 1000, 100)]
        texts[f"h{index}"] = policy(f"h{index}", lab.glob(f"training.slice/h{index}.service"), allow=allow)
    daemon.write(texts)
    compiled = run(str(lab.egressd), "policy", "compile", str(daemon.policies))
    # Where the kernel lacks the expression, the text stands in for it; one rule more or less is not what is measured.
    compiled = re.sub(r"\bqueue\b[^\n;]*", "drop", compiled)
    text_file = lab.directory / f"{kind}.nft"
    text_file.write_text(compiled)
    agent = lab.agent("training.slice/h99.service")
    probe = str(ipaddress.ip_address("10.0.0.0") + 99_999 * (64 if kind == "prefixes" else 2))
    lab.world_ns.command("ip", "route", "replace", "local", "10.0.0.0/8", "dev", "lo")
    nft, whole, own = [], [], []
    for _ in range(rounds):
        namespace = Namespace(f"{lab.host.name}-nft")
        with contextlib.ExitStack() as inner:
            inner.callback(namespace.delete)
            namespace.create()
            started = time.monotonic()
            namespace.command("nft", "-f", str(text_file))
            nft.append((time.monotonic() - started) * 1000)
        # A new table each time: to take 100,000 prefixes out of one takes the kernel most of a minute.
        daemon.stop()
        daemon.clear_kernel()
        daemon.start({})
        daemon.write(texts)
        mark = len(daemon.log())
        started = time.monotonic()
        daemon.reload()
        whole.append((time.monotonic() - started) * 1000)
        # What the daemon says that the kernel took, behind reading and compiling.
        for found in re.findall(r"policy in force.*in one transaction, ([0-9.]+) ms", daemon.log()[mark:])[-1:]:
            own.append(float(found))
        answer = agent.tcp(probe, 443, greet=False, timeout=2)
        # The world accepts at no such address: its refusal took a way through the network, ours does not.
        del answer
    result = {"nft": statistics.median(nft), "reload": statistics.median(whole)}
    result["reloadRatio"] = statistics.median(a / b for a, b in zip(whole, nft))
    if own:
        result["apply"] = statistics.median(own)
        result["applyRatio"] = statistics.median(a / b for a, b in zip(own, nft))
    return result


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", choices=PARTS)
    parser.add_argument("--baseline", action="store_true", help="names: dnsmasq alone; flights: no rules; without egressd")
    options = parser.parse_args()
    rounds, seconds = (2, 0.3) if options.quick else (7, 0.7)
    build_programs()
    report: dict[str, object] = {"kernel": os.uname().release, "processors": os.cpu_count(), "rounds": rounds}
    wanted = {options.only} if options.only else set(PARTS)

    if wanted & {"connections", "reload", "memory"}:
        with contextlib.ExitStack() as stack:
            print("Connections: seven ways in turn", flush=True)
            found = connections(stack, rounds, seconds)
            settings = found.pop("_settings")
            report["connections"] = found
            table(
                "Connections, one at a time, over veth",
                [
                    (name, f"{one['perSecond']:.0f}", f"{one['median']:.1f}", f"{one['p99']:.1f}",
                     f"{one['toNoRules']:.3f}", f"{one['toHandWritten']:.3f}")
                    for name, one in found.items()
                ],
                ("", "per second", "median µs", "p99 µs", "to no rules", "to hand-written"),
            )  # fmt: skip
            broker = found["egressd, brokered"]["latencyToQueueProgram"]
            for name in ("egressd, 10 workloads", "egressd, 10,000 workloads"):
                print(f"  {name}: {found[name]['toHandWritten']:.3f} of hand-written, "
                      f"{verdict(found[name]['toHandWritten'], 0.97, least=True)}")  # fmt: skip
            print(f"  brokered: {broker:.2f} of the C program's median connect time, {verdict(broker, 1.5)}")
            executable = found["egressd, executable rule"]
            print(f"  executable rule: {executable['latencyToQueueProgram']:.2f} of it, {executable['refused']} refused")
            large = settings["large"]
            if "reload" in wanted:
                took = reloads(large, 3 if options.quick else 9)
                report["oneOf10000"] = {"milliseconds": statistics.median(took), "all": took}
                median = statistics.median(took)
                print(f"\nOne changed workload among 10,000, from SIGHUP to in force: median {median:.1f} ms "
                      f"({', '.join(f'{one:.1f}' for one in took)}), {verdict(median, 20)}")  # fmt: skip
            if "memory" in wanted:
                hundred = Setting(stack, "hundred", need_egressd=True)
                hundred.start(100)
                hundred.load(0.2, workload_cgroup(3))
                time.sleep(12)  # what the load left to do: windows close after ten seconds
                before, wait = cpu(hundred.daemon) + cpu(large.daemon), 2 if options.quick else 10
                time.sleep(wait)
                idle = (cpu(hundred.daemon) + cpu(large.daemon) - before) / wait * 100
                report["memory"] = {"100": resident(hundred.daemon), "10000": resident(large.daemon), "idlePercent": idle}
                print(f"\nResident memory: {resident(hundred.daemon):.1f} MB with 100 workloads, "
                      f"{verdict(resident(hundred.daemon), 30)}; {resident(large.daemon):.1f} MB with 10,000, "
                      f"{verdict(resident(large.daemon), 120)}")  # fmt: skip
                print(f"Idle CPU of both over {wait} s: {idle:.2f} %, {verdict(idle, 0.1)}")
    if "apply" in wanted:
        for kind, limit in (("hosts", 0.3), ("prefixes", 1.0)):
            with contextlib.ExitStack() as stack:
                one = many_hosts(stack, kind, 1 if options.quick else 3)
            report[kind] = one
            line = f"\n100,000 single {kind}" if kind == "hosts" else f"\n100,000 {kind}"
            line += f": nft -f {one['nft']:.0f} ms; reload with reading and compiling {one['reload']:.0f} ms"
            line += f" ({one['reloadRatio']:.2f})"
            if "apply" in one:
                line += f"; the transaction alone {one['apply']:.0f} ms, {one['applyRatio']:.2f}, {verdict(one['applyRatio'], limit)}"
            print(line, flush=True)
    if "names" in wanted:
        report["names"] = names(options.quick, with_egressd=not options.baseline)
    if "flights" in wanted:
        report["flights"] = flights(options.quick, with_egressd=not options.baseline)
    if "floods" in wanted:
        report["floods"] = floods(options.quick)
    if "readers" in wanted:
        report["readers"] = readers()
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(report, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except LabError as problem:
        print(f"bench: {problem}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
