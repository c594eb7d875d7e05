"""Other tools change the ruleset: the line holds, or is back within a second, and an alarm says what was changed."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from conftest import JOB, job_policy
from daemon import rule

# The first workload's number, in the place that it has in the connection mark.
FIRST = "0x00100000"


def suffix(family):
    return "4" if family.name == "ipv4" else "6"


def nft(ground, *words):
    ground.host.command("nft", *words)


def standing(ground, check=True):
    """The table without its elements, which come and go; its sets and chains in any order."""
    listing = ground.host.command("nft", "-t", "list", "table", "inet", "egressd", check=check)
    return sorted(listing.split("\n\n"))


def alarms(daemon):
    return [event["message"] for event in daemon.events(kind="alarm")]


def wait_alarm(daemon, *parts, timeout=2):
    """An alarm that has all of these in it."""
    deadline = time.monotonic() + timeout
    while not (found := [text for text in alarms(daemon) if all(part in text for part in parts)]):
        assert time.monotonic() < deadline, f"no alarm with {parts}: {alarms(daemon)}"
        time.sleep(0.02)
    return found[-1]


def wait_standing(ground, before):
    """Within a second of what was done the table is what it was."""
    deadline = time.monotonic() + 1
    while (now := standing(ground, check=False)) != before:
        differ = set(now).symmetric_difference(before)
        assert time.monotonic() < deadline, f"not back within a second: {differ}"
        time.sleep(0.01)


def holds(ground, job, family):
    """Nothing reaches the stranger, and what is allowed is."""
    with ground.capture() as capture:
        for _ in range(3):
            assert job.tcp(family.stranger, 443)["error"] == "ECONNREFUSED"
        assert not job.udp(family.stranger, 443, timeout=0.3)["ok"]
        assert job.tcp(family.storage, 443)["ok"]
        assert job.udp(family.storage, 443)["ok"]
        assert capture.find(destination=family.stranger) == []


# ---- a kernel that keeps nobody away from the table ------------------------------------------------------------------

# What is done, and what the alarm says of it.
HANDS = {
    "flush-ruleset": (["flush ruleset"], "was deleted"),
    "delete-table": (["delete table inet egressd"], "was deleted"),
    "replace-table": (["delete table inet egressd", "add table inet egressd"], "was deleted"),
    "flush-chain": (["flush chain inet egressd decide"], "rules removed from chain decide"),
    "insert-rule": (["insert rule inet egressd decide accept"], "rules added to chain decide"),
    "insert-rule-first": (["insert rule inet egressd identify accept"], "rules added to chain identify"),
    "policy": (["chain inet egressd identify { policy accept; }", "flush chain inet egressd identify"], "identify"),
    "dormant": (["add table inet egressd { flags dormant; }"], "its flags changed"),
    "a-chain-more": (
        ["add chain inet egressd open { type filter hook output priority -400; }", "add rule inet egressd open accept"],
        "chain open added",
    ),
    "a-set-more": (["add set inet egressd mine { type ipv4_addr; }"], "set mine added"),
    "flush-map": (["flush map inet egressd workloads"], "elements removed from set workloads"),
    "delete-map": (
        ["flush chain inet egressd allow", "flush chain inet egressd admit_inbound", "flush chain inet egressd admit4",
         "flush chain inet egressd admit6", "delete map inet egressd stamps"],
        "set stamps deleted",
    ),
}  # fmt: skip


@pytest.mark.in_turns
@pytest.mark.parametrize("hand", HANDS)
def test_what_others_did_is_undone(ground, daemon, job, basic, family, hand):
    commands, said = HANDS[hand]
    daemon.configure(owner="off")
    daemon.start(basic)
    open_one = job.tcp(family.storage, 443, keep=True)
    assert job.tcp(family.other, 443)["error"] == "ECONNREFUSED"
    daemon.approve(family.other, 443)
    assert job.tcp(family.other, 443)["ok"]
    before = standing(ground)
    ground.host.nft("\n".join(commands))
    wait_standing(ground, before)
    message = wait_alarm(daemon, "table inet egressd", said, "put back after")
    assert "nft (pid " in message
    holds(ground, job, family)
    assert job.tcp(family.other, 443)["ok"], "the approval is in force again"
    assert job.echo(open_one["handle"])["ok"], "an open connection goes on"
    assert len(alarms(daemon)) == 1, alarms(daemon)
    assert daemon.ctl("status")["ruleset"].endswith("put back 1 time")


@pytest.mark.parametrize("map_", ["hosts", "pins", "grants"])
def test_an_element_that_others_added(ground, daemon, job, basic, family, map_):
    daemon.configure(owner="off")
    daemon.start(basic)
    name = map_ + suffix(family)
    element = f"{FIRST} . {family.stranger} . tcp . 443"
    nft(ground, "add", "element", "inet", "egressd", name, "{", element, "}")
    wait_alarm(daemon, f"elements added to set {name}", "nft (pid ")
    assert family.stranger not in ground.host.command("nft", "list", "set", "inet", "egressd", name)
    holds(ground, job, family)


def test_an_element_that_others_took_away(ground, daemon, job, family):
    daemon.configure(owner="off")
    daemon.start({"job": job_policy(ground, family, allow=[rule("one", family.storage, [443, "443/udp"])], deny=[])})
    name = "hosts" + suffix(family)
    element = f"{FIRST} . {family.storage} . tcp . 443"
    nft(ground, "delete", "element", "inet", "egressd", name, "{", element, "}")
    wait_alarm(daemon, f"elements removed from set {name}")
    assert job.tcp(family.storage, 443)["ok"]
    assert family.storage in ground.host.command("nft", "list", "set", "inet", "egressd", name)


def test_what_the_kernel_counted_is_told(ground, daemon, job, basic, family):
    """The table is changed, not gone: what it had refused is in the record."""
    daemon.configure(owner="off")
    daemon.start(basic)
    for _ in range(8):
        assert job.tcp(family.stranger, 443)["error"] == "ECONNREFUSED"
    nft(ground, "insert", "rule", "inet", "egressd", "decide", "accept")
    wait_alarm(daemon, "rules added to chain decide")
    events = daemon.events(to=family.stranger, port=443, verdict="deny")
    assert sum(event.get("count", 1) for event in events) == 8, events


def test_what_was_opened_meanwhile_is_cut(ground, daemon, basic, family):
    """The daemon stands still, the table is gone: what a job opens then ends within a second of the daemon's return."""
    daemon.configure(owner="off")
    daemon.start({"job": job_policy(ground, family, listen=[{"name": "peers", "from": [family.world], "ports": ["any"]}])})
    jobs = [ground.agent(JOB, uid=1001) for _ in range(3)]
    known = jobs[2].tcp(family.storage, 443, keep=True)
    daemon.process.send_signal(signal.SIGSTOP)
    nft(ground, "flush", "ruleset")
    idle = jobs[0].tcp(family.stranger, 443, keep=True)
    busy = jobs[1].tcp(family.stranger, 8443, keep=True)
    allowed = jobs[2].tcp(family.storage, 9000, keep=True)
    assert idle["ok"] and busy["ok"] and allowed["ok"]
    daemon.process.send_signal(signal.SIGCONT)
    for agent, handle in ((jobs[0], idle["handle"]), (jobs[1], busy["handle"])):
        answer = agent.do("read", handle=handle, timeout=1)
        assert (answer["ok"], answer.get("error")) == (False, "ECONNABORTED"), answer
    wait_alarm(daemon, "was deleted")
    event = daemon.wait_event(to=family.stranger, port=443, reason="unknown-destination")
    assert (event["workload"], event["verdict"]) == ("job", "deny")
    assert jobs[2].echo(known["handle"])["ok"]
    assert jobs[2].echo(allowed["handle"])["ok"]
    holds(ground, jobs[2], family)


