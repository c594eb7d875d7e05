"""However the first bytes are cut, ordered, repeated or hidden in the SYN: the same verdict, and nothing leaves unjudged."""

import contextlib
import random

import pytest
from conftest import SEED
from families import IPV4, IPV6
from flight_checks import (
    allowed_event, flight_event, flight_policy, flight_rule, gone, nothing_left, payloads, pin, tls_clients, wrong_name,
)  # fmt: skip
from flight_world import (
    MORE_PORTS, NAME, NEIGHBOUR, QUIET, client, daemon, flight_servers, flights, names_world, site, split_anyhow, world,
)  # fmt: skip
from names_checks import eventually
from probes import flight_wire as wire

# As long as the right one, so that one can stand in the other's place.
FORGED = "wrong.lab.test"


@pytest.fixture
def opened(ground, daemon, flights, client):
    """`NAME` and QUIET are allowed at 443 and at `MORE_PORTS`, and pinned."""
    ports = [443, f"{MORE_PORTS[0]}-{MORE_PORTS[-1]}"]
    daemon.start({"job": flight_policy(ground, flight_rule([NAME, QUIET], ports))})
    pin(client, NAME, QUIET)
    return daemon


def script_of(data, edges):
    """Segments from one edge to the next."""
    return [{"at": start, "data": data[start:end].hex()} for start, end in zip(edges, edges[1:])]


def even(data, size):
    return [*range(0, len(data), size), len(data)]


def scripts(data, seed):
    """Orders and repetitions that say the same."""
    parts = script_of(data, even(data, 64))
    cuts = sorted(seed.sample(range(1, len(data)), 12))
    shuffled = script_of(data, [0, *cuts, len(data)])
    seed.shuffle(shuffled)
    return {
        "one": script_of(data, [0, len(data)]), "in order": parts, "last first": parts[::-1], "shuffled": shuffled,
        "every one twice": [one for part in parts[:10] for one in (part, part)],
        "overlapping": [{"at": at, "data": data[at : at + 150].hex()} for at in range(0, len(data), 100)],
        "a byte before the rest": script_of(data, [0, 1, len(data)]), "all but the last, again": parts[:-1] + parts[:2],
    }  # fmt: skip


def test_segments_in_every_order(opened, flights, site, family):
    segments, seed = flights.segments(), random.Random(SEED)
    web, quiet = flights.web(site), flights.quiet(site)
    for number, (label, script) in enumerate(scripts(hello := wire.hello(), seed).items()):
        keys = [{}, {"extended": True}, {"start": 0xFFFFFF80}][number % 3]
        answer = segments.do("speak", source=family.host, to=[web, 443], truth=hello.hex(), script=script, **keys)
        assert answer["ok"] and wire.is_server_hello(bytes.fromhex(answer["reply"])), (label, keys, answer)
    assert opened.events(workload="job", verdict="deny") == []
    with flights.lab.capture() as capture:
        for number, (label, script) in enumerate(scripts(hello := wire.hello(NEIGHBOUR), seed).items()):
            keys = [{}, {"extended": True}, {"start": 0xFFFFFF80}][number % 3]
            at = {"source": family.host, "to": [quiet, 443], **keys}
            answer = segments.do("speak", truth=hello.hex(), script=script, within=0.4, **at)
            assert not answer["ok"] and answer.get("acknowledged", 0) == 0, (label, keys, answer)
        nothing_left(flights, capture, quiet)
    wrong_name(opened, quiet, QUIET, NEIGHBOUR)


def test_other_bytes_in_the_same_place(opened, flights, site, family):
    """Sent again with other bytes, before all of it is there: denied, whichever form is the right one."""
    segments, quiet = flights.segments(), flights.quiet(site)
    message = wire.hello_message(QUIET)
    right, forged = wire.records(message), wire.records(message.replace(QUIET.encode(), FORGED.encode()))
    at, end = next(place for place in range(len(right)) if right[place] != forged[place]), len(right)
    tricks = {
        "the forged one last": (script_of(right, [0, end - 5]) + script_of(forged, [0, end]), forged),
        "the right one last": (script_of(forged, [0, end - 5]) + script_of(right, [0, end]), right),
        "one byte": (script_of(right, [0, end - 5]) + [{"at": at, "data": forged[at : at + 1].hex()}], right),
        "ahead of a gap": ([{"at": 20, "data": forged[20:].hex()}, {"at": 20, "data": right[20:].hex()}], right),
        "urgent": ([{"at": 0, "data": right[:60].hex(), "urgent": 30}], right),
    }  # fmt: skip
    with flights.lab.capture() as capture:
        for port, (label, (script, truth)) in zip(MORE_PORTS, tricks.items()):
            answer = segments.do("speak", source=family.host, to=[quiet, port], truth=truth.hex(), script=script, within=0.4)
            assert not answer["ok"] and answer.get("acknowledged", 0) == 0, (label, answer)
            nothing_left(flights, capture, quiet, port)
            assert flight_event(opened, quiet, port, verdict="deny"), label


