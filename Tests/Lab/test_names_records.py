"""What an answer may hold: types, chains, special addresses, false and broken answers, and the broker's memory of them."""

import time

from conftest import JOB
from daemon import rule
from names_checks import (
    Upstream, ask, code, data, eventually, left, named_policy, pinned, refused, resolve, wait_named,
)  # fmt: skip
from names_world import SITE4, SITE6, asker, daemon, names_world, site, world  # noqa: F401

NAME = "storage.lab.test"


def test_service_records_and_pointers(ground, daemon, world, asker, job, site):
    service = "_ssh._tcp.lab.test"
    world.set((service, "SRV", 60, [[1, 2, 443, NAME], [2, 2, 443, "spare.lab.test"]]), (NAME, site.type, 60, [site.first]),
              (site.reverse, "PTR", 60, [NAME]))  # fmt: skip
    daemon.start({"job": named_policy(ground, [service, NAME, site.reverse])})
    assert sorted(data(ask(asker, site, service, "SRV"), "SRV")) == [[1, 2, 443, NAME], [2, 2, 443, "spare.lab.test"]]
    assert data(ask(asker, site, site.reverse, "PTR"), "PTR") == [NAME]
    assert pinned(daemon, workload="job") == set(), "neither leads to an address by itself"
    assert code(ask(asker, site, "spare.lab.test")) == "REFUSED", "a target is a name like any other"
    resolve(asker, site, NAME)
    assert job.tcp(site.first, 443)["ok"]


def test_https_records_lose_their_ech(ground, daemon, world, asker, site):
    plain = {"alpn": ["h2", "h3"], "port": 443}
    world.set((NAME, "HTTPS", 60, [[1, "", {**plain, "ech": "0045fe0d"}]]),
              ("_x.lab.test", "SVCB", 60, [[1, NAME, {**plain, "ech": "0045fe0d"}]]),
              ("must.lab.test", "HTTPS", 60, [[1, "", {"mandatory": ["ech"], "ech": "0045fe0d"}], [2, "", plain]]),
              ("hints.lab.test", "HTTPS", 60, [[1, "", {"ipv4hint": ["10.0.0.1"], "ipv6hint": ["::1"]}]]))  # fmt: skip
    daemon.start({"job": named_policy(ground, [NAME, "_x.lab.test", "must.lab.test", "hints.lab.test"])})
    for _ in range(2):  # from upstream, and from the broker's memory
        for name, kind in ((NAME, "HTTPS"), ("_x.lab.test", "SVCB")):
            ((priority, _, parameters),) = data(ask(asker, site, name, kind), kind)
            assert priority == 1 and set(parameters) == {"alpn", "port"}, parameters
        kept = data(ask(asker, site, "must.lab.test", "HTTPS"), "HTTPS")
        assert [entry[0] for entry in kept] == [2], "a record whose ech is mandatory means nothing without it"
    assert code(ask(asker, site, "hints.lab.test", "HTTPS")) == "NOERROR"
    assert not {"10.0.0.1", "::1"} & pinned(daemon)


def test_the_pin_of_a_chain_belongs_to_the_name_that_was_asked(ground, daemon, world, asker, job, site):
    world.set((NAME, "CNAME", 60, ["edge.cdn.example"]), ("edge.cdn.example", "CNAME", 60, ["node.cdn.example"]),
              ("node.cdn.example", site.type, 60, [site.first]))  # fmt: skip
    daemon.start({"job": named_policy(ground, NAME)})
    told = ask(asker, site, NAME)
    assert [one["type"] for one in told["answers"]] == ["CNAME", "CNAME", site.type]
    assert data(told, site.type) == [site.first]
    assert job.tcp(site.first, 443)["ok"]
    assert pinned(daemon, name=NAME) == {site.first} and pinned(daemon, workload="job") == {site.first}
    assert pinned(daemon, name="node.cdn.example") == set()
    with ground.capture() as capture:
        assert code(ask(asker, site, "node.cdn.example")) == "REFUSED"
        assert left(capture, b"node") == []
    assert data(ask(asker, site, NAME, "CNAME"), "CNAME") in (["edge.cdn.example"], ["edge.cdn.example", "node.cdn.example"])


