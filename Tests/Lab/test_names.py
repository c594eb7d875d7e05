"""The broker as the workloads' resolver: what it answers, and what it refuses without a packet leaving."""

import struct
import time

import pytest
from conftest import JOB
from daemon import policy, rule
from grants import Term
from lab import PYTHON
from names_checks import (
    approve_name, ask, assert_refused, code, data, eventually, left, named_policy, named_rule, pinned,
    pins, refused, request_named, resolve, wait_named,
)  # fmt: skip
from names_world import POOL_PORT, asker, daemon, names_world, site, world  # noqa: F401
from probes import dns_wire as wire

NEIGHBOUR = "training.slice/neighbour.service"
NAME = "storage.lab.test"
# From the command to the dead socket.
CUT = 1.0


def test_an_allowed_name_is_answered_pinned_and_opens_its_address(ground, daemon, world, asker, job, site):
    world.set((NAME, site.type, 300, [site.first, site.second]))
    daemon.start({"job": named_policy(ground, NAME, [443, "443/udp"])})
    assert refused(job.tcp(site.first, 443)), "before anybody asked"
    told = ask(asker, site, NAME)
    assert code(told) == "NOERROR" and told["available"]
    assert sorted(data(told, site.type)) == sorted([site.first, site.second])
    assert list(told["peer"]) == [site.resolver, 53], "the answer comes from where the question went"
    # At once, although the kernel remembers the refusal from a moment ago.
    assert job.tcp(site.first, 443)["ok"] and job.tcp(site.second, 443)["ok"]
    assert job.udp(site.first, 443, timeout=15)["ok"]
    assert refused(job.tcp(site.unknown, 443))
    assert {query["server"] for query in world.queries()} == {site.upstream}, "whoever was asked, the upstream answers"
    listed = pins(daemon, name=NAME)
    assert {pin["address"] for pin in listed} == {site.first, site.second}
    assert {pin["workload"] for pin in listed} == {"job"} and all("age" in pin for pin in listed)
    # Every event of a pinned address has the name.
    assert refused(job.tcp(site.first, 8443))
    event = daemon.wait_event(to=site.first, port=8443)
    assert (event["reason"], event["destination"]["name"]) == ("unknown-destination", NAME)
    plain = daemon.ctl("names", "--workload", "job", json_output=False)
    assert NAME in plain and site.first in plain
    assert daemon.ctl("names", "--workload", "nobody", check=False)[0] in (0, 1)


@pytest.mark.parametrize("ports", [[POOL_PORT], ["any"], ["9000-9999"]], ids=["port", "any", "range"])
def test_the_first_connect_after_an_answer_never_races(ground, daemon, world, asker, site, ports):
    names = world.bulk(site, 25)
    daemon.start({"job": named_policy(ground, "*.pool.lab.test", ports)})
    outcome = asker.do("first_connect", names=names, type=site.type, server=site.resolver, to_port=POOL_PORT)
    assert outcome["outcomes"] == ["open"] * len(names)


def test_a_name_rule_with_a_program_names_it_in_the_event(ground, daemon, world, asker, job, site):
    world.set((NAME, site.type, 300, [site.first]))
    daemon.start({"job": named_policy(ground, NAME, rule_keys={"executable": PYTHON})})
    resolve(asker, site, NAME)
    assert job.tcp(site.first, 443)["ok"]
    event = wait_named(daemon, NAME, to=site.first, port=443, verdict="allow")
    assert (event["rule"], event["process"]["executable"]) == ("names", PYTHON)


def test_a_name_that_no_rule_allows_is_refused_without_a_packet(ground, daemon, world, asker, site):
    world.set(("evil.example", site.type, 60, [site.unknown]), (NAME, site.type, 60, [site.first]),
              ("a.b.wide.lab.test", site.type, 60, [site.second]))  # fmt: skip
    daemon.start({"job": named_policy(ground, [NAME, "*.wide.lab.test"]),
                  "bare": policy("bare", ground.glob(NEIGHBOUR), allow=[rule("a", site.first, [443])])})  # fmt: skip
    bare = world.asker(NEIGHBOUR, nameservers=[site.resolver])
    with ground.capture() as capture:
        for transport in ("udp", "tcp"):
            told = ask(asker, site, "Evil.example", transport=transport)
            assert code(told) == "REFUSED" and told["ms"] < 1000, told
            assert told["questions"] == [["Evil.example", site.type]], "the question comes back as it was spelled"
        for name in ("wide.lab.test", "lab.test", f"x.{NAME}", "storage.lab.test.evil.example", "xstorage.lab.test"):
            assert code(ask(asker, site, name)) == "REFUSED", name
        assert code(ask(bare, site, NAME)) == "REFUSED", "another workload's name"
        assert left(capture, b"evil", b"wide", b"storage") == [] and world.queries() == []
    assert resolve(asker, site, "A.b.WIDE.lab.test") == [site.second]
    assert resolve(asker, site, "STORAGE.lab.test", transport="tcp") == [site.first]
    event = assert_refused(daemon, "evil.example")
    assert event["process"]["pid"] == asker.pid and event["process"]["cgroup"] == f"/{ground.glob(JOB)}"
    assert_refused(daemon, NAME, workload="bare")
    assert request_named(daemon, "evil.example")["count"] >= 1
    assert "evil.example" in daemon.ctl("requests", json_output=False)


