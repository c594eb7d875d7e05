"""Evaluator against kernel: random policies and requests; the Swift evaluator and the kernel must agree every time.

The world answers at every address and port (its own redirect sends all to one greeter), so an open request is one that
was greeted, and everything else was refused on this host.
"""

from __future__ import annotations

import ipaddress
import json
import random
import subprocess
import time

from conftest import SEED
from daemon import policy, rule

ROUNDS = 10
REQUESTS = 240  # a round
# Few addresses and few ports, so that rules and requests meet.
FOUR = ["10.0.0.0/8", "10.20.0.0/16", "10.20.7.0/24", "10.20.7.5/32", "10.20.7.4/30", "10.128.0.0/9", "203.0.113.0/24",
        "203.0.113.9/32", "0.0.0.0/0", "169.254.169.254/32", "169.254.0.0/16", "168.63.129.16/32"]  # fmt: skip
SIX = ["fd00::/8", "fd00:20::/32", "fd00:20:0:7::/64", "fd00:20:0:7::5/128", "fd00:20:0:7::4/126", "fd80::/9",
       "2001:db8::/32", "2001:db8::9/128", "::/0", "fd00:ec2::254/128", "fd00:ec2::/32"]  # fmt: skip
PORTS = [22, 23, 79, 80, 81, 443, 444, 2048, 2049, 8999, 9000, 9005, 9010, 9011, 65535, 1]


def greet_everything(ground):
    """Sends whatever comes to the world, to any address and port, to the greeter and the echo there."""
    ground.world_ns.nft(
        """table inet lab_world {
        chain in { type nat hook prerouting priority -100;
            iifname downlink meta l4proto tcp redirect to :7777
            iifname downlink meta l4proto udp redirect to :7777
        }
        }"""
    )


class Chance:
    """Draws policies and requests."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def prefixes(self):
        return self.random.sample(FOUR + SIX, self.random.randint(1, 3))

    def ports(self):
        chosen = []
        for _ in range(self.random.randint(1, 3)):
            low, high = sorted(self.random.sample(PORTS, 2))
            text = self.random.choice([str(low), f"{low}-{high}", "any"] if not chosen else [str(low), f"{low}-{high}"])
            kind = self.random.choice(["", "", "/tcp", "/udp"])
            entry = text + kind
            if text == "any":
                return [entry]
            chosen.append(int(entry) if entry.isdigit() else entry)
        return chosen

    def workload(self, name, glob):
        allow = [rule(f"a{number}", self.prefixes(), self.ports()) for number in range(self.random.randint(0, 6))]
        deny = []
        for number in range(self.random.randint(0, 4)):
            narrow = [prefix for prefix in FOUR + SIX if not prefix.endswith("/0") or self.random.random() < 0.1]
            to = self.random.sample(narrow, self.random.randint(1, 2))
            deny.append(rule(f"d{number}", to, self.ports() if self.random.random() < 0.6 else None))
        keys = {key: value for key, value in (("allow", allow), ("deny", deny)) if value}
        return policy(name, glob, **keys)

    def address(self):
        network = ipaddress.ip_network(self.random.choice(FOUR + SIX))
        if network.prefixlen == 0:
            return self.random.choice(["203.0.113.200", "198.51.100.9"] if network.version == 4 else ["2001:db8:9::1"])
        size = network.num_addresses
        inside = network[self.random.choice([0, size - 1, self.random.randrange(min(size, 1 << 62))])]
        text = str(inside)
        # The host's own link, network 0 and broadcast addresses are other stories.
        if inside.is_multicast or inside in ipaddress.ip_network("10.99.0.0/24" if inside.version == 4 else "fd99::/64"):
            return self.address()
        if inside.is_link_local and text != "169.254.169.254":
            return "169.254.169.254"
        return text

    def request(self):
        return self.random.choice(["tcp", "udp"]), self.address(), self.random.choice(PORTS)


def target(transport, address, port):
    return f"[{address}]:{port}/{transport}" if ":" in address else f"{address}:{port}/{transport}"


def explain(ground, daemon, questions):
    text = "".join(json.dumps(question) + "\n" for question in questions)
    done = subprocess.run(
        [ground.egressd, "policy", "explain", "--policies", daemon.policies, "--batch"],
        input=text, capture_output=True, text=True, check=False,
    )  # fmt: skip
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(questions), done.stderr
    return answers


def test_the_kernel_gives_the_evaluators_verdicts(ground, daemon):
    chance = Chance(SEED)
    greet_everything(ground)
    daemon.start({})
    agents = {}
    pairs = {"allow": 0, "deny": 0}
    for number in range(ROUNDS):
        count = [1, 2, 50][number] if number < 3 else chance.random.randint(1, 50)
        texts, places = {}, []
        for index in range(count):
            name = f"w{index}"
            nested = index and chance.random.random() < 0.2
            path = f"training.slice/w{index - 1}.service/inner{index}" if nested else f"training.slice/{name}.service"
            texts[name] = chance.workload(name, ground.glob(path))
            places += [path, f"{path}/leaf"]
        daemon.reload(texts)
        # Not all of 100 agents in a round: each is a process. Those of earlier rounds stay, with their old sockets' cgroup.
        chosen = chance.random.sample(places, min(len(places), 8))
        plan = {path: [chance.request() for _ in range(REQUESTS // len(chosen))] for path in chosen}
        busy = {}
        for path, requests in plan.items():
            if path not in agents:
                agents[path] = ground.agent(path, uid=1001)
            busy[path] = agents[path].begin("many", requests=requests, timeout=4)
        outcomes = {path: pending.wait()["outcomes"] for path, pending in busy.items()}
        questions = [
            {"cgroup": "/" + ground.glob(path), "uid": 1001, "to": target(*request)}
            for path, requests in plan.items()
            for request in requests
        ]
        expected = iter(explain(ground, daemon, questions))
        for path, requests in plan.items():
            for request, outcome in zip(requests, outcomes[path]):
                answer = next(expected)
                wanted = answer["verdict"] == "allow"
                pairs[answer["verdict"]] += 1
                late = outcome == "timeout" and request[0] == "tcp"
                if (outcome == "open") != wanted or late:
                    # Once more and alone: a datagram may be lost and an answer late, a verdict may not be another.
                    time.sleep(0.2)
                    outcome = agents[path].do("many", requests=[request], timeout=4)["outcomes"][0]
                assert (outcome == "open") == wanted, (
                    f"EGRESSD_SEED={SEED} round {number}: {path} asked {target(*request)}: the kernel says {outcome}, "
                    f"the evaluator {answer}\n" + "\n".join(f"# {name}\n{text}" for name, text in texts.items())
                )
                assert wanted or request[0] == "udp" or outcome == "ECONNREFUSED", (request, outcome)
        for path in list(agents):
            if len(agents) > 24:
                agents.pop(path).close()
    assert sum(pairs.values()) >= 2000, pairs
    assert min(pairs.values()) > 200, f"one-sided: {pairs}"
    print(f"{pairs['allow']} allowed and {pairs['deny']} denied alike")
