"""What programs have open when the daemon comes: what the policy allows goes on without a byte lost, the rest is over at once."""

import subprocess
import time

import pytest
from conftest import JOB, job_policy
from daemon import rule
from lab import PYTHON
from resources import eventually

CUT = 1.0
SOME_CGROUP = "system.slice/something.service"


def opened(agent, address, port):
    answer = agent.tcp(address, port, keep=True)
    assert answer["ok"], answer
    return answer


def ended(agent, connection, since):
    """Its next call fails, and that within a second of the moment when the daemon served."""
    answer = agent.do("read", handle=connection["handle"], timeout=CUT)
    assert not answer["ok"] and answer["error"] in ("ECONNABORTED", "ECONNRESET"), answer
    assert time.monotonic() - since < CUT


def prepare(ground, daemon, how, policies):
    """What stands before the daemon comes."""
    daemon.write(policies)
    if how == "boot":
        argv = [str(ground.egressd), "boot", "--config", str(daemon.configuration)]
        done = ground.spawn(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert done.wait(10) == 0, done.stdout.read()
        assert "egressd" in ground.host.command("nft", "list", "tables")


@pytest.mark.parametrize("how", ["nothing", "boot"])
def test_what_was_open_before_any_daemon(ground, daemon, job, family, how):
    policies = {"job": job_policy(ground, family)}
    stays, doomed, secret = (opened(job, a, 443) for a in (family.storage, family.stranger, family.secret))
    datagrams = {
        address: job.udp(address, 443, connect=True, keep=True) for address in (family.storage, family.stranger)
    }
    assert all(answer["ok"] for answer in datagrams.values())
    prepare(ground, daemon, how, policies)
    daemon.start()
    begin = time.monotonic()
    ended(job, doomed, begin)
    ended(job, secret, begin)
    over = job.do("read", handle=datagrams[family.stranger]["handle"], timeout=CUT)
    assert over.get("error") == "ECONNABORTED", over
    assert job.echo(stays["handle"])["data"] == "still here"
    kept = job.udp(family.storage, 443, handle=datagrams[family.storage]["handle"])
    assert kept["ok"], kept
    with ground.capture() as capture:
        assert job.tcp(family.stranger, 443)["error"] == "ECONNREFUSED"
        assert capture.find(destination=family.stranger) == []
    for address, transport, reason in (
        (family.stranger, "tcp", "unknown-destination"),
        (family.stranger, "udp", "unknown-destination"),
        (family.secret, "tcp", "denied-by-rule"),
    ):
        told = [
            event
            for event in daemon.events(to=address, transport=transport, verdict="deny", reason=reason, workload="job")
            if event.get("message") == "it was open when the daemon took over"
        ]
        assert len(told) == 1 and told[0]["process"]["pid"] == job.pid, told


@pytest.mark.parametrize("how", ["nothing", "boot"])
def test_a_stream_loses_no_byte(ground, daemon, job, family, how):
    """A connection that is allowed is in the middle of its work when the daemon comes."""
    allowed = opened(job, family.storage, 443)
    lines = [f"line {number:05}\n" for number in range(400)]
    prepare(ground, daemon, how, {"job": job_policy(ground, family)})
    for number, line in enumerate(lines):
        if number == 100:
            daemon.launch()
        assert job.do("write", handle=allowed["handle"], data=line)["ok"]
        time.sleep(0.002)
    daemon.wait_ready()
    text, expected = "", "".join(lines)
    deadline = time.monotonic() + 10
    while len(text) < len(expected):
        answer = job.do("read", handle=allowed["handle"], timeout=5)
        assert answer["ok"] and time.monotonic() < deadline, answer
        text += answer["data"]
    assert text == expected


def test_what_the_policy_became_while_no_daemon_ran(ground, daemon, job, family):
    allow = [rule("storage", family.storage_prefix, [443]), rule("other", family.other, [443])]
    daemon.start({"job": job_policy(ground, family, allow=allow)})
    stays, doomed = opened(job, family.storage, 443), opened(job, family.other, 443)
    daemon.kill()
    assert job.echo(doomed["handle"])["ok"]
    daemon.start({"job": job_policy(ground, family, allow=allow[:1])})
    begin = time.monotonic()
    ended(job, doomed, begin)
    assert job.echo(stays["handle"])["ok"]
    assert daemon.wait_event(to=family.other, port=443, verdict="deny")["process"]["pid"] == job.pid


def test_what_is_not_connected_and_no_longer_allowed(ground, daemon, job, family):
    """A socket that sends to anybody, and one that is still connecting: stamps that the next daemon would honour."""
    allow = [rule("storage", family.storage_prefix, [443, "443/udp"]), rule("other", family.other, [443, "443/udp"])]
    # The handshake is answered only once the policy is another one.
    silence = "table inet lab_silent { chain in { type filter hook input priority 0; tcp dport 443 drop; }; }"
    daemon.start({"job": job_policy(ground, family, allow=allow)})
    both = job.udp(family.other, 443, keep=True)
    assert both["ok"] and job.udp(family.storage, 443, handle=both["handle"])["ok"]
    ground.world_ns.nft(silence)
    ground.stack.callback(ground.world_ns.command, "nft", "delete table inet lab_silent", check=False)
    connecting = job.begin("tcp", to=[family.other, 443], timeout=20)
    eventually(lambda: family.other in ground.host.command("ss", "-Htn", "state", "syn-sent"), "it connects")
    daemon.kill()
    daemon.start({"job": job_policy(ground, family, allow=allow[:1])})
    with ground.capture() as capture:
        assert not job.udp(family.other, 443, handle=both["handle"], payload="too late")["ok"]
        assert job.udp(family.storage, 443, handle=both["handle"])["ok"]
        daemon.wait_event(to=family.other, port=443, transport="udp", verdict="deny", reason="unknown-destination")
        ground.world_ns.command("nft", "delete table inet lab_silent")
        assert connecting.wait(20)["error"] == "ECONNREFUSED"
        assert capture.find(destination=family.other) == []
    assert daemon.wait_event(to=family.other, port=443, transport="tcp", verdict="deny")["process"]["pid"] == job.pid


def test_what_is_forwarded_and_no_longer_allowed(ground, daemon, basic, family):
    daemon.configure(unidentified="allow")
    guest = ground.guest()
    ground.stack.callback(ground.forwarding, False)
    visitor = ground.agent(namespace=guest)
    eventually(lambda: visitor.tcp(family.stranger, 443, timeout=1)["ok"], "the guest reaches the world")
    daemon.start(basic)
    connection = opened(visitor, family.stranger, 443)
    assert visitor.echo(connection["handle"])["ok"]
    daemon.kill()
    daemon.configure(unidentified="deny")
    daemon.start(basic)
    eventually(lambda: not visitor.echo(connection["handle"], timeout=0.5)["ok"], "it is cut off", timeout=CUT + 0.5)
    daemon.wait_event(to=family.stranger, port=443, verdict="deny", reason="revoked")


@pytest.mark.parametrize("before", ["another", "nobody"])
def test_whose_a_program_is_became_another_while_no_daemon_ran(ground, daemon, job, family, before):
    """What is open goes on, and is the new workload's from then on."""
    allow = [rule("storage", family.storage_prefix, [443]), rule("other", family.other, [443])]
    mine = job_policy(ground, family, allow=allow)
    daemon.start({"old": mine.replace('workload: "job"', 'workload: "old"')} if before == "another" else {})
    stays, doomed = opened(job, family.storage, 443), opened(job, family.other, 443)
    for connection in (stays, doomed):
        assert job.echo(connection["handle"])["ok"]
    daemon.kill()
    daemon.start({"job": mine})
    for connection in (stays, doomed):
        assert job.echo(connection["handle"])["data"] == "still here"
    assert daemon.events(verdict="deny") == []
    daemon.reload({"job": job_policy(ground, family, allow=allow[:1])})
    assert not job.echo(doomed["handle"])["ok"]
    assert job.echo(stays["handle"])["data"] == "still here"


def test_a_rule_for_one_program(ground, daemon, family):
    """Who holds the socket is looked for: a program that the rule is not for does not go on."""
    mine = ground.agent(JOB, uid=1001)
    stays = opened(mine, family.third, 443)
    doomed = opened(mine, family.other, 443)
    allow = [
        rule("asked", family.third, [443], executable=PYTHON),
        rule("not-asked", family.other, [443], executable="/usr/bin/true"),
    ]
    daemon.start({"job": job_policy(ground, family, allow=allow)})
    begin = time.monotonic()
    ended(mine, doomed, begin)
    assert mine.echo(stays["handle"])["ok"]
    daemon.wait_event(to=family.other, port=443, verdict="deny", reason="wrong-executable")


@pytest.mark.parametrize("mode", ["allow", "observe", "deny"])
def test_what_belongs_to_no_workload(ground, daemon, family, mode):
    nobody = ground.agent(SOME_CGROUP)
    connection = opened(nobody, family.stranger, 443)
    datagrams = nobody.udp(family.stranger, 443, connect=True, keep=True)
    daemon.configure(unidentified=mode)
    daemon.start({"job": job_policy(ground, family)})
    begin = time.monotonic()
    if mode == "deny":
        ended(nobody, connection, begin)
        assert nobody.do("read", handle=datagrams["handle"], timeout=CUT).get("error") == "ECONNABORTED"
    else:
        assert nobody.echo(connection["handle"])["ok"]
        assert nobody.udp(family.stranger, 443, handle=datagrams["handle"])["ok"]


def test_what_others_opened(ground, daemon, job, family):
    """To a workload only as its policy says, to the rest of the host whatever it says of the way out."""
    nobody = ground.agent(SOME_CGROUP)
    outside = ground.outsider()
    for agent, port in ((job, 6001), (job, 6002), (nobody, 6003)):
        assert agent.do("serve", at=[family.any, port])["ok"]
    ends = {port: opened(outside, family.host, port) for port in (6001, 6002, 6003)}
    listen = [{"name": "peers", "from": [family.world], "ports": [6001]}]
    daemon.configure(unidentified="deny")
    daemon.start({"job": job_policy(ground, family, listen=listen)})
    assert outside.echo(ends[6001]["handle"])["ok"]
    assert outside.echo(ends[6003]["handle"])["ok"], "a session of an operator"
    # Its reset belongs to no connection that conntrack knows, and does not get out.
    assert not ground.host.command("ss", "-tnH", "state", "established", "sport = :6002"), "it was not ended"
    event = daemon.wait_event(kind="inbound", verdict="deny", workload="job", reason="not-listening")
    assert event["destination"]["port"] == 6002


def test_in_observe_mode_nothing_is_cut(ground, daemon, job, family):
    connection = opened(job, family.stranger, 443)
    daemon.configure(mode="observe")
    daemon.start({"job": job_policy(ground, family)})
    assert job.echo(connection["handle"])["ok"]


# ---- what others translate -------------------------------------------------------------------------------------------


def translate(ground, family, *pairs):
    """A table of somebody else, as kube-proxy has one: what goes to one address and port goes to another."""
    name = "ip" if family.name == "ipv4" else "ip6"
    to = {there: family.join(*there).split("/")[0] for _, there in pairs}
    rules = "\n".join(
        f"{name} daddr {here[0]} {transport} dport {here[1]} dnat to {to[there]}"
        for here, there in pairs
        for transport in ("tcp", "udp")
    )
    ground.host.nft(
        f"table {name} services {{\nchain out {{\ntype nat hook output priority -100;\n{rules}\n}}\n}}\n"
    )


@pytest.mark.parametrize("how", ["nothing", "restart", "put-back"])
def test_what_others_translate_is_judged_by_where_it_goes(ground, daemon, job, family, how):
    """Packets are judged after the translation of others, and what is open is, too."""
    service, trap = (family.other, 9001), (family.storage, 9002)
    translate(ground, family, (service, (family.storage, 443)), (trap, (family.stranger, 443)))
    policies = {"job": job_policy(ground, family)}
    daemon.configure(owner="off")
    if how != "nothing":
        daemon.start(policies)
    stays, datagrams = opened(job, *service), job.udp(*service, connect=True, keep=True)
    assert datagrams["ok"]
    if how == "put-back":
        ground.host.command("nft", "delete", "table", "inet", "egressd")
        daemon.wait_event(kind="alarm")
    else:
        if how == "restart":
            daemon.kill()
            # The trap is open only while nothing holds.
            ground.host.command("nft", "delete", "table", "inet", "egressd")
        doomed = opened(job, *trap)
        daemon.start(policies)
        ended(job, doomed, time.monotonic())
        event = daemon.wait_event(to=family.stranger, port=443, verdict="deny")
        assert event["message"] == "it was open when the daemon took over"
    assert job.echo(stays["handle"])["data"] == "still here"
    assert job.udp(*service, handle=datagrams["handle"])["ok"]
    # A narrower policy ends it, by where it goes as well.
    before = opened(job, *service)
    daemon.reload({"job": job_policy(ground, family, allow=[rule("one", family.storage, [443])])})
    assert job.echo(before["handle"])["ok"] and job.echo(stays["handle"])["ok"]
    daemon.reload({"job": job_policy(ground, family, allow=[rule("other", family.other, ["any"])])})
    ended(job, before, time.monotonic())


# ---- a kernel that cannot end a connection ---------------------------------------------------------------------------


@pytest.fixture
def no_destroy(ground):
    library = ground.directory / "no-destroy.so"
    if not library.exists():
        source = ground.directory / "probes/no_destroy.c"
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source], check=True)
    return library


