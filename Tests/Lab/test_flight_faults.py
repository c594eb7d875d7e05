"""First flights that do not come, and what happens around those that are held."""

import os
import statistics
import time

import pytest
from flight_checks import GONE, flight_policy, flight_rule, gone, nothing_left, payloads, pin, wrong_name
from flight_world import (
    MORE_PORTS, NAME, NEIGHBOUR, QUIET, SSH, client, daemon, flight_servers, flights, names_world, site, world,
)  # fmt: skip
from names_checks import eventually
from probes import flight_wire as wire

OTHER, WATCHED = "training.slice/neighbour.service", "training.slice/watched.service"
PORTS = [443, f"{MORE_PORTS[0]}-{MORE_PORTS[-1]}"]


@pytest.fixture
def policies(ground):
    """Two workloads with the same rules, and one that may do anything."""
    # A third one is only observed.
    watched = flight_policy(ground, cgroup=WATCHED, unknown="observe")
    rules = [flight_rule([NAME, QUIET], PORTS), flight_rule([SSH], [2200], "ssh", "shell")]
    return {"watched": watched, "job": flight_policy(ground, *rules), "neighbour": flight_policy(ground, *rules, cgroup=OTHER)}


def hold(flights, agent, address, data, port=443):
    """Says the beginning of a first flight, which is held then."""
    answer = flights.speak(agent, address, data, port=port, read=False, keep=True)
    assert answer["ok"], answer
    return answer


def finish(agent, answer, data, timeout=3):
    """Says the rest, and gives what comes of it."""
    said = agent.do("write", handle=answer["handle"], data=data.hex())
    return agent.do("read", handle=answer["handle"], timeout=timeout) if said["ok"] else said


def measured(flights, agent, site, count=50):
    told = agent.do("repeat", to=[flights.web(site), 443], chunks=[wire.hello().hex()], count=count)
    assert len(told["took"]) == count, told["failed"]
    return told["took"]


def lives(capture, address):
    """How long each connection to an address stood, as the wire has it: from the first SYN to a FIN or reset."""
    begun, ended = {}, {}
    for one in capture.find(protocol=6, destination=address):
        at = one.source_port, one.destination_port
        if "S" in one.flags:
            begun.setdefault(at, one.at)
        elif set("FR") & set(one.flags):
            ended.setdefault(at, one.at)
    return {at: ended[at] - start for at, start in begun.items() if at in ended}


def test_many_that_say_nothing_do_not_slow_another_workload(daemon, policies, flights, client, site):
    """With and without them in turns, so that what else this machine does is beside both."""
    daemon.start(policies)
    neighbour, at = flights.client(site, OTHER), [flights.quiet(site), 443]
    for agent in (client, neighbour):
        pin(agent, NAME, QUIET)
    measured(flights, neighbour, site)
    alone, beside = [], []
    for _ in range(3):
        alone += measured(flights, neighbour, site)
        flights.servers.clear()
        crowd = flights.client(site)
        crowd.begin("silent", to=at, count=1000, within=60)
        eventually(lambda: len(flights.servers.find(event="accept", local=at)) == 1000, 30, "all of them")
        beside += measured(flights, neighbour, site)
        crowd.close()
        eventually(lambda: len(flights.servers.find(event="eof", local=at)) == 1000, 30, "the end of all of them")
    alone, beside = statistics.median(alone), statistics.median(beside)
    assert beside <= 2 * alone, f"{alone:.2f} ms alone, {beside:.2f} ms beside"


