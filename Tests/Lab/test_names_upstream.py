"""The broker's own servers: dead, slow, back again, changed; and one workload's many questions beside another's one."""

import statistics
import time

from conftest import JOB
from daemon import rule
from names_checks import ask, code, eventually, named_policy, refused, resolve
from names_world import asker, daemon, names_world, site, world  # noqa: F401

NAME = "storage.lab.test"
NEIGHBOUR = "training.slice/neighbour.service"


def test_the_upstream_dies_and_comes_back(ground, daemon, world, asker, job, site, family):
    world.set((NAME, site.type, 300, [site.first]), ("*.late.lab.test", site.type, 300, [site.second]))
    by_address = rule("by-address", family.storage_prefix, [443])
    daemon.start({"job": named_policy(ground, [NAME, "*.late.lab.test"], more=[by_address])})
    resolve(asker, site, NAME)
    for round_, silent in enumerate((False, True)):
        if silent:
            world.behave("*.late.lab.test", "drop")
        else:
            world.stop()
        dead = [
            one.begin("ask", server=site.resolver, timeout=8, transport=transport,
                      questions=[[f"dead{round_}-{transport}.late.lab.test", site.type]])
            for one, transport in ((asker, "udp"), (world.asker(JOB, nameservers=[site.resolver]), "tcp"))
        ]  # fmt: skip
        for one in dead:
            (told,) = one.wait()["answers"]
            assert code(told) == "SERVFAIL" and told["ms"] < 5000, told
        assert job.tcp(site.first, 443)["ok"], "pinned"
        assert job.tcp(family.storage, 443)["ok"], "allowed by address"
        assert resolve(asker, site, NAME) == [site.first], "remembered"
        assert code(ask(asker, site, "evil.example")) == "REFUSED"
        meanwhile = [[f"meanwhile{round_}.late.lab.test", site.type]]
        waiting = asker.begin("ask", server=site.resolver, timeout=8, questions=meanwhile)
        time.sleep(0.3)
        if silent:
            world.behave_well()
        else:
            world.start()
        back = time.monotonic()
        (told,) = waiting.wait()["answers"]
        assert code(told) in (("NOERROR",) if silent else ("NOERROR", "SERVFAIL")), told
        numbers, failed = iter(range(1000)), [back]

        def works(round_=round_, numbers=numbers, failed=failed):
            told = ask(asker, site, f"back{round_}{next(numbers)}.late.lab.test", timeout=1)
            return code(told) == "NOERROR" or failed.append(told["sent"])

        eventually(works, 15)
        assert failed[-1] - back < 1, "names work within a second of its return"
    assert job.tcp(site.second, 443)["ok"]


def test_another_upstream_takes_over(ground, daemon, world, asker, site):
    world.set(("*.lab.test", site.type, 0, [site.first]))
    daemon.configure(dns={"upstream": [site.upstream, site.spare]})
    world.stop(site.upstream)
    daemon.start({"job": named_policy(ground, "*.lab.test")})
    assert resolve(asker, site, "a.lab.test", timeout=8) == [site.first]
    told = [ask(asker, site, f"b{number}.lab.test", timeout=8) for number in range(8)]
    assert [code(one) for one in told] == ["NOERROR"] * 8
    assert statistics.median(one["ms"] for one in told) < 500, "the dead one is not asked first each time"
    assert {query["server"] for query in world.queries()} == {site.spare}
    world.start(site.upstream)
    world.stop(site.spare)
    assert resolve(asker, site, "c.lab.test", timeout=8) == [site.first]
    # One that answers but fails is passed over, too.
    world.start(site.spare)
    world.behave("*.lab.test", "rcode", code="SERVFAIL", server=site.upstream)
    assert resolve(asker, site, "d.lab.test", timeout=8) == [site.first]
    world.behave("*.lab.test", "rcode", code="REFUSED", server=site.upstream)
    assert resolve(asker, site, "e.lab.test", timeout=8) == [site.first]


