"""SSH, HTTP, and what comes to an open port instead of what it was opened for."""

import pytest
from flight_checks import (
    allowed_event, flight_event, flight_policy, flight_rule, gone, nothing_left, payloads, peer_ended, pin, stood,
    wrong_name, wrong_protocol,
)  # fmt: skip
from flight_world import (
    MORE_PORTS, NAME, NEIGHBOUR, QUIET, SSH, client, daemon, flight_servers, flights, names_world, site, world,
)  # fmt: skip
from names_checks import refused
from probes import flight_wire as wire

ALL_PORTS = f"{MORE_PORTS[0]}-{MORE_PORTS[-1]}"
PROXY = ["--noproxy", "", "-x", f"http://{NAME}:80"]


def start(ground, daemon, client, name, ports, protocol):
    daemon.start({"job": flight_policy(ground, flight_rule([name], ports, protocol))})
    pin(client, name)


def test_ssh_to_the_port_of_tls(ground, daemon, flights, client, site):
    """OpenSSH itself; then a client that waits for the server's banner: it is the server that gives it away."""
    start(ground, daemon, client, SSH, [443, 22], "tls")
    ssh = flights.ssh(site)
    with ground.capture() as capture:
        done = client.do("run", argv=flights.ssh_client(443, ssh))
        assert not done["ok"] and "lab" not in done["stdout"], done
        waiting = flights.speak(client, ssh, port=22, timeout=15)
        assert gone(waiting) and stood(capture, waiting) < 2, waiting
        assert payloads(capture, ssh) == [], "not one byte of it"
    peer_ended(flights, waiting)
    event = wrong_protocol(daemon, ssh, "ssh")
    assert event["finding"] == "ssh-on-wrong-port", event
    assert event["process"]["executable"].endswith("/ssh")
    assert wrong_protocol(daemon, ssh, "ssh", port=22)["flight"]["excerpt"].startswith("SSH-2.0-")


def test_a_reverse_tunnel_to_the_port_of_tls(ground, daemon, flights, client, site):
    """The case that this is all about, through the one port that is open."""
    start(ground, daemon, client, SSH, [443], "tls")
    argv = flights.ssh_client(443, flights.ssh(site))
    argv[argv.index("-l") : argv.index("-l")] = ["-N", "-R", "19000:127.0.0.1:22"]
    done = client.do("run", argv=argv[: argv.index("echo")], timeout=6)
    assert not done["ok"] and done["status"] is not None, done
    assert wrong_protocol(daemon, flights.ssh(site), "ssh")["finding"] == "reverse-ssh-tunnel"


def test_ssh_where_ssh_is_allowed(ground, daemon, flights, client, site):
    """Whichever side speaks first."""
    start(ground, daemon, client, SSH, [22, 443, 2200], "ssh")
    ssh = flights.ssh(site)
    for port in (22, 443):
        done = client.do("run", argv=flights.ssh_client(port, ssh))
        assert done["ok"] and "lab" in done["stdout"], done
    waited = flights.speak(client, ssh, b"SSH-2.0-patient\r\n", port=22, listen=True)
    assert waited["ok"] and bytes.fromhex(waited["greeting"]).startswith(b"SSH-2.0-OpenSSH"), waited
    assert flights.speak(client, ssh, b"SSH-2.0-hasty\r\n", port=2200)["reply"] == b"SSH-2.0-late\r\n"
    pieces = wire.chopped(b"SSH-2.0-in pieces\r\n", 6)
    assert flights.speak(client, ssh, *pieces, port=2200, pause=0.01)["reply"] == b"SSH-2.0-late\r\n"
    assert daemon.events(workload="job", verdict="deny") == []
    for port in (22, 2200):
        assert allowed_event(daemon, ssh, SSH, "ssh", port)["rule"] == "flights"