def test_a_kernel_that_cannot_end_connections(ground, daemon, job, family, no_destroy):
    """Their next packet is refused, though their stamps were good; what was told of once is not told again."""
    nobody = ground.agent(SOME_CGROUP)
    assert nobody.do("serve", at=[family.loopback, 6010])["ok"]
    allow = [rule("storage", family.storage_prefix, [443]), rule("other", family.other, [443])]
    daemon.configure(owner="off")
    local = [rule("local", family.loopback, [6010])]
    daemon.start({"job": job_policy(ground, family, allow=allow + local)})
    stays, doomed, idle = opened(job, family.storage, 443), opened(job, family.other, 443), opened(job, family.other, 443)
    beside = opened(job, family.loopback, 6010)
    daemon.kill()
    assert all(job.echo(one["handle"])["ok"] for one in (stays, doomed, idle, beside))
    daemon.write({"job": job_policy(ground, family, allow=allow[:1])})
    daemon.launch("env", f"LD_PRELOAD={no_destroy}")
    daemon.wait_ready()
    message = "it was open when the daemon took over"
    eventually = time.monotonic() + 2
    while len([event for event in daemon.events(to=family.other) if event.get("message") == message]) < 2:
        assert time.monotonic() < eventually, daemon.events(to=family.other)
        time.sleep(0.02)
    # It is judged again, and tried again.
    ground.host.command("nft", "delete", "table", "inet", "egressd")
    daemon.wait_event(kind="alarm")
    time.sleep(0.3)
    assert "ESTAB" in ground.host.command("ss", "-tnH", "dst", f"[{family.other}]" if ":" in family.other else family.other)
    told = [event for event in daemon.events(to=family.other) if "was open" in (event.get("message") or "")]
    assert len(told) == 2, told
    with ground.capture() as capture:
        for one in (doomed, beside):
            answer = job.echo(one["handle"])
            assert not answer["ok"], answer
        assert [packet for packet in capture.find(destination=family.other) if packet.payload] == []
    assert job.echo(stays["handle"])["ok"]
    daemon.wait_event(to=family.loopback, port=6010, verdict="deny")