def test_chains_that_lead_nowhere(ground, daemon, world, asker, site):
    endless = [(f"c{number}.lab.test", "CNAME", 60, [f"c{number + 1}.lab.test"]) for number in range(60)]
    world.set(("loop.lab.test", "CNAME", 60, ["pool.lab.test"]), ("pool.lab.test", "CNAME", 60, ["loop.lab.test"]),
              ("self.lab.test", "CNAME", 60, ["self.lab.test"]), ("to-none.lab.test", "CNAME", 60, ["nobody.example"]),
              *endless, ("c60.lab.test", site.type, 60, [site.first]))  # fmt: skip
    daemon.start({"job": named_policy(ground, "*.lab.test")})
    for name in ("loop.lab.test", "self.lab.test", "c0.lab.test"):
        told = ask(asker, site, name, timeout=8)
        assert code(told) in ("SERVFAIL", "NOERROR") and told["ms"] < 5500, (name, told)
        assert data(told, site.type) == [] if code(told) == "NOERROR" else True
    assert code(ask(asker, site, "to-none.lab.test")) in ("NXDOMAIN", "NOERROR")
    assert resolve(asker, site, "c58.lab.test") == [site.first]


def test_special_addresses_are_taken_out_and_never_pinned(ground, daemon, world, asker, job, site):
    cases = {f"bad{number}.lab.test": address for number, address in enumerate(site.special)}
    world.set(*[(name, site.type, 60, [address]) for name, address in cases.items()],
              ("mixed.lab.test", site.type, 60, [site.special[0], site.first, site.special[2]]),
              ("chain.lab.test", "CNAME", 60, ["bad0.lab.test"]))  # fmt: skip
    daemon.start({"job": named_policy(ground, "*.lab.test", ["any"])})
    for name in [*cases, "chain.lab.test"]:
        told = ask(asker, site, name)
        assert code(told) == "NOERROR" and data(told, site.type) == [], (name, told)
        assert wait_named(daemon, name, verdict="deny", reason="special-address")["workload"] == "job"
    assert resolve(asker, site, "mixed.lab.test") == [site.first]
    assert pinned(daemon, workload="job") == {site.first}
    events = daemon.events(reason="special-address")
    assert all({"port", "transport"}.isdisjoint(event["destination"]) for event in events)
    assert all("special-purpose address (" in event["message"] for event in events)
    recorded = {event["destination"].get("address") for event in events}
    # A v4-mapped address is the IPv4 address that it means.
    mapped = {"::ffff:10.0.0.1": "10.0.0.1"}
    assert {mapped.get(address, address) for address in site.special} <= {mapped.get(one, one) for one in recorded}
    assert refused(job.tcp(site.family.storage, 443)), "a private address, as an answer gave it"
    assert job.tcp(site.first, 443)["ok"]


def test_a_name_that_turns_to_special_addresses(ground, daemon, world, asker, job, site):
    """Rebinding: good at first, then the metadata service."""
    world.set((NAME, site.type, 0, [site.first]))
    daemon.start({"job": named_policy(ground, NAME)})
    assert resolve(asker, site, NAME) == [site.first]
    for address in site.special:
        world.set((NAME, site.type, 0, [address]))
        assert resolve(asker, site, NAME) == [], address
    assert pinned(daemon, name=NAME) == {site.first}
    assert job.tcp(site.first, 443)["ok"]


def test_an_address_rule_lets_a_special_address_be_answered(ground, daemon, world, asker, job, site, family):
    world.set((NAME, site.type, 60, [family.storage]), ("meta.lab.test", site.type, 60, [family.metadata]))
    by_address = rule("by-address", family.storage_prefix, [443])
    daemon.start({"job": named_policy(ground, [NAME, "meta.lab.test"], more=[by_address])})
    assert resolve(asker, site, NAME) == [family.storage]
    assert job.tcp(family.storage, 443)["ok"]
    assert resolve(asker, site, "meta.lab.test") == []
    assert refused(job.tcp(family.metadata, 443))