def test_other_things_where_ssh_is_allowed(ground, daemon, flights, client, site):
    start(ground, daemon, client, QUIET, [22, ALL_PORTS], "ssh")
    quiet = flights.quiet(site)
    others = {"tls": wire.hello(QUIET), "unknown": b"SSH-1.5-old\r\n"}
    others |= {kind: wire.STREAMS[kind] for kind in ("http", "socks", "stratum")}
    with ground.capture() as capture:
        for port, (what, data) in zip(MORE_PORTS, others.items()):
            answer = flights.speak(client, quiet, data, port=port)
            assert gone(answer) and stood(capture, answer) < 2, (what, answer)
            nothing_left(flights, capture, quiet, port)
            event = flight_event(daemon, quiet, port, verdict="deny", reason="wrong-protocol")
            assert event["destination"]["application"] == what or (what, data[:3]) == ("unknown", b"SSH"), event


@pytest.mark.parametrize("protocol", ["tls", "ssh", "http"])
def test_a_server_that_speaks_first_and_is_not_ssh(ground, daemon, flights, client, site, protocol):
    """The echo servers of the world greet everybody."""
    flights.names.set(("echo.lab.test", site.type, 300, [site.first]))
    start(ground, daemon, client, "echo.lab.test", [443], protocol)
    if protocol == "ssh":
        # Lines may come before its banner (RFC 4253 §4.2).
        assert flights.speak(client, site.first, timeout=15)["ok"]
        return
    with ground.capture() as capture:
        waiting = flights.speak(client, site.first, timeout=15, read=False, keep=True)
        # It may have ended before the program looks at it once.
        ended = client.do("read", handle=waiting["handle"], timeout=15) if waiting["ok"] else waiting
        assert gone(ended) and stood(capture, waiting) < 2, ended
    flights.names.echo.wait_closed(waiting["source"][1], 15)
    wrong_protocol(daemon, site.first, "unknown")


def test_http(ground, daemon, flights, client, site):
    start(ground, daemon, client, NAME, [80], "http")
    ways = [[], ["--http2-prior-knowledge"], ["--http1.0"], ["-H", f"Host: {NAME.upper()}"], ["-d", "x" * 30000]]
    for flags in ways:
        done = client.do("run", argv=["curl", "-sS", *flags, f"http://{NAME}/page"])
        assert "here is web.lab.test" in done["stdout"].lower(), (flags, done)
    script = f"import requests\nprint(requests.get('http://{NAME}/', timeout=5).text)"
    assert "here is" in client.do("run", argv=flights.python(script))["stdout"]
    pieces = wire.chopped(wire.request(NAME), 9)
    assert flights.speak(client, flights.web(site), *pieces, port=80, pause=0.005)["reply"].startswith(b"HTTP/1.1 200")
    assert allowed_event(daemon, flights.web(site), NAME, "http", 80)["flight"]["serverName"] == NAME
    assert daemon.events(workload="job", verdict="deny") == []


def test_http_to_another_host_or_through_a_proxy(ground, daemon, flights, client, site):
    start(ground, daemon, client, NAME, [80], "http")
    web = flights.web(site)
    with ground.capture() as capture:
        assert not client.do("run", argv=["curl", "-sS", "-H", f"Host: {NEIGHBOUR}", f"http://{NAME}/"])["ok"]
        wrong_name(daemon, web, NAME, NEIGHBOUR, 80, "http")
        for flags in (["http://evil.example/"], [f"http://{NAME}/"], ["https://evil.example/"], ["-p", "http://a/"]):
            assert not client.do("run", argv=["curl", "-sS", *PROXY, *flags])["ok"], flags
        wrong_protocol(daemon, web, "http-connect", 80)
        second = ["curl", "-sS", "--http2-prior-knowledge", "-H", f"Host: {NEIGHBOUR}"]
        assert not client.do("run", argv=[*second, f"http://{NAME}/"])["ok"]
        nothing_left(flights, capture, web, 80)
    assert flights.servers.find(event="request") == []