def test_the_log_of_one_name_has_no_other(ground, daemon, world, asker, job, site):
    world.set((NAME, site.type, 300, [site.first]))
    daemon.start({"job": named_policy(ground, NAME)})
    resolve(asker, site, NAME)
    assert job.tcp(site.first, 443)["ok"]
    for name in ("evil.example", "worse.example"):
        assert code(ask(asker, site, name)) == "REFUSED"
        assert_refused(daemon, name)
    assert refused(job.tcp(site.unknown, 443))
    wait_named(daemon, NAME, to=site.first, port=443)
    for name in ("evil.example", "Evil.Example.", NAME):
        for words in ((), ("--since", "1h"), ("--limit", "50")):
            names = {event["destination"]["name"] for event in daemon.ctl("log", "--name", name, *words)}
            assert names == {name.lower().rstrip(".")}, (name, words)
    assert daemon.ctl("log", "--name", "nobody.example") == []
    status, output, errors = daemon.ctl("log", "--name", "evil.example", "--verdict", "allow", check=False)
    assert (status, output) == (0, ""), errors


def test_a_name_is_approved_and_revoked_like_an_address(ground, daemon, world, asker, job, site):
    world.set(("new.example", site.type, 300, [site.first]), ("other.example", site.type, 300, [site.second]))
    daemon.start({"job": named_policy(ground, NAME)})
    assert code(ask(asker, site, "new.example")) == code(ask(asker, site, "other.example")) == "REFUSED"
    grant = approve_name(daemon, "new.example", "--protocol", "any")
    # A resolver of the job may remember nothing: it asks again and gets the answer.
    assert resolve(asker, site, "new.example") == [site.first]
    opened = job.tcp(site.first, 443, keep=True)
    assert opened["ok"]
    assert refused(job.tcp(site.first, 8443)), "443 is what an approved name opens"
    assert code(ask(asker, site, "other.example")) == "REFUSED"
    more = approve_name(daemon, "other.example", "--ports", "8443", "--protocol", "any")
    assert resolve(asker, site, "other.example") == [site.second]
    assert job.tcp(site.second, 8443)["ok"] and refused(job.tcp(site.second, 443))
    assert "new.example" in str(daemon.ctl("grants")["grants"])
    with ground.capture() as capture:
        before = time.monotonic()
        daemon.ctl("revoke", str(grant))
        assert capture.end_of(opened["source"][1]).at - before <= CUT
    world.echo.wait_closed(opened["source"][1], 15)
    assert refused(job.tcp(site.first, 443)) and code(ask(asker, site, "new.example")) == "REFUSED"
    assert pinned(daemon, name="new.example") == set()
    assert job.tcp(site.second, 8443)["ok"], "another grant went with it"
    assert more in [entry["grant"] for entry in daemon.ctl("grants")["grants"] if not entry.get("revoked")]


def test_a_grant_of_a_name_outlives_the_daemon_and_not_its_time(ground, daemon, world, asker, job, site):
    world.set(("new.example", site.type, 300, [site.first]))
    daemon.start({"job": named_policy(ground, NAME)})
    ask(asker, site, "new.example")
    approve_name(daemon, "new.example", "--protocol", "any", duration="4s")
    term = Term(daemon, 4)
    ask(asker, site, "new.example")
    assert term.holds(job, site.first, 443)
    daemon.ctl("log", "--limit", "1")  # whoever reads the record comes behind what was to be written
    daemon.kill()
    daemon.start()
    assert term.holds(job, site.first, 443)
    term.ends(job, site.first, 443)
    assert code(ask(asker, site, "new.example")) == "REFUSED"


