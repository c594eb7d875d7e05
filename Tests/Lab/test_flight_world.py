"""What the tests of the first flight stand on, without a daemon: every server answers, and every client does what it says."""

import pytest
from flight_checks import early_data, git_clone, requests_get, tls_clients
from flight_world import (
    EARLY_PORT, NAME, NEIGHBOUR, QUIET, client, daemon, flight_servers, flights, names_world, site, split_anyhow, world,
)  # fmt: skip
from probes import flight_wire as wire

HELLOS = {
    "browser": wire.hello, "post-quantum": lambda: wire.hello(post_quantum=True, grease=True), "go": lambda: wire.GO,
    "java": lambda: wire.JAVA, "old": lambda: wire.hello(old=True), "two records": lambda: wire.records(wire.hello_message(), 40),
    "no name": lambda: wire.hello(None), "encrypted": wire.encrypted_hello,
}  # fmt: skip
REQUEST = f"GET / HTTP/1.1\r\nHost: {NAME}\r\n\r\n"


def test_a_hello_of_every_kind_is_answered(flights, client, site):
    assert client.do("resolve", name=NAME)["addresses"] == [flights.web(site)]
    for label, build in HELLOS.items():
        answer = flights.speak(client, flights.web(site), build())
        assert answer["ok"] and wire.is_server_hello(answer["reply"]), (label, answer)
    for label, keys in {"segments": {"segment": 540}, "options": {"extended": True}}.items():
        answer = flights.speak(flights.client(site, uid=0), flights.web(site), wire.hello(post_quantum=True), **keys)
        assert answer["ok"] and wire.is_server_hello(answer["reply"]), (label, answer)
    for pieces in (wire.chopped(wire.hello(), 1), wire.chopped(wire.hello(), 50)):
        assert wire.is_server_hello(flights.speak(client, flights.web(site), *pieces, pause=0.001)["reply"])
    # What it is at the other end, for the tests that look there.
    flights.speak(client, flights.quiet(site), wire.STREAMS["stratum"], read=False)
    quiet = flights.servers.wait(event="data", local=[flights.quiet(site), 443])
    assert wire.MARK in bytes.fromhex(quiet["data"])
    assert flights.speak(client, flights.quiet(site), wire.STREAMS["ssh"], timeout=0.2)["error"] == "timeout"


def test_the_clients_of_tls_work(flights, client, site, family, tmp_path):
    for label, argv in tls_clients(flights, site, NAME).items():
        done = client.do("run", argv=argv, input=REQUEST, until="here is", timeout=15)
        assert "here is web.lab.test" in done["stdout"], (label, done)
    handshakes = flights.servers.find(event="handshake")
    assert {one["name"] for one in handshakes} == {NAME} and {one["version"] for one in handshakes} == {"TLSv1.2", "TLSv1.3"}
    assert "here is" in requests_get(flights, client, NAME)["stdout"]
    flights.names.set(*flights.tools.records(site))
    git_clone(flights, client, tmp_path)
    told = early_data(flights, client, site, NAME, tmp_path)
    assert told["accepted"] and told["heard"], told


def test_ssh_and_http_answer(flights, client, site, family):
    ssh, web = flights.ssh(site), flights.web(site)
    for port in (22, 443):
        done = client.do("run", argv=flights.ssh_client(port, ssh))
        assert done["ok"] and "lab" in done["stdout"], done
        assert flights.speak(client, ssh, port=port)["reply"].startswith(b"SSH-2.0-OpenSSH")
    assert flights.speak(client, ssh, wire.STREAMS["ssh"], port=2200)["reply"] == b"SSH-2.0-late\r\n"
    for flags in ([], ["--http2-prior-knowledge"], ["--noproxy", "", "-x", f"http://{NAME}:80"]):
        done = client.do("run", argv=["curl", "-sS", *flags, f"http://{NAME}/page"])
        assert f"here is {NAME}" in done["stdout"], done
    assert {fact["line"] for fact in flights.servers.find(event="request", local=[web, 80])} == {
        "GET /page HTTP/1.1", "h2", f"GET http://{NAME}/page HTTP/1.1",
    }  # fmt: skip


@pytest.mark.parametrize("version", [1, 2])
def test_quic_answers(flights, site, version):
    quic = flights.quic_client()
    ways = {"plain": {}, "scrambled": {"way": "scrambled"}, "large": {"large": True}, "no name": {"name": None},
            "swapped": {"large": True, "way": "swapped"}, "an address": {"name": flights.web(site)}}  # fmt: skip
    for label, keys in ways.items():
        answer = quic.do("speak", **{"to": [flights.web(site), 443], "name": NAME, "version": version, **keys})
        assert answer.get("reply") == "hello", (label, answer)
    assert flights.quic.find(event="datagram", local=[flights.web(site), 443])


def test_fast_open_puts_the_hello_into_the_syn(ground, flights, client, site):
    web = flights.web(site)
    with ground.capture() as capture:
        answer = flights.speak(client, web, wire.hello(), fast_open=True)
        assert wire.is_server_hello(answer["reply"])
        syn = [one for one in capture.find(destination=web, destination_port=443) if one.flags == "S"]
        assert len(syn) == 1 and syn[0].payload.startswith(b"\x16\x03\x01"), syn
        capture.clear()
        done = client.do("run", argv=["curl", "-sS", "--tcp-fastopen", f"https://{NAME}/"])
        assert "here is" in done["stdout"], done
        syn = [one for one in capture.find(destination=web, destination_port=443) if one.flags == "S"]
        assert syn and NAME.encode() in syn[0].payload, "curl's hello came later"


def test_segments_go_as_they_are_told(ground, flights, site, family):
    segments, web, hello = flights.segments(), flights.web(site), wire.hello(post_quantum=True)
    assert len(hello) > 1400
    parts = [{"at": at, "data": hello[at : at + 600].hex()} for at in range(0, len(hello), 600)]
    scripts = {
        "in order": parts, "last first": parts[::-1], "twice": parts + parts, "nothing but again": [],
        "overlapping": [{"at": at, "data": hello[at : at + 700].hex()} for at in range(0, len(hello), 500)],
    }  # fmt: skip
    for label, script in scripts.items():
        for keys in ({}, {"extended": True}, {"start": 0xFFFFFF00}):
            answer = segments.do("speak", source=family.host, to=[web, 443], truth=hello.hex(), script=script, **keys)
            assert answer["ok"] and wire.is_server_hello(bytes.fromhex(answer["reply"])), (label, keys, answer)
    # What is sent again with other bytes reaches the peer in one of its two forms.
    script = [{"at": 500, "data": b"x".hex() * 100}]
    answer = segments.do("speak", source=family.host, to=[flights.quiet(site), 443], truth=hello.hex(), script=script, within=1)
    assert answer["acknowledged"] == len(hello), answer
    assert segments.do("speak", source=family.host, to=[web, 9], truth="", script=[])["error"] == "reset"


def test_many_connections_that_say_nothing(flights, client, site):
    told = client.do("silent", to=[flights.quiet(site), 443], count=1000, within=1)
    assert told["outcomes"] == {"open": 1000}, told
    took = client.do("repeat", to=[flights.web(site), 443], chunks=[wire.hello().hex()], count=50)
    assert len(took["took"]) == 50 and not took["failed"]


def test_pieces_are_the_whole(flights):
    import random  # pylint: disable=import-outside-toplevel

    del flights
    data = wire.hello()
    for most in (1, 2, 31):
        pieces = split_anyhow(data, random.Random(most), most)
        assert len(pieces) == most and b"".join(pieces) == data
    assert NEIGHBOUR != NAME != QUIET and EARLY_PORT