def test_heads_of_http_that_are_not_what_they_should_be(ground, daemon, flights, client, site):
    start(ground, daemon, client, QUIET, [ALL_PORTS], "http")
    quiet, ports = flights.quiet(site), iter(MORE_PORTS)
    fields = {"no host": (None, "/"), "two hosts": (QUIET, "/", "GET", "Host: evil.example"), "an address": (quiet, "/")}
    heads = {label: wire.request(*arguments) for label, arguments in fields.items()}
    heads |= {
        "websocket": wire.WEBSOCKET.replace(NAME.encode(), QUIET.encode()), "tls": wire.hello(QUIET),
        "folded": wire.request(QUIET, "/", "GET", "X: a\r\n Host: evil.example"),
        "bare line feeds": wire.request(QUIET).replace(b"\r", b""),
        "both lengths": wire.request(QUIET, "/", "POST", "Content-Length: 4", "Transfer-Encoding: chunked"),
        "connect": wire.request(QUIET, f"{QUIET}:22", "CONNECT"), "stratum": wire.STREAMS["stratum"], "zero nine": b"GET /\r\n",
    }  # fmt: skip
    with ground.capture() as capture:
        for label, head in heads.items():
            port = next(ports)
            answer = flights.speak(client, quiet, head, port=port)
            assert gone(answer), (label, answer)
            nothing_left(flights, capture, quiet, port)
            event = flight_event(daemon, quiet, port, verdict="deny")
            assert event["reason"] in ("wrong-name", "wrong-protocol"), (label, event)
            expected = {"websocket": "websocket", "tls": "tls", "connect": "http-connect", "stratum": "stratum"}.get(label)
            assert expected in (None, event["destination"]["application"]), (label, event)


@pytest.mark.parametrize("split", [False, True], ids=["whole", "split"])
def test_what_a_denied_flow_was(ground, daemon, flights, client, site, split):
    """On a rule of TLS: none of it leaves, and the record says what it was."""
    start(ground, daemon, client, QUIET, [ALL_PORTS], "tls")
    quiet = flights.quiet(site)
    with ground.capture() as capture:
        for port, (label, data) in zip(MORE_PORTS, wire.STREAMS.items()):
            pieces = wire.chopped(data, 3) if split else [data]
            answer = flights.speak(client, quiet, *pieces, port=port, pause=0.001)
            assert gone(answer) or (split and answer["error"] == "EPIPE"), (label, answer)
            nothing_left(flights, capture, quiet, port)
        assert [one for one in capture.find() if wire.MARK in one.payload] == []
    for port, label in zip(MORE_PORTS, wire.STREAMS):
        called = wire.CALLED.get(label, label)
        event = flight_event(daemon, quiet, port, verdict="deny", reason="wrong-protocol")
        # Refused by its first bytes, which are any request's.
        begun = {called, "http" if called in ("websocket", "http-connect") else "unknown"}
        assert event["destination"]["application"] in (begun if split else {called}), (label, event)
        assert 0 < len(event["flight"]["excerpt"]) <= 64 and event["flight"]["excerpt"].isprintable(), event
        if not split:
            findings = {"stratum": "mining-stratum", "ssh": "ssh-on-wrong-port"}
            assert event.get("finding") == findings.get(called), event


def test_what_a_denied_datagram_was(ground, daemon, flights, client, site):
    start(ground, daemon, client, QUIET, [443], "tls")
    quiet = flights.quiet(site)
    with ground.capture() as capture:
        kinds = {**wire.DATAGRAMS, "quic": wire.quic_of_version(1)}
        for port, (label, data) in zip(MORE_PORTS, kinds.items()):
            assert not client.do("datagram", to=[quiet, port], data=data.hex(), timeout=0.3)["ok"]
            event = flight_event(daemon, quiet, port, transport="udp", verdict="deny", reason="unknown-destination")
            assert event["destination"]["application"] == label, event
        assert payloads(capture, quiet) == []


def test_neighbours_of_the_port_are_closed_as_before(ground, daemon, flights, client, site):
    start(ground, daemon, client, QUIET, [443], "tls")
    assert refused(flights.speak(client, flights.quiet(site), wire.hello(QUIET), port=8443))
    assert daemon.wait_event(to=flights.quiet(site), port=8443)["reason"] == "unknown-destination"
