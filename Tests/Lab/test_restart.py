"""The daemon restarted and killed under a service manager that keeps its sockets: nobody notices, and nothing is forgotten."""

import os
import random
import shutil
import socket
import threading
import time

import pytest
from conftest import JOB, SEED, job_policy
from daemon import policy, rule
from lab import PYTHON

KEPT = ["log", "queues", "table"]
# Whose program matters has a cgroup of its own: the search for a socket's holder must not depend on what else is there.
ASKED = "training.slice/asked.service"


@pytest.fixture
def managed(daemon):
    return daemon.managed()


def syns_sent_again(ground):
    lines = ground.host.command("nstat", "-asz", "TcpExtTCPSynRetrans").splitlines()
    return int(next(line for line in lines if line.startswith("TcpExtTCPSynRetrans")).split()[1])


def denied(daemon, address):
    """How many attempts the record has as denied, by what their count says."""
    return sum(event.get("count", 1) for event in daemon.events(to=address, verdict="deny"))


def end(daemon, how):
    if how == "stop":
        assert daemon.stop() == 0
    else:
        daemon.kill()


class Load:
    """Programs that try the same again and again until they are told to stop."""

    def __init__(self):
        self.stop = threading.Event()
        self.outcomes = {}
        self.threads = []

    def add(self, kind, agent, address, ports, sources=None):
        """With `sources`, an address and a port of this host, each attempt has a port that none has had."""
        self.outcomes.setdefault(kind, {})

        def attempts():
            mine, keys = self.outcomes[kind], {}
            while not self.stop.is_set():
                if sources:
                    keys["sources"] = [sources[0], sources[1] + sum(mine.values())]
                answer = agent.do(
                    "repeat", to=[address, 0], ports=ports, count=20, timeout=20, pause=0.004, greet=False, **keys
                )
                for word, count in answer["outcomes"].items():
                    mine[word] = mine.get(word, 0) + count
                ports.append(ports.pop(0))

        self.threads.append(threading.Thread(target=attempts))

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join()


@pytest.mark.parametrize("how", ["kill", "stop", "kill-anywhere"])
def test_under_load(ground, managed, family, how):
    """Ten restarts, at random moments, for `kill-anywhere` in the middle of a start too: every allowed connection is made, and
    with its first packet, also when only the daemon can allow it; nothing unknown is sent; and the record has each attempt
    that was denied, once."""
    chance = random.Random(SEED)
    other_python = ground.directory / "python-of-its-own"
    shutil.copy2(PYTHON, other_python)
    asked = rule("asked", family.third, [443], executable=PYTHON)
    asking = policy("asking", ground.glob(ASKED), allow=[asked])
    managed.start({"job": job_policy(ground, family), "asking": asking})
    assert sorted(managed.manager.names) == KEPT
    first = ground.agent(JOB, uid=1001)
    assert first.tcp(family.other, 443)["error"] == "ECONNREFUSED"
    managed.approve(family.other, 443, duration="1h")
    stays = first.tcp(family.storage, 443, keep=True)

    load = Load()
    load.add("by address", ground.agent(JOB, uid=1001), family.storage, [443])
    # For two seconds who takes over a local port has the answer of who had it before (README): nobody does here.
    load.add("by program", ground.agent(ASKED, uid=1001), family.third, [443], [family.host, 10_000])
    load.add("by grant", ground.agent(JOB, uid=1001), family.other, [443])
    # Few ports, which the kernel refuses by itself and counts; and so many that each is asked about once.
    load.add("counted", ground.agent(JOB, uid=1001), family.stranger, [22, 80, 443])
    load.add("new", ground.agent(JOB, uid=1001), family.secret, chance.sample(range(1024, 60000), 20_000))
    wrong = ground.agent(ASKED, uid=1001, python=str(other_python))
    load.add("one by one", wrong, family.third, [443], [family.host, 20_000])
    lost = syns_sent_again(ground)
    with ground.capture() as capture:
        with load:
            for _ in range(10):
                time.sleep(chance.uniform(0.05, 0.6))
                end(managed, how)
                time.sleep(chance.uniform(0, 0.2))
                managed.launch()
                if how != "kill-anywhere":
                    managed.wait_ready()
            managed.wait_ready()
        assert capture.find(destination=family.stranger) == []
        assert capture.find(destination=family.secret) == []
    for kind in ("by address", "by program", "by grant"):
        assert set(load.outcomes[kind]) == {"open"}, load.outcomes
    for kind in ("counted", "new", "one by one"):
        assert set(load.outcomes[kind]) == {"ECONNREFUSED"}, load.outcomes
    assert syns_sent_again(ground) == lost, "a first packet was lost"
    assert first.echo(stays["handle"])["ok"]
    # What the kernel has counted is told of at the end.
    assert managed.stop() == 0
    managed.start()
    attempts = {address: load.outcomes[kind]["ECONNREFUSED"] for kind, address in (
        ("counted", family.stranger), ("new", family.secret), ("one by one", family.third))}  # fmt: skip
    recorded = {address: denied(managed, address) for address in attempts}
    assert recorded == attempts
    log = managed.log()
    assert log.count("taking over the kept socket 'queues'") >= 2 and "is not used" not in log


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_what_was_held_is_held_again(ground, managed, family, how):
    """The daemon had read it, and did not answer."""
    managed.start({"job": job_policy(ground, family, unknown="hold 30s")})
    agent = ground.agent(JOB, uid=1001)
    lost = syns_sent_again(ground)
    waiting = agent.begin("tcp", to=[family.stranger, 443], timeout=20)
    managed.wait_event(to=family.stranger, port=443, verdict="hold")
    end(managed, how)
    managed.start()
    assert not waiting.done
    deadline = time.monotonic() + 5
    while len(managed.events(to=family.stranger, port=443, verdict="hold")) < 2:
        assert time.monotonic() < deadline, "nobody asked again"
        time.sleep(0.02)
    managed.approve(family.stranger, 443)
    assert waiting.wait()["ok"]
    assert syns_sent_again(ground) == lost