def test_one_byte_a_segment(opened, flights, site, family):
    """More segments than are held: allowed whole or denied, never half."""
    segments, web, quiet = flights.segments(), flights.web(site), flights.quiet(site)
    script = script_of(hello := wire.hello(), even(hello, 1))
    told = segments.do("speak", source=family.host, to=[web, 443], truth=hello.hex(), script=script, within=1)
    assert not told["ok"] or wire.is_server_hello(bytes.fromhex(told["reply"])), told
    few = script_of(hello, [*range(0, 28), len(hello)])
    told = segments.do("speak", source=family.host, to=[web, 443], truth=hello.hex(), script=few)
    assert told["ok"], "29 segments are within the bound"
    with flights.lab.capture() as capture:
        wrong = wire.hello(NEIGHBOUR)
        script = script_of(wrong, even(wrong, 1))
        segments.do("speak", source=family.host, to=[quiet, 443], truth=wrong.hex(), script=script, within=0.5)
        nothing_left(flights, capture, quiet)


def test_writes_cut_anywhere(opened, flights, client, site):
    """Of an ordinary socket; the seed is printed."""
    seed, web, quiet = random.Random(SEED + 1), flights.web(site), flights.quiet(site)
    for _ in range(8):
        message = wire.hello_message(post_quantum=seed.random() < 0.3)
        data = wire.records(message, *sorted(seed.sample(range(1, len(message)), seed.randrange(4))))
        pieces = split_anyhow(data, seed, seed.randint(1, 8))
        answer = flights.speak(client, web, *pieces, pause=seed.choice([0, 0.002]), segment=seed.choice([0, 300, 540]))
        assert answer["ok"] and wire.is_server_hello(answer["reply"]), ([len(piece) for piece in pieces], answer)
    with flights.lab.capture() as capture:
        for _ in range(6):
            pieces = split_anyhow(wire.hello(NEIGHBOUR), seed, seed.randint(1, 8))
            answer = flights.speak(client, quiet, *pieces, pause=seed.choice([0, 0.002]))
            assert gone(answer) or answer["error"] == "EPIPE", ([len(piece) for piece in pieces], answer)
        nothing_left(flights, capture, quiet)


def test_a_hello_that_is_too_long_is_denied(opened, flights, client, site):
    padded = wire.hello_message(QUIET, extra=[(21, bytes(17000))])
    with flights.lab.capture() as capture:
        for port, data in zip(MORE_PORTS, (wire.records(padded, 9000), wire.records(padded, *range(400, 17000, 400)))):
            answer = flights.speak(client, flights.quiet(site), data, port=port)
            assert gone(answer) or answer["error"] == "EPIPE", answer
            nothing_left(flights, capture, flights.quiet(site), port)
    long = wire.hello_message(extra=[(21, bytes(12000))])
    assert flights.speak(client, flights.web(site), wire.records(long, 5000))["ok"], "below 16 KiB"


@contextlib.contextmanager
def narrow(lab, size):
    """An uplink with a small MTU; below 1,280 the kernel takes IPv6 away, and it is given back."""

    def resize(mtu):
        lab.host.ip(f"link set uplink mtu {mtu}")
        lab.world_ns.ip(f"link set downlink mtu {mtu}")

    resize(size)
    try:
        yield
    finally:
        resize(1500)
        for namespace, device, address in ((lab.host, "uplink", IPV6.host), (lab.world_ns, "downlink", IPV6.world)):
            namespace.ip(f"address replace {address}/64 dev {device} nodad")
        lab.host.ip(f"route replace default via {IPV6.world} dev uplink")


def test_a_small_mtu(opened, flights, client, site, family):
    size = 600 if family is IPV4 else 1280
    with narrow(flights.lab, size):
        clients = tls_clients(flights, site, NAME)
        for label in ("curl", "newest openssl"):
            done = client.do("run", argv=clients[label], timeout=8)
            assert f"here is {NAME}" in done["stdout"], (label, done)
        with flights.lab.capture() as capture:
            quiet = flights.quiet(site)
            assert gone(flights.speak(client, quiet, wire.hello(NEIGHBOUR, post_quantum=True)))
            nothing_left(flights, capture, quiet)
    allowed_event(opened, flights.web(site), NAME)
    wrong_name(opened, flights.quiet(site), QUIET, NEIGHBOUR)