def test_a_thousand_that_say_nothing(daemon, policies, flights, client, site):
    """Closed after ten seconds, with an event."""
    daemon.start(policies)
    half = flights.client(site)
    pin(client, NAME, QUIET, SSH)
    with flights.lab.capture() as capture:
        silent = client.begin("silent", to=[flights.quiet(site), 443], count=1000, within=30)
        piece = hold(flights, half, flights.quiet(site), wire.hello(QUIET)[:100], MORE_PORTS[0])
        shell = hold(flights, half, flights.ssh(site), b"SSH-2.0-unfinish", 2200)
        at = [flights.quiet(site), 443]
        eventually(lambda: len(flights.servers.find(event="accept", local=at)) == 1000, 30, "all of them")
        watched, slow = flights.client(site, WATCHED), flights.client(site)
        free = hold(flights, watched, flights.quiet(site), b"", MORE_PORTS[1])
        free_too = hold(flights, watched, flights.quiet(site), b"\x16", MORE_PORTS[2])
        # More segments than an ordinary socket sends without an answer.
        pieces = [piece.hex() for piece in wire.chopped(wire.hello(NEIGHBOUR), 1)]
        slowly = slow.begin("speak", to=[flights.quiet(site), MORE_PORTS[3]], chunks=pieces, pause=0.0005, timeout=30)
        for one in (piece, shell):
            ended = half.do("read", handle=one["handle"], timeout=30)
            assert ended["error"] in GONE, ended
        assert slowly.wait(40)["error"] in (*GONE, "EPIPE")
        told = silent.wait(40)
        assert set(told["outcomes"]) <= set(GONE) and sum(told["outcomes"].values()) == 1000, told
        flights.servers.wait_closed(piece["source"][1], 15)
        # The kernel gives one port to connections to different ones.
        observed = {(free["source"][1], MORE_PORTS[1]), (free_too["source"][1], MORE_PORTS[2])}
        stood = {}

        def told_all():
            stood.update(lives(capture, flights.quiet(site)) | lives(capture, flights.ssh(site)))
            return len(stood) >= 1003

        eventually(told_all, 15, "every peer is told")
        assert not observed & stood.keys(), "what is observed"
        times = sorted(stood.values())
        # To cut a thousand at once takes a moment; the clock of each has run out after ten seconds.
        assert 9.9 < times[0] and times[500] < 11.5 and times[-1] < 13, (times[0], times[500], times[-1])
        left = [one for one in payloads(capture, flights.quiet(site)) if one.destination_port != MORE_PORTS[2]]
        assert left == [] and payloads(capture, flights.ssh(site)) == []
    # What is observed may be silent as long as it likes.
    for one, port in ((free, MORE_PORTS[1]), (free_too, MORE_PORTS[2])):
        assert watched.do("write", handle=one["handle"], data=wire.STREAMS["ssh"].hex())["ok"]
        at = [flights.quiet(site), port]
        eventually(lambda at=at: any(wire.MARK.hex() in fact["data"] for fact in flights.arrived(local=at)))
    assert daemon.events(workload="watched", verdict="deny") == []
    for address, port in ((flights.quiet(site), 443), (flights.quiet(site), MORE_PORTS[0]), (flights.ssh(site), 2200)):
        event = daemon.wait_event(to=address, port=port, verdict="deny", reason="wrong-protocol")
        assert "first flight" in event["message"], event
    assert wire.is_server_hello(flights.speak(client, flights.web(site), wire.hello())["reply"]), "afterwards it may again"


def test_the_daemon_is_killed_while_flights_are_held(daemon, policies, flights, client, site):
    daemon.start(policies)
    pin(client, NAME, QUIET)
    quiet, web = flights.quiet(site), flights.web(site)
    right, wrong = wire.hello(QUIET), wire.hello(NEIGHBOUR)
    with flights.lab.capture() as capture:
        kept = [hold(flights, client, quiet, wrong[:200], port) for port in MORE_PORTS]
        good = hold(flights, client, quiet, right[:200])
        daemon.ctl("log", "--limit", "1")  # whoever reads the record comes behind what was to be written
        daemon.kill()
        # Whole now, while nobody judges; the kernel sends it again and again.
        client.do("write", handle=kept[0]["handle"], data=wrong[200:].hex())
        waiting = client.begin("speak", to=[quiet, MORE_PORTS[1]], chunks=[wrong.hex()], timeout=2)
        time.sleep(1)
        assert payloads(capture, quiet) == []
        daemon.start()
        for one in kept[1:]:
            assert not finish(client, one, wrong[200:], timeout=0.02)["ok"]
        assert not waiting.wait()["ok"]
        time.sleep(1)
        forged = [one for one in payloads(capture, quiet) if one.destination_port != 443]
        assert forged == [] and [one for one in flights.arrived() if one["local"][1] != 443] == []
        # The right one is judged when the rest of it comes, which TCP may not send for long; half of it never leaves.
        finish(client, good, right[200:], timeout=1)
        assert len(b"".join(one.payload for one in payloads(capture, quiet, 443))) in (0, len(right))
        assert wire.is_server_hello(flights.speak(client, web, wire.hello())["reply"])
        assert gone(flights.speak(client, quiet, wrong))
        nothing_left_but(flights, capture, quiet, right)
    wrong_name(daemon, quiet, QUIET, NEIGHBOUR)


def test_first_flights_that_come_while_no_daemon_runs(daemon, policies, flights, client, site):
    """Connections that an earlier daemon let begin: what they say first waits, and is judged by the next."""
    daemon.managed().start(policies)
    pin(client, NAME, QUIET)
    quiet = flights.quiet(site)
    right, wrong = wire.hello(QUIET), wire.hello(NEIGHBOUR)
    with flights.lab.capture() as capture:
        good, bad = hold(flights, client, quiet, b""), hold(flights, client, quiet, b"", MORE_PORTS[0])
        daemon.ctl("log", "--limit", "1")  # whoever reads the record comes behind what was to be written
        daemon.kill()
        for one, data in ((good, right), (bad, wrong)):
            assert client.do("write", handle=one["handle"], data=data.hex())["ok"]
        assert payloads(capture, quiet) == []
        daemon.start()
        eventually(lambda: b"".join(one.payload for one in payloads(capture, quiet, 443)) == right)
        answer = client.do("read", handle=bad["handle"], timeout=15)
        assert not answer["ok"] and answer["error"] in GONE, answer
        assert payloads(capture, quiet, MORE_PORTS[0]) == []
    wrong_name(daemon, quiet, QUIET, NEIGHBOUR, MORE_PORTS[0])