def test_what_comes_while_no_daemon_runs_waits(ground, managed, family):
    asked = rule("asked", family.third, [443], executable=PYTHON)
    managed.start({"job": job_policy(ground, family, allow=[asked])})
    agents = [ground.agent(JOB, uid=1001) for _ in range(2)]
    assert agents[0].tcp(family.third, 443)["ok"]
    managed.kill()
    allowed = agents[0].begin("tcp", to=[family.third, 443], timeout=20)
    unknown = agents[1].begin("tcp", to=[family.stranger, 443], timeout=20)
    with ground.capture() as capture:
        time.sleep(0.5)
        assert not allowed.done and not unknown.done
        managed.start()
        assert allowed.wait()["ok"]
        assert unknown.wait()["error"] == "ECONNREFUSED"
        assert capture.find(destination=family.stranger) == []
    assert denied(managed, family.stranger) == 1


def test_nobody_else_gets_the_table_meanwhile(ground, managed, basic, family):
    managed.start(basic)
    managed.kill()
    done = ground.host.command("sh", "-c", "nft delete table inet egressd 2>&1; true")
    assert "not permitted" in done, "the table had no owner for a moment"
    other = ground.daemon()
    other.write(basic)
    assert other.launch().wait(10) == 1
    assert "already" in other.log() and "systemctl stop egressd" in other.log(), other.log()
    managed.start()
    assert ground.agent(JOB, uid=1001).tcp(family.stranger, 443)["error"] == "ECONNREFUSED"


def test_other_queues_are_begun_anew(ground, managed, basic, family):
    managed.start(basic)
    managed.kill()
    managed.configure(queue=2000)
    managed.start()
    assert "the kept socket 'queues' is not used, and forgotten" in managed.log()
    assert sorted(managed.manager.names) == KEPT
    agent = ground.agent(JOB, uid=1001)
    assert agent.tcp(family.stranger, 443)["error"] == "ECONNREFUSED"
    managed.kill()
    managed.start()
    assert agent.tcp(family.storage, 443)["ok"]
    assert agent.tcp(family.other, 443)["error"] == "ECONNREFUSED"
    assert managed.log().count("taking over the kept socket 'queues'") == 1


def test_what_the_service_manager_did_not_take_is_given_again(ground, managed, basic, family):
    """It cannot be reached for a moment: without its sockets a restart would not be one that nobody notices."""
    path = managed.manager.path
    path.rename(path.with_suffix(".away"))
    managed.start(basic)
    assert managed.manager.names == []
    path.with_suffix(".away").rename(path)
    deadline = time.monotonic() + 3
    while sorted(managed.manager.names) != KEPT:
        assert time.monotonic() < deadline, managed.log()
        time.sleep(0.02)
    for name in KEPT:
        assert managed.log().count(f"was not given the socket '{name}'") == 1
    managed.kill()
    managed.start()
    assert managed.log().count("taking over the kept socket") == 3


def test_what_is_no_such_socket_is_not_used(ground, managed, basic, family):
    with open(os.devnull, "rb") as nothing, socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as elsewhere:
        elsewhere.bind((0, 0))
        for name in KEPT:
            managed.manager.keep(name, nothing.fileno())
        managed.manager.keep("table", elsewhere.fileno())
        managed.start(basic)
    log = managed.log()
    for name in KEPT:
        assert f"the kept socket '{name}' is not used, and forgotten" in log, log
    assert sorted(managed.manager.names) == KEPT
    agent = ground.agent(JOB, uid=1001)
    assert agent.tcp(family.storage, 443)["ok"]
    assert agent.tcp(family.stranger, 443)["error"] == "ECONNREFUSED"