def test_fast_open(opened, flights, client, site):
    """In the SYN whole, or the beginning of it; the kernel then says it again without."""
    web, quiet = flights.web(site), flights.quiet(site)
    for hello in (wire.hello(), wire.hello(post_quantum=True), wire.GO):
        answer = flights.speak(client, web, hello, fast_open=True)
        assert answer["ok"] and wire.is_server_hello(answer["reply"]), answer
    assert "here is" in client.do("run", argv=["curl", "-sS", "--tcp-fastopen", f"https://{NAME}/"])["stdout"]
    assert opened.events(workload="job", verdict="deny") == []
    bad = {"name": wire.hello(NEIGHBOUR), "long": wire.hello(NEIGHBOUR, post_quantum=True), "ssh": wire.STREAMS["ssh"],
           "stratum": wire.STREAMS["stratum"], "a piece": wire.hello(QUIET)[:80], "one byte": b"\x16"}  # fmt: skip
    with flights.lab.capture() as capture:
        for port, (label, data) in zip(MORE_PORTS, bad.items()):
            answer = flights.speak(client, quiet, data, port=port, fast_open=True, timeout=2)
            assert not answer["ok"], (label, answer)
            assert payloads(capture, quiet, port) == [], label
        assert [one for one in flights.arrived() if one["local"][0] == quiet] == []


def test_a_syn_with_data_that_is_no_fast_open(opened, flights, site, family):
    """Made by hand: never out unjudged. The handshake goes on without it."""
    segments, web, quiet = flights.segments(), flights.web(site), flights.quiet(site)
    hello = wire.hello()
    answer = segments.do("speak", source=family.host, to=[web, 443], truth=hello.hex(), script=[], early=hello.hex())
    assert answer["ok"], answer
    with flights.lab.capture() as capture:
        for data in (wire.hello(NEIGHBOUR), wire.STREAMS["stratum"]):
            at = {"source": family.host, "to": [quiet, 443], "within": 0.4}
            told = segments.do("speak", truth=data.hex(), script=[], early=data.hex(), **at)
            assert not told["ok"], told
        nothing_left(flights, capture, quiet)


def test_the_verdict_comes_with_the_last_byte(opened, flights, client, site):
    """What can be denied by its first byte is denied by it; what is right waits for its end."""
    quiet = flights.quiet(site)
    with flights.lab.capture() as capture:
        assert gone(flights.speak(client, quiet, b"S", port=MORE_PORTS[0]))
        hello = wire.hello(QUIET)
        opened_flow = flights.speak(client, quiet, hello[:-1], read=False, keep=True)
        eventually(lambda: flights.servers.find(event="accept", local=[quiet, 443]), 15, "the handshake")
        assert not capture.wait(0.1, destination=quiet, payload=b"\x16\x03\x01")
        client.do("write", handle=opened_flow["handle"], data=hello[-1:].hex())
        flights.servers.wait(event="data", local=[quiet, 443])
    came = b"".join(bytes.fromhex(one["data"]) for one in flights.arrived(local=[quiet, 443]))
    assert hello.startswith(came[:100])


def test_a_port_that_is_used_again_is_judged_anew(opened, flights, client, site):
    """The server resets an allowed connection; the kernel's entry of it is still there when the port asks again."""
    quiet = flights.quiet(site)
    first = flights.speak(client, quiet, wire.hello(QUIET), own_port=25001, read=False, keep=True)
    flights.servers.wait(event="data", local=[quiet, 443])
    flights.lab.world_ns.command("ss", "-K", "-t", "sport = :443", check=False)
    assert gone(client.do("read", handle=first["handle"]))
    client.do("close", handle=first["handle"])
    with flights.lab.capture() as capture:
        assert gone(flights.speak(client, quiet, wire.STREAMS["ssh"], own_port=25001))
        assert payloads(capture, quiet) == []
    assert flight_event(opened, quiet, verdict="deny")["destination"]["application"] == "ssh"


def test_a_flight_that_would_end_on_the_way_proves_nothing(opened, flights, client, site):
    quiet = flights.quiet(site)
    with flights.lab.capture() as capture:
        assert gone(flights.speak(client, quiet, wire.hello(QUIET), hops=8))
        nothing_left(flights, capture, quiet)
    assert "hop limit" in flight_event(opened, quiet, verdict="deny")["message"]


def test_a_port_where_nobody_listens(opened, flights, client, site):
    """The peer's reset, and what a router says, reach the program at once."""
    with flights.lab.capture() as capture:
        answer = flights.speak(client, flights.web(site), b"", port=MORE_PORTS[0], timeout=15)
        assert answer["error"] == "ECONNREFUSED", answer
        asked = capture.find(destination=flights.web(site), destination_port=MORE_PORTS[0], flags="S")
        assert len(asked) == 1, "it was asked again: the answer to the first came late"