def test_first_flights_that_others_translate(ground, daemon, policies, flights, client, site):
    """As above, to a service's address, which somebody else's table makes another."""
    daemon.managed().start(policies)
    pin(client, NAME, QUIET)
    quiet, service, right = flights.quiet(site), flights.ssh(site), wire.hello(QUIET)
    name, there = ("ip", f"{quiet}:443") if site.type == "A" else ("ip6", f"[{quiet}]:443")
    ground.host.nft(
        f"table {name} services {{\nchain out {{\ntype nat hook output priority -100;\n"
        f"{name} daddr {service} tcp dport 9443 dnat to {there}\n}}\n}}\n"
    )
    with flights.lab.capture() as capture:
        good = hold(flights, client, service, b"", 9443)
        time.sleep(0.2)  # pins are on the disk a moment after they are in force
        daemon.kill()
        assert client.do("write", handle=good["handle"], data=right.hex())["ok"]
        daemon.start()
        eventually(lambda: b"".join(one.payload for one in payloads(capture, quiet, 443)) == right, 5)


def nothing_left_but(flights, capture, address, data):
    """Of all payloads at 443 only these bytes."""
    assert all(one.payload in data for one in payloads(capture, address, 443))
    assert all(bytes.fromhex(one["data"]) in data for one in flights.arrived(local=[address, 443]))


def test_a_policy_is_loaded_while_flights_are_held(ground, daemon, policies, flights, client, site):
    """The policy that is in force when the last byte comes decides."""
    daemon.start(policies)
    pin(client, NAME, QUIET)
    quiet, right = flights.quiet(site), wire.hello(QUIET)
    first, second = (hold(flights, client, quiet, right[:200]) for _ in range(2))
    daemon.reload(policies)
    assert client.do("write", handle=first["handle"], data=right[200:].hex())["ok"]
    flights.servers.wait(event="data", local=[quiet, 443])
    with flights.lab.capture() as capture:
        daemon.reload({**policies, "job": flight_policy(ground, flight_rule([NAME]))})
        flights.servers.clear()
        ended = finish(client, second, right[200:])
        assert not ended["ok"] and ended["error"] in (*GONE, "EPIPE"), ended
        nothing_left(flights, capture, quiet)


def test_the_connection_table_is_emptied_while_flights_are_held(ground, daemon, policies, flights, client, site):
    daemon.start(policies)
    pin(client, QUIET)
    quiet = flights.quiet(site)
    with flights.lab.capture() as capture:
        kept = [hold(flights, client, quiet, wire.hello(NEIGHBOUR)[:size]) for size in (1, 100, 200)]
        ground.host.command("conntrack", "-F")
        for one in kept:
            finish(client, one, wire.hello(NEIGHBOUR)[100:], timeout=0.5)
        time.sleep(0.5)
        nothing_left(flights, capture, quiet)


def test_the_program_dies_while_its_flight_is_held(daemon, policies, flights, client, site):
    """The kernel would go on sending what a dead program has said."""
    daemon.start(policies)
    pin(client, QUIET)
    quiet = flights.quiet(site)
    doomed = flights.client(site)
    with flights.lab.capture() as capture:
        for size in (1, 200):
            hold(flights, doomed, quiet, wire.hello(NEIGHBOUR)[:size])
        os.kill(doomed.pid, 9)
        time.sleep(1.5)
        nothing_left(flights, capture, quiet)
    assert flights.speak(client, quiet, wire.hello(QUIET), read=False)["ok"]
    flights.servers.wait(event="data", local=[quiet, 443])


def test_an_end_without_a_word(daemon, policies, flights, client, site):
    """A port scan, a health check: the peer learns at once, and nobody waits for a first flight."""
    daemon.start(policies)
    pin(client, QUIET)
    quiet = flights.quiet(site)
    for _ in range(20):
        answer = flights.speak(client, quiet, read=False)
        assert answer["ok"], answer
        flights.servers.wait_closed(answer["source"][1], 15)
    assert flights.arrived() == []
    assert flights.speak(client, quiet, wire.hello(QUIET), read=False)["ok"]
    flights.servers.wait(event="data", local=[quiet, 443])


def test_more_held_than_a_workload_may(daemon, policies, flights, client, site):
    """The rest is denied; another workload has its own."""
    daemon.start(policies)
    neighbour = flights.client(site, OTHER)
    for agent in (client, neighbour):
        pin(agent, NAME, QUIET)
    quiet = flights.quiet(site)
    with flights.lab.capture() as capture:
        kept = [hold(flights, client, quiet, wire.hello(NEIGHBOUR)[:200]) for _ in range(150)]
        assert wire.is_server_hello(flights.speak(neighbour, flights.web(site), wire.hello())["reply"])
        for one in kept:
            assert not finish(client, one, wire.hello(NEIGHBOUR)[200:], timeout=0.02)["ok"]
        nothing_left(flights, capture, quiet)
    assert wire.is_server_hello(flights.speak(client, flights.web(site), wire.hello())["reply"])