@pytest.mark.in_turns
def test_a_loop_of_flushes(ground, daemon, job, basic, family):
    """Somebody flushes ten times a second: the table is back each time, and the alarms are few but count all."""
    daemon.configure(owner="off")
    daemon.start(basic)
    before = standing(ground)
    open_one = job.tcp(family.storage, 443, keep=True)
    stop = threading.Event()
    flushes = [0]

    def flush():
        while not stop.wait(0.1):
            nft(ground, "flush", "ruleset")
            flushes[0] += 1

    thread = threading.Thread(target=flush)
    thread.start()
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        assert job.echo(open_one["handle"])["ok"]
    stop.set()
    thread.join()
    wait_standing(ground, before)
    holds(ground, job, family)
    assert daemon.process.poll() is None
    done = daemon.ctl("status")["counters"]["restorations"]
    assert 0 < done <= flushes[0]
    assert len(alarms(daemon)) == 1
    counted = daemon.wait_event(12, kind="alarm", count=done - 1)
    assert f"the last of {done - 1} more within 10 s" in counted["message"]


def test_a_table_that_another_program_owns(ground, daemon, job, basic, family):
    """Whoever takes the name keeps it: that nothing is in force is an alarm, a warning and the status."""
    daemon.configure(owner="off")
    daemon.start(basic)
    daemon.process.send_signal(signal.SIGSTOP)
    nft(ground, "delete", "table", "inet", "egressd")
    # As long as it lives.
    thief = ground.spawn(["nft", "-i"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    thief.stdin.write(b"add table inet egressd { flags owner; }\n")
    thief.stdin.flush()
    deadline = time.monotonic() + 5
    while "egressd" not in ground.host.command("nft", "list", "tables"):
        assert time.monotonic() < deadline and thief.poll() is None
        time.sleep(0.02)
    daemon.process.send_signal(signal.SIGCONT)
    wait_alarm(daemon, "cannot be put back", "end that program")
    assert "NOT IN FORCE" in daemon.ctl("status")["ruleset"]
    assert any("cannot be put back" in warning for warning in daemon.ctl("status")["warnings"])
    thief.stdin.close()
    thief.wait(5)
    deadline = time.monotonic() + 2
    while not daemon.ctl("status")["ruleset"].startswith("intact"):
        assert time.monotonic() < deadline, "not put back when it could be"
        time.sleep(0.02)
    holds(ground, job, family)


class Churn:
    """Somebody changes a table of his own all the time, as kube-proxy and fail2ban do."""

    def __init__(self, ground):
        ground.host.nft("table inet services {\nset busy {\ntype inet_service;\n}\n}\n")
        self.process = ground.spawn(["nft", "-i"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.stop.is_set():
            for verb in ("add", "delete"):
                self.process.stdin.write(f"{verb} element inet services busy {{ 80 }}\n".encode())
            self.process.stdin.flush()

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()
        self.process.kill()


@pytest.mark.parametrize("count", [1, 3000])
def test_others_change_what_is_theirs_all_the_time(ground, daemon, job, family, count):
    """Large transactions are not listened through: that others changed something of theirs then is no alarm."""
    ports = list(range(10_000, 10_000 + 2 * count, 2))
    allow = [rule("storage", family.storage_prefix, [443, "443/udp"]), rule("many", family.third, ports)]
    daemon.configure(owner="off")
    daemon.start({"job": job_policy(ground, family, allow=allow)})
    before = standing(ground)
    daemon.kill()
    with Churn(ground):
        time.sleep(0.2)
        for _ in range(3):
            daemon.start()
            handle = job.tcp(family.storage, 443, keep=True)["handle"]
            time.sleep(1)
            assert alarms(daemon) == []
            assert daemon.ctl("status")["counters"]["restorations"] == 0
            assert job.echo(handle)["ok"]
            daemon.kill()
        daemon.start()
        # What is heard is acted upon as before, and once.
        for times in (1, 2):
            nft(ground, "insert", "rule", "inet", "egressd", "decide", "accept")
            time.sleep(1)
            assert daemon.ctl("status")["counters"]["restorations"] == times
        wait_alarm(daemon, "rules added to chain decide")
        assert len(alarms(daemon)) == 1, alarms(daemon)
    assert standing(ground) == before
    holds(ground, job, family)


def deafen(daemon):
    """Leaves room for one notification in the socket by which the daemon hears of changes, as when very many come at once."""
    process = os.pidfd_open(daemon.process.pid)
    deafened = 0
    for number in os.listdir(f"/proc/{daemon.process.pid}/fd"):
        # pidfd_getfd of include/uapi/asm-generic/unistd.h.
        copy = ctypes.CDLL(None, use_errno=True).syscall(438, process, int(number), 0)
        if not os.readlink(f"/proc/self/fd/{copy}").startswith("socket:"):
            os.close(copy)
            continue
        with socket.socket(fileno=copy) as one:
            if one.family != socket.AF_NETLINK or one.proto != 12:
                continue
            # NETLINK_LIST_MEMBERSHIPS; NFNLGRP_NFTABLES is the seventh group.
            if int.from_bytes(one.getsockopt(270, 9, 4), sys.byteorder) & 1 << 6:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
                deafened += 1
    os.close(process)
    assert deafened == 1


@pytest.mark.parametrize(
    "hand",
    ["nothing", "chain inet egressd open { type filter hook output priority -400; }", "add rule inet egressd decide accept",
     "add element inet egressd hosts{suffix} {{ {first} . {stranger} . tcp . 443 }}"],
    ids=["nothing", "chain", "rule", "element"],
)  # fmt: skip
def test_what_was_not_heard_is_found(ground, daemon, job, basic, family, hand):
    daemon.configure(owner="off")
    daemon.start(basic)
    before = standing(ground)
    ground.host.nft("table inet services {\nset busy {\ntype inet_service;\n}\n}\n")
    daemon.process.send_signal(signal.SIGSTOP)
    deafen(daemon)
    for port in range(80, 84):
        ground.host.nft(f"add element inet services busy {{ {port} }}")
    if hand != "nothing":
        text = hand
        if "{first}" in hand:
            text = hand.format(suffix=suffix(family), first=FIRST, stranger=family.stranger)
        ground.host.nft(f"add {text}" if text.startswith("chain") else text)
    daemon.process.send_signal(signal.SIGCONT)
    wait_standing(ground, before)
    if hand.startswith(("chain", "add rule")):
        wait_alarm(daemon, "by whom was not heard; put back after")
    time.sleep(0.5)
    assert len(alarms(daemon)) == (hand.startswith(("chain", "add rule"))), alarms(daemon)
    holds(ground, job, family)


# ---- with its owner ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        "flush ruleset",
        "flush chain inet egressd decide",
        "insert rule inet egressd decide accept",
        "flush map inet egressd workloads",
        "delete table inet egressd",
    ],
    ids=lambda words: words.replace(" ", "-"),
)
def test_the_kernel_keeps_others_away(ground, daemon, job, basic, family, words):
    daemon.start(basic)
    before = standing(ground)
    ground.host.command("nft", *words.split(), check=False)
    assert standing(ground) == before
    holds(ground, job, family)
    assert daemon.ctl("status")["ruleset"].startswith("intact")


def test_from_owned_to_not_and_back(ground, daemon, job, basic, family):
    """The same table, whatever the daemon before made of it; open connections go on."""
    daemon.start(basic)
    open_one = job.tcp(family.storage, 443, keep=True)
    for owner in ("off", "auto", "off"):
        daemon.stop()
        daemon.configure(owner=owner)
        daemon.start()
        assert job.echo(open_one["handle"])["ok"]
        assert any("flags owner" in part for part in standing(ground)) == (owner == "auto")
        holds(ground, job, family)


def load(ground, text):
    """As nft wants it: what a brace opens or closes stands on lines of its own."""
    ground.host.nft(text.replace("{", "{\n").replace("}", "\n}\n"))


# ---- foreign tables ---------------------------------------------------------------------------------------------------


def foreign(family, kind):
    """A ruleset that another tool sets beside egressd's, and what the alarm says of it."""
    name = "ip" if family.name == "ipv4" else "ip6"
    accepts = "".join(
        f"chain {hook} {{ type filter hook {hook} priority -300; policy accept; accept; }}\n"
        for hook in ("prerouting", "input", "forward", "output", "postrouting")
    )
    return {
        "accept": (f"table {name} foreign {{ {accepts} }}", "accepts before egressd; nothing passes for it"),
        "accept-inet": (f"table inet foreign {{ {accepts} }}", "accepts before egressd; nothing passes for it"),
        # What iptables-nft makes of `iptables-restore` with an accept.
        "iptables-restore": (
            f"table {name} filter {{ chain OUTPUT {{ type filter hook output priority 0; policy accept; "
            "counter accept; } }",
            "chain OUTPUT: type filter hook output priority 0, accepts before egressd",
        ),
        "mark": (
            "table inet foreign { chain out { type filter hook output priority -200; ct mark set 0x1; } }",
            "sets the connection mark",
        ),
        "dnat": (
            f"table {name} foreign {{ chain out {{ type nat hook output priority -100; "
            f"{name} daddr {family.storage} tcp dport 9001 dnat to {family.join(family.stranger, 443).split('/')[0]}; "
            "} }",
            "changes where connections go before egressd judges them",
        ),
        "notrack": (
            "table inet foreign { chain out { type filter hook output priority -300; "
            f"{name} daddr {family.stranger} notrack; }} }}",
            "takes packets out of connection tracking",
        ),
        "egress": (
            "table netdev foreign { chain out { type filter hook egress device uplink priority -500; accept; } }",
            None,
        ),
    }[kind]


@pytest.mark.parametrize("owner", ["auto", "off"])
@pytest.mark.parametrize("kind", ["accept", "accept-inet", "iptables-restore", "mark", "dnat", "notrack", "egress"])
def test_a_foreign_table_opens_nothing(ground, daemon, job, basic, family, kind, owner):
    text, said = foreign(family, kind)
    words = text.split()
    daemon.configure(owner=owner)
    daemon.start(basic)
    load(ground, text)
    if said is not None:
        message = wait_alarm(daemon, said)
        assert "table " in message and "chain " in message
    with ground.capture() as capture:
        for _ in range(3):
            assert not job.tcp(family.stranger, 443, timeout=0.5)["ok"]
            assert not job.udp(family.stranger, 443, timeout=0.2)["ok"]
            # With `dnat` the stranger is where this goes.
            job.tcp(family.storage, 9001, timeout=0.5)
        assert capture.find(destination=family.stranger) == []
    assert len(alarms(daemon)) == (said is not None), alarms(daemon)
    ground.host.command("nft", "delete", "table", *words[1:3])
    holds(ground, job, family)


def test_what_stands_at_the_start_is_no_alarm(ground, daemon, basic, family):
    """A table that was there before is said in the log, and what breaks connections by the status."""
    load(ground, foreign(family, "accept")[0])
    load(ground, foreign(family, "iptables-restore")[0])
    daemon.start(basic)
    assert "accepts before egressd" in daemon.log()
    assert daemon.ctl("status")["warnings"] == []
    load(
        ground, "table inet marks { chain out { type filter hook postrouting priority 0; ct mark set 0x1; } }"
    )
    wait_alarm(daemon, "table inet marks, chain out", "sets the connection mark")
    assert "sets the connection mark" in daemon.ctl("status")["warnings"][0]
    daemon.stop()
    daemon.start()
    assert "sets the connection mark" in daemon.ctl("status")["warnings"][0]
    assert len(alarms(daemon)) == 1, alarms(daemon)


def test_changes_that_do_not_matter_are_no_alarm(ground, daemon, job, basic, family):
    """What Docker and kube-proxy do all day: rules and elements in chains of theirs."""
    name = "ip" if family.name == "ipv4" else "ip6"
    load(
        ground,
        f"table {name} services {{ set busy {{ type inet_service; }} chain service {{ }} "
        "chain out { type nat hook output priority -100; jump service; } }"
    )
    daemon.start(basic)
    target = family.join(family.third, 443).split("/")[0]
    for port in range(2000, 2020):
        ground.host.nft(
            f"add element {name} services busy {{ {port} }}\n"
            f"add rule {name} services service tcp dport {port} dnat to {target}"
        )
    load(ground, f"table {name} last {{ chain out {{ type filter hook output priority -1; accept; }} }}")
    wait_alarm(daemon, f"table {name} last")
    assert len(alarms(daemon)) == 1, alarms(daemon)
    with ground.capture() as capture:
        assert not job.tcp(family.stranger, 2001, timeout=0.5)["ok"]
        assert capture.find(destination=family.third) == []