def test_false_and_broken_answers_are_not_believed(ground, daemon, world, asker, job, site):
    names = {
        "spoof.lab.test": {"do": "spoof", "poison": site.unknown, "type": site.type, "transport": "udp"},
        "lower.lab.test": {"do": "wrong-case", "transport": "udp"},
        "garbage.lab.test": {"do": "garbage", "bytes": "00" * 40, "times": 1},
        "short.lab.test": {"do": "garbage", "bytes": "4944818000010001", "times": 1},  # the right id, then nothing
        "loop.lab.test": {"do": "garbage", "bytes": "4944818000010001000000000000c00c00010001c00c", "times": 1},
        "cut.lab.test": {"do": "truncate"},
        "slow.lab.test": {"do": "drop", "times": 1},
        "failing.lab.test": {"do": "rcode", "code": "SERVFAIL", "times": 1},
        "old.lab.test": {"do": "rcode", "code": "FORMERR", "times": 1},
    }  # fmt: skip
    world.set(*[(name, site.type, 60, [site.first]) for name in names])
    for name, behaviour in names.items():
        world.behave(name, **behaviour)
    daemon.start({"job": named_policy(ground, list(names))})
    questions = [[name, site.type] for name in names]
    answers = asker.do("ask", server=site.resolver, questions=questions, sockets="each", timeout=8)["answers"]
    for told, (name, behaviour) in zip(answers, names.items()):
        good = {"SERVFAIL", "NOERROR"} if behaviour["do"] in ("rcode", "garbage") else {"NOERROR"}
        assert code(told) in good and told["ms"] < 5500, (name, told)
        if code(told) == "NOERROR":
            assert data(told, site.type) == [site.first], name
        if behaviour["do"] != "spoof":
            # What failed once works when it is asked again.
            eventually(lambda name=name: code(ask(asker, site, name)) == "NOERROR", 15, name)
    assert {query["transport"] for query in world.queries(name="cut.lab.test")} == {"udp", "tcp"}
    assert site.unknown not in pinned(daemon) and refused(job.tcp(site.unknown, 443))
    assert job.tcp(site.first, 443)["ok"]


def test_records_that_nobody_asked_for_are_dropped(ground, daemon, world, asker, job, site):
    world.set((NAME, site.type, 60, [site.first]))
    more = [["victim.lab.test", site.type, 600, site.unknown], ["lab.test", "NS", 600, "ns.evil.example"],
            [NAME, "TXT", 600, ["extra"]]]  # fmt: skip
    world.behave(NAME, "extra", records=more)
    world.set(("victim.lab.test", site.type, 60, [site.second]))
    daemon.start({"job": named_policy(ground, [NAME, "victim.lab.test"])})
    told = ask(asker, site, NAME)
    assert [(one["type"], one["data"]) for one in told["answers"]] == [(site.type, site.first)]
    assert site.unknown not in pinned(daemon) and refused(job.tcp(site.unknown, 443))
    assert resolve(asker, site, "victim.lab.test") == [site.second], "the extra record was remembered"


def test_a_query_is_hard_to_guess(ground, daemon, world, asker, site):
    names = world.bulk(site, 24)
    daemon.start({"job": named_policy(ground, "*.pool.lab.test")})
    for name in names:
        assert resolve(asker, site, name, edns=None)
    seen = [query for query in world.queries() if query["name"] in names]
    assert len({query["id"] for query in seen}) > 20 and len({query["peer"][1] for query in seen}) > 20
    assert any(query["spelled"] != query["name"] for query in seen), "0x20: the spelling is part of the secret"
    assert {query["edns"] for query in seen} == {1232}
    assert {query["questions"] for query in seen} == {1}


def test_answers_are_remembered_as_long_as_they_say(ground, daemon, world, asker, site):
    """With a wildcard, so that nothing is asked ahead."""
    world.set(("long.lab.test", site.type, 300, [site.first]), ("short.lab.test", site.type, 1, [site.first]),
              ("never.lab.test", site.type, 0, [site.first]))  # fmt: skip
    daemon.start({"job": named_policy(ground, "*.lab.test")})
    with ground.capture() as capture:
        upstream = Upstream(capture, asker, site)
        for name in ("long.lab.test", "short.lab.test", "never.lab.test"):
            told, was_asked = upstream.ask(name)
            assert data(told, site.type) == [site.first] and was_asked, name
        time.sleep(1.2)
        for transport in ("udp", "tcp"):
            told, was_asked = upstream.ask("LONG.lab.test", transport=transport)
            assert 60 < told["answers"][0]["ttl"] < 300 and not was_asked, "counted down"
            assert told["questions"][0][0] == "LONG.lab.test"
        world.set(*[(name, site.type, 0, [site.second]) for name in ("short.lab.test", "never.lab.test")])
        for name in ("short.lab.test", "never.lab.test"):
            told, was_asked = upstream.ask(name)
            assert data(told, site.type) == [site.second] and was_asked, name


