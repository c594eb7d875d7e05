"""Who asks: the socket's own identity, whatever port, server or library a program uses; and those that are nobody's."""

import pytest
from conftest import JOB
from names_checks import (
    ask, assert_refused, code, data, left, named_events, named_policy, pinned, refused, resolve,
)  # fmt: skip
from names_world import SITE4, SITE6, asker, daemon, names_world, site, world  # noqa: F401

NAME = "storage.lab.test"
NEIGHBOUR = "training.slice/neighbour.service"


def test_who_asks_comes_from_the_socket(ground, daemon, world, site):
    """One source port in two workloads' hands, one after the other: each gets what its own policy says."""
    world.set((NAME, site.type, 0, [site.first]), ("other.lab.test", site.type, 0, [site.second]))
    daemon.start({"job": named_policy(ground, NAME), "neighbour": named_policy(ground, "other.lab.test", cgroup=NEIGHBOUR)})
    asker, neighbour = (world.asker(cgroup, nameservers=[site.resolver]) for cgroup in (JOB, NEIGHBOUR))
    mine = [site.family.any, 21_053]
    for transport in ("udp", "tcp"):
        for _ in range(3):
            for each, good, bad in ((asker, NAME, "other.lab.test"), (neighbour, "other.lab.test", NAME)):
                source = mine if transport == "udp" else None
                assert code(ask(each, site, good, source=source, transport=transport)) == "NOERROR"
                assert code(ask(each, site, bad, source=source, transport=transport)) == "REFUSED"
    assert_refused(daemon, "other.lab.test", "job")
    assert_refused(daemon, NAME, "neighbour")
    assert pinned(daemon, workload="job") == {site.first} and pinned(daemon, workload="neighbour") == {site.second}
    one, other = ground.agent(JOB, uid=1001), ground.agent(NEIGHBOUR, uid=1001)
    assert one.tcp(site.first, 443)["ok"] and refused(one.tcp(site.second, 443))
    assert other.tcp(site.second, 443)["ok"] and refused(other.tcp(site.first, 443))


def test_sockets_that_fork_and_sockets_from_before(ground, daemon, world, asker, site):
    world.set((NAME, site.type, 0, [site.first]))
    before = asker.do("open_socket", server=site.resolver, timeout=1)["handle"]
    assert asker.do("through", handle=before, question=["evil.example", "A"])["ok"], "no daemon yet"
    world.forget()
    daemon.start({"job": named_policy(ground, NAME)})
    # The flow is older than the daemon: caught or silent, but nothing of it leaves.
    with ground.capture() as capture:
        told = asker.do("through", handle=before, question=["evil-before.example", "A"])
        assert not told["ok"] or told["answer"]["code"] == "REFUSED", told
        child = asker.do("forked", server=site.resolver, question=[NAME, site.type])
        assert data(child["answer"], site.type) == [site.first]
        assert code(asker.do("forked", server=site.resolver, question=["evil.example", "A"])["answer"]) == "REFUSED"
        assert left(capture, b"evil") == []
    assert_refused(daemon, "evil.example")


def test_processes_of_no_workload_ask_whom_they_like(ground, daemon, world, site):
    world.set(("host.example", site.type, 0, [site.unknown]))
    daemon.start({"job": named_policy(ground, NAME)})
    for cgroup in (None, "system.slice/cron.service"):
        outside = world.asker(cgroup, nameservers=[site.resolver])
        for transport in ("udp", "tcp"):
            assert resolve(outside, site, "host.example", transport=transport) == [site.unknown]
        assert outside.do("look_up", name="host.example", family=site.family.name)["addresses"] == [site.unknown]
    assert {query["server"] for query in world.queries(name="host.example")} == {site.resolver}
    assert named_events(daemon, "host.example", verdict="deny") == []


def test_a_stub_on_loopback_and_the_c_library(ground, daemon, world, site, family):
    stub = "127.0.0.53" if family.name == "ipv4" else "::1"
    world.set((NAME, "A", 60, [SITE4.first]), (NAME, "AAAA", 60, [SITE6.first]))
    daemon.start({"job": named_policy(ground, NAME)})
    asker = world.asker(JOB, nameservers=[stub])
    for transport in ("udp", "tcp"):
        assert resolve(asker, site, NAME, server=stub, transport=transport) == [site.first]
        assert code(ask(asker, site, "evil.example", server=stub, transport=transport)) == "REFUSED"
    assert asker.do("look_up", name=NAME)["addresses"] == sorted([SITE4.first, SITE6.first])
    denied = asker.do("look_up", name="evil.example")
    # A question that is not answered is asked again after three seconds.
    assert not denied["ok"] and denied["ms"] < 2900, denied


@pytest.mark.parametrize("sockets", ["one", "each"])
def test_a_and_aaaa_at_once(ground, daemon, world, asker, job, site, sockets):
    """As Go's resolver (a socket each) and glibc (one socket) do it."""
    world.set((NAME, "A", 60, [SITE4.first]), (NAME, "AAAA", 60, [SITE6.first]))
    daemon.start({"job": named_policy(ground, NAME)})
    for connect in (True, False):
        questions = [[NAME, "A"], [NAME, "AAAA"]]
        both = asker.do("ask", server=site.resolver, questions=questions, sockets=sockets, connect=connect)
        four, six = both["answers"]
        assert data(four, "A") == [SITE4.first] and data(six, "AAAA") == [SITE6.first]
    assert job.tcp(SITE4.first, 443)["ok"] and job.tcp(SITE6.first, 443)["ok"]
    assert pinned(daemon, name=NAME) == {SITE4.first, SITE6.first}