def test_where_no_policy_has_names_a_question_is_refused_and_a_name_can_be_approved(
    ground, daemon, world, asker, job, site, family
):
    """Nothing is redirected then: the kernel refuses, and the record has the name all the same."""
    world.set(("new.example", site.type, 300, [site.first]))
    by_address = rule("storage", family.storage_prefix, [443, "53/udp", 53])
    daemon.start({"job": policy("job", ground.glob(JOB), allow=[by_address])})
    with ground.capture() as capture:
        assert "answers" not in ask(asker, site, "new.example", timeout=1)
        assert "answers" not in ask(asker, site, "new.example", timeout=1, server=family.storage)
        assert "answers" not in ask(asker, site, "second.example", timeout=1)
    for name in ("new.example", "second.example"):
        assert_refused(daemon, name)
    assert left(capture, b"example") == [] and world.queries() == []
    grant = approve_name(daemon, "new.example", "--protocol", "any")
    assert resolve(asker, site, "new.example") == [site.first]
    assert job.tcp(site.first, 443)["ok"] and refused(job.tcp(site.first, 8443))
    daemon.ctl("revoke", str(grant))
    assert "answers" not in ask(asker, site, "new.example", timeout=1) and refused(job.tcp(site.first, 443))


def odd_messages():
    """Messages that are not one ordinary question, each with a label of its own."""
    allowed = "in.lab.test"
    plain = wire.question("odd-z.in.lab.test", "A", 9)
    return {
        "two questions": wire.query([("odd-a." + allowed, "A"), ("odd-a2.evil.example", "A")], 1),
        "no question": wire.query([], 2),
        "class chaos": wire.question("odd-c." + allowed, "A", 3, klass=3),
        "class any": wire.question("odd-d." + allowed, "A", 4, klass=255),
        "notify": wire.question("odd-e." + allowed, "SOA", 5, flags=4 << 11),
        "update": wire.question("odd-f." + allowed, "SOA", 6, flags=5 << 11),
        "a dot in a label": wire.question([b"odd-g.evil", b"in", b"lab", b"test"], "A", 7),
        "a NUL in a label": wire.question([b"odd-h\0evil", b"in", b"lab", b"test"], "A", 8),
        "a space in a label": wire.question([b"odd i", b"in", b"lab", b"test"], "A", 10),
        "a pointer to itself": struct.pack("!6H", 11, 0x100, 1, 0, 0, 0) + b"\xc0\x0c\0\x01\0\x01",
        "a pointer ahead": struct.pack("!6H", 12, 0x100, 1, 0, 0, 0) + b"\xc0\x20\0\x01\0\x01" + b"\x05odd-k" * 6 + b"\0",
        "bytes behind the end": plain + b"odd-z-secret",
        "cut short": plain[:-20],
        "a response": wire.question("odd-l." + allowed, "A", 13, flags=0x8180),
        "an answer in a query": struct.pack("!6H", 14, 0x100, 1, 1, 0, 0) + wire.put_name("odd-m." + allowed)
        + b"\0\x01\0\x01" + b"\xc0\x0c\0\x01\0\x01\0\0\0\x05\0\x04\x01\x02\x03\x04",
        "one byte": b"\0",
    }  # fmt: skip


def test_what_is_not_one_ordinary_question_never_leaves(ground, daemon, world, asker, site):
    world.set(("*.in.lab.test", site.type, 60, [site.first]))
    daemon.start({"job": named_policy(ground, "*.in.lab.test")})
    with ground.capture() as capture:
        for label, message in odd_messages().items():
            for transport in ("udp", "tcp"):
                told = asker.do("raw", server=site.resolver, transport=transport, messages=[message.hex()], timeout=0.4)
                codes = [one["code"] for one in told["answers"]]
                assert codes in ([], ["FORMERR"], ["REFUSED"], ["NOTIMP"]), f"{label}: {told}"
        assert left(capture, b"odd") == []
        assert world.queries() == [] and world.dns.find(event="junk") == []
    # After all of it, it still answers.
    assert resolve(asker, site, "good.in.lab.test") == [site.first]
    two = [event for event in daemon.events(verdict="deny", workload="job") if "odd-a" in str(event.get("destination"))]
    assert two, "two questions left no line in the record"


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_types_that_carry_data_need_a_rule(ground, daemon, world, asker, site, transport):
    world.set((NAME, "TXT", 60, [["secret"]]), (NAME, "NULL", 60, ["00ff"]), (NAME, site.type, 60, [site.first]),
              ("text.lab.test", "TXT", 60, [["v=1"]]))  # fmt: skip
    text = named_rule("text.lab.test", name="text", types=["TXT"])
    daemon.start({"job": named_policy(ground, [NAME, "*.t.lab.test"], more=[text])})
    # iodine 0.7: NULL, the version handshake `v` with its base32 number under the tunnel's domain; then its other types.
    handshake = "vaaaaka4jzqia.t.lab.test"
    with ground.capture() as capture:
        for kind in ("TXT", "NULL", "ANY", "MX", "AXFR", "TYPE65399"):
            assert code(ask(asker, site, NAME, kind, transport=transport)) == "REFUSED", kind
        for kind in ("NULL", "TYPE65399", "TXT", "MX"):
            assert code(ask(asker, site, handshake, kind, transport=transport)) == "REFUSED", kind
        assert code(ask(asker, site, "text.lab.test", "NULL", transport=transport)) == "REFUSED"
        assert left(capture, b"storage", b"vaaaaka", b"text") == [] and world.queries() == []
    assert data(ask(asker, site, "text.lab.test", "TXT", transport=transport), "TXT") == [["v=1"]]
    assert_refused(daemon, NAME)
    assert_refused(daemon, handshake)