def test_resolv_conf_names_the_upstreams_and_is_watched(ground, daemon, world, asker, site):
    world.set(("*.lab.test", site.type, 0, [site.first]))
    place = world.place([site.spare])
    daemon.configure(dns=None)
    daemon.write({"job": named_policy(ground, "*.lab.test")})
    daemon.launch(*world.private_etc(place))
    daemon.wait_ready()
    assert resolve(asker, site, "a.lab.test") == [site.first]
    eventually(lambda: {query["server"] for query in world.queries()} == {site.spare}, 15, "what the server says of it")
    (place / "resolv.conf").write_text(f"# another\nnameserver {site.upstream}\n")

    def moved():
        world.forget()
        resolve(asker, site, "b.lab.test")
        return {query["server"] for query in world.queries()} == {site.upstream}

    eventually(moved, 15, "the new file is in force")


def test_many_names_of_one_workload_do_not_slow_another(ground, daemon, world, asker, site):
    """1,000 names at once by `job`, while `neighbour` asks for one that is never remembered."""
    world.set(("*.many.lab.test", site.type, 60, [site.first]), ("one.lab.test", site.type, 0, [site.second]))
    # The upstream takes its time, so that the names wait in the broker and not for this machine's processors.
    world.behave("*.many.lab.test", "delay", seconds=0.08)
    daemon.start({"job": named_policy(ground, "*.many.lab.test"),
                  "neighbour": named_policy(ground, "one.lab.test", cgroup=NEIGHBOUR)})  # fmt: skip
    neighbour = world.asker(NEIGHBOUR, nameservers=[site.resolver])
    # Both cgroups are known then: datagrams that come while the kernel asks for a new one's identity may be lost.
    resolve(asker, site, "first.many.lab.test")
    # From the world itself: all that these names cost this machine but for the broker.
    outsider = world.asker(None, namespace=world.lab.world_ns)
    alone, beside = [], []
    for round_ in range(3):
        for one, times in ((outsider, alone), (asker, beside)):
            names = [f"n{number}.r{round_}.many.lab.test" for number in range(1000)]
            busy = one.begin("burst", names=names, type=site.type, server=site.resolver, timeout=30)
            while not busy.done:
                times += measured(neighbour, site, seconds=0.1)
            assert busy.wait()["outcomes"] == {"NOERROR": 1000}
    assert len(beside) > 50 and len(alone) > 20
    ratio = statistics.median(beside) / statistics.median(alone)
    assert ratio < 2, f"{statistics.median(alone):.2f} ms alone, {statistics.median(beside):.2f} ms beside"
    # More at once than may wait: refused or answered, and the other still is.
    world.behave("*.many.lab.test", "drop")
    names = [f"x{number}.many.lab.test" for number in range(3000)]
    busy = asker.begin("burst", names=names, server=site.resolver, timeout=3)
    time.sleep(0.2)
    assert statistics.median(measured(neighbour, site, seconds=0.4)) < 500
    assert "NOERROR" not in busy.wait()["outcomes"]


def measured(neighbour, site, seconds):
    told = neighbour.do("rounds", name="one.lab.test", type=site.type, server=site.resolver, seconds=seconds)
    assert set(told["outcomes"]) == {"NOERROR"}, told["outcomes"]
    return told["ms"]


def test_a_silent_client_and_half_a_message_over_tcp(ground, daemon, world, asker, site):
    """Connections that say nothing, or half of it, take nobody's place for good."""
    world.set(("*.lab.test", site.type, 60, [site.first]))
    daemon.start({"job": named_policy(ground, "*.lab.test"),
                  "neighbour": named_policy(ground, "*.lab.test", cgroup=NEIGHBOUR)})  # fmt: skip
    job, neighbour = ground.agent(JOB, uid=1001), world.asker(NEIGHBOUR, nameservers=[site.resolver])
    for _ in range(200):
        job.tcp(site.resolver, 53, keep=True, greet=False, timeout=1)
    for half in ("00", "0040aaaa", "0000", "ffff" + "00" * 100):
        asker.do("raw", server=site.resolver, transport="tcp", messages=[], bytes=half, wait=1, timeout=0.2)
    for transport in ("udp", "tcp"):
        assert resolve(neighbour, site, f"{transport}.lab.test", transport=transport) == [site.first]
    assert refused(job.tcp(site.unknown, 443))