def test_one_upstream_query_for_the_same_question_in_flight(ground, daemon, world, asker, site):
    world.set((NAME, site.type, 0, [site.first]))
    late = 0.25
    world.behave(NAME, "delay", seconds=late)
    daemon.start({"job": named_policy(ground, "*.lab.test"),
                  "neighbour": named_policy(ground, "*.lab.test", cgroup="training.slice/neighbour.service")})  # fmt: skip
    neighbour = world.asker("training.slice/neighbour.service", nameservers=[site.resolver])
    with ground.capture() as capture:
        waiting = [one.begin("ask", server=site.resolver, questions=[[NAME, site.type]] * 8, sockets="each")
                   for one in (asker, neighbour)]  # fmt: skip
        for each in waiting:
            assert [data(told, site.type) for told in each.wait()["answers"]] == [[site.first]] * 8
        sent = [one.at for one in left(capture, b"storage")]
    # One program may come after the other's answer, and what is late is asked again: no sooner than an answer can come.
    assert sent and all(then - now >= late for now, then in zip(sent, sent[1:])), sent


def test_that_there_is_nothing_is_remembered_too(ground, daemon, world, asker, site):
    codes = {"name": "NXDOMAIN", "data": "NOERROR"}
    world.set(*[(f"{time_}-data.lab.test", "TXT", 60, [["x"]]) for time_ in ("long", "short")])
    daemon.start({"job": named_policy(ground, "*.lab.test")})
    with ground.capture() as capture:
        upstream = Upstream(capture, asker, site)

        def absent(name, wanted):
            told, was_asked = upstream.ask(name)
            assert code(told) == wanted and told["answers"] == []
            assert told["authorities"] and told["authorities"][0]["type"] == "SOA"
            return was_asked

        world.tell("negative", ttl=60)
        was_asked = [absent(f"long-{what}.lab.test", wanted) for what, wanted in [*codes.items()] * 3]
        assert was_asked == [True] * 2 + [False] * 4
        world.tell("negative", ttl=1)
        assert all(absent(f"short-{what}.lab.test", wanted) for what, wanted in codes.items())
        names = [f"{time_}-{what}.lab.test" for time_ in ("long", "short") for what in codes]
        world.set(*[(name, site.type, 60, [site.first]) for name in names])
        for what in codes:
            name = f"short-{what}.lab.test"
            eventually(lambda name=name: data(ask(asker, site, name), site.type) == [site.first], 15, "its time is up")
        assert not any(absent(f"long-{what}.lab.test", wanted) for what, wanted in codes.items())


def test_both_families_of_one_name_in_one_map_each(ground, daemon, world, site):
    """An IPv4 answer over an IPv6 server and the other way round."""
    world.set((NAME, "A", 60, [SITE4.first]), (NAME, "AAAA", 60, [SITE6.first]))
    daemon.start({"job": named_policy(ground, NAME)})
    other = SITE6 if site is SITE4 else SITE4
    asker, job = world.asker(JOB, nameservers=[site.resolver]), ground.agent(JOB, uid=1001)
    assert data(ask(asker, site, NAME, other.type, server=site.resolver), other.type) == [other.first]
    assert job.tcp(other.first, 443)["ok"] and refused(job.tcp(site.first, 443))


def test_names_below_a_wildcard_are_budgeted(ground, daemon, world, asker, site):
    names = world.bulk(site, 12, domain="tunnel.lab.test")
    world.set((NAME, site.type, 60, [site.first]))
    daemon.configure(dns={"upstream": [site.upstream], "budget": 10})
    daemon.start({"job": named_policy(ground, ["*.tunnel.lab.test", NAME])})
    with ground.capture() as capture:
        assert [code(ask(asker, site, name)) for name in names] == ["NOERROR"] * 10 + ["REFUSED"] * 2
        assert [code(ask(asker, site, name)) for name in [names[0], NAME]] == ["NOERROR"] * 2
    assert not left(capture, names[11].split(".")[0].encode() + b"\x06tunnel"), "it was sent all the same"
    event = wait_named(daemon, names[11], verdict="deny")
    assert (event["reason"], event["finding"]) == ("limit", "dns-tunnel"), event