def test_pipelined_queries_with_a_forbidden_one(ground, daemon, world, asker, site):
    world.set(*[(f"{label}.lab.test", site.type, 60, [site.first]) for label in ("one", "two", "three")])
    daemon.start({"job": named_policy(ground, [f"{label}.lab.test" for label in ("one", "two", "three")])})
    questions = [[name, site.type] for name in ("one.lab.test", "two.lab.test", "evil.example", "three.lab.test")]
    with ground.capture() as capture:
        answers = asker.do("ask", server=site.resolver, transport="tcp", questions=questions)["answers"]
        assert [code(one) for one in answers] == ["NOERROR", "NOERROR", "REFUSED", "NOERROR"]
        assert left(capture, b"evil") == []
    assert_refused(daemon, "evil.example")
    assert {query["name"] for query in world.queries()} == {"one.lab.test", "two.lab.test", "three.lab.test"}


def test_other_ways_to_a_resolver_are_closed(ground, daemon, world, site, family):
    world.set((NAME, site.type, 60, [site.first]), ("evil.example", site.type, 60, [site.unknown]))
    daemon.start({"job": named_policy(ground, NAME)})
    asker = world.asker(JOB, uid=0, nameservers=[site.resolver])
    job = ground.agent(JOB, uid=0)
    with ground.capture() as capture:
        for port in (5353, 853):
            told = ask(asker, site, NAME, port=port, timeout=0.5)
            assert "error" in told, told
            assert refused(job.tcp(site.resolver, port))
            for transport in ("udp", "tcp"):
                assert daemon.wait_event(to=site.resolver, port=port, transport=transport)["verdict"] == "deny"
        # The broker's own upstream, any other server: caught, and answered by the broker's rules.
        for server in (site.upstream, site.spare, site.unknown):
            for transport in ("udp", "tcp"):
                assert code(ask(asker, site, "evil.example", server=server, transport=transport)) == "REFUSED"
        assert left(capture, b"evil", b"storage") == []
        check_own_port(ground, daemon, asker, site, family)
        assert left(capture, b"evil", b"storage") == [] and world.queries() == []
    assert resolve(asker, site, NAME, server=site.unknown) == [site.first], "a server that is none"
    assert {query["server"] for query in world.queries(name=NAME, type=site.type)} == {site.upstream}


def check_own_port(ground, daemon, asker, site, family):
    """Straight to the port on which the broker listens, with every mark that might be somebody's: no answer."""
    for flags, transport in (("-ulnpH", "udp"), ("-tlnpH", "tcp")):
        lines = ground.host.command("ss", flags).splitlines()
        lines = [line for line in lines if f"pid={daemon.process.pid}," in line]
        ports = {int(line.split()[3].rpartition(":")[2]) for line in lines if f"{family.loopback}" in line.split()[3]}
        assert ports, f"the daemon listens nowhere over {transport}"
        for port in ports:
            for mark in (None, 0x1_0000, 0x2_0000, 0x0100_0000, 0xFFFF_FFFF):
                told = ask(asker, site, NAME, server=family.loopback, port=port, transport=transport, mark=mark, timeout=0.3)
                assert told.get("code") in (None, "REFUSED"), (hex(mark or 0), told)


def test_observed_names_are_answered_and_recorded(ground, daemon, world, asker, job, site):
    world.set(("new.example", site.type, 60, [site.first]))
    daemon.start({"job": named_policy(ground, NAME, unknown="observe")})
    assert resolve(asker, site, "new.example") == [site.first]
    assert job.tcp(site.first, 443)["ok"]
    event = wait_named(daemon, "new.example", verdict="observe")
    assert event["workload"] == "job"
    daemon.stop()
    daemon.configure(dns={"upstream": [site.upstream]}, mode="observe")
    daemon.start({"job": named_policy(ground, NAME)})
    world.set(("newer.example", site.type, 60, [site.second]))
    assert resolve(asker, site, "newer.example") == [site.second]
    assert wait_named(daemon, "newer.example", verdict="observe")["reason"] == "observe-mode"
