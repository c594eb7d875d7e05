"""TLS: a rule with names wants the server name that was pinned, whatever client asks; and says what was asked."""

import re

from flight_checks import (
    allowed_event, early_data, flight_event, flight_policy, flight_rule, git_clone, gone, nothing_left, peer_ended, pin,
    payloads, requests_get, stood, tls_clients, wrong_name, wrong_protocol,
)  # fmt: skip
from flight_world import (
    EARLY_PORT, MORE_PORTS, NAME, NEIGHBOUR, QUIET, client, daemon, flight_servers, flights, names_world, site, world,
)  # fmt: skip
from names_checks import approve_name, refused
from probes import flight_wire as wire

REQUEST = f"GET / HTTP/1.1\r\nHost: {NAME}\r\n\r\n"


def open_to(ground, daemon, client, *names, ports=None, **keys):
    """One rule of TLS with these names, which are pinned then."""
    daemon.start({"job": flight_policy(ground, flight_rule(list(names), ports, **keys))})
    pin(client, *[name for name in names if "*" not in name])


def test_the_right_name_opens_to_every_client(ground, daemon, flights, client, site, tmp_path):
    flights.names.set(*flights.tools.records(site))
    open_to(ground, daemon, client, NAME, "git.lab.test")
    for label, argv in tls_clients(flights, site, NAME).items():
        done = client.do("run", argv=argv, input=REQUEST, until="here is", timeout=15)
        assert f"here is {NAME}" in done["stdout"], (label, done)
    assert "here is" in requests_get(flights, client, NAME)["stdout"]
    assert git_clone(flights, client, tmp_path)["ok"]
    event = allowed_event(daemon, flights.web(site), NAME)
    assert (event["rule"], event["workload"]) == ("flights", "job")
    assert event["flight"]["serverName"] == NAME and "excerpt" not in event["flight"]
    assert allowed_event(daemon, site.packages, "git.lab.test")["flight"]["alpn"] == ["h2", "http/1.1"]
    assert daemon.events(workload="job", verdict="deny") == []
    assert {one["name"] for one in flights.servers.find(event="handshake")} == {NAME}


def test_hellos_of_every_kind(ground, daemon, flights, client, site):
    open_to(ground, daemon, client, NAME)
    hellos = {
        "go": wire.GO, "java": wire.JAVA, "old": wire.hello(old=True),
        "post-quantum": wire.hello(post_quantum=True, grease=True), "two records": wire.records(wire.hello_message(), 3),
        "many records": wire.records(wire.hello_message(), *range(8, 200, 8)),
        "upper case": wire.hello("WEB.Lab.TEST"), "with more behind": wire.hello() + b"\x14\3\3\0\1\1",
    }  # fmt: skip
    for label, hello in hellos.items():
        answer = flights.speak(client, flights.web(site), hello)
        assert answer["ok"] and wire.is_server_hello(answer["reply"]), (label, answer)
    for options in ({"extended": True}, {"segment": 540}):
        answer = flights.speak(flights.client(site, uid=0), flights.web(site), wire.hello(post_quantum=True), **options)
        assert answer["ok"] and wire.is_server_hello(answer["reply"]), (options, answer)
    assert daemon.events(workload="job", verdict="deny") == []
    fingerprints = {event["flight"]["ja4"][:4] for event in daemon.events(to=flights.web(site)) if "flight" in event}
    assert fingerprints <= {"t13d", "t12d"} and fingerprints


def test_an_open_flow_goes_on_in_the_kernel(ground, daemon, flights, client, site):
    """After the first flight nothing of a connection is looked at again."""
    open_to(ground, daemon, client, QUIET)
    answer = flights.speak(client, flights.quiet(site), wire.hello(QUIET), keep=True, read=False)
    assert answer["ok"]
    flights.servers.wait(event="data", local=[flights.quiet(site), 443])
    for piece in (b"SSH-2.0-later\r\n", wire.STREAMS["stratum"], bytes(1 << 20)):
        assert client.do("write", handle=answer["handle"], data=piece.hex())["ok"]
    client.do("close", handle=answer["handle"])
    flights.servers.wait(event="eof", local=[flights.quiet(site), 443])
    assert allowed_event(daemon, flights.quiet(site), QUIET)
    assert daemon.events(workload="job", verdict="deny") == []


def test_another_name_at_the_same_address_is_denied(ground, daemon, flights, client, site, tmp_path):
    flights.names.set(*flights.tools.records(site))
    open_to(ground, daemon, client, NAME, "git.lab.test")
    web = flights.web(site)
    with ground.capture() as capture:
        clients = tls_clients(flights, site, NEIGHBOUR)
        for label, argv in ((label, clients[label]) for label in ("openssl", "gnutls", "curl -k", "newest openssl")):
            done = client.do("run", argv=argv, input=REQUEST, until="here is", timeout=15)
            assert not done["ok"] or "here is" not in done["stdout"], (label, done)
        literal = site.packages if ":" not in site.packages else f"[{site.packages}]"
        flags = ["-c", f"http.curloptResolve=packages.lab.test:443:{literal}"]
        assert not git_clone(flights, client, tmp_path, "packages.lab.test", *flags)["ok"]
        nothing_left(flights, capture, web)
        nothing_left(flights, capture, site.packages)
    wrong_name(daemon, web, NAME, NEIGHBOUR)
    wrong_name(daemon, site.packages, "git.lab.test", "packages.lab.test")
    assert flights.servers.find(event="handshake") == []


def test_what_is_not_the_name_is_denied(ground, daemon, flights, client, site):
    """At the server that reads everything: nothing comes to it."""
    ports = iter(MORE_PORTS)
    open_to(ground, daemon, client, QUIET, ports=[443, f"{MORE_PORTS[0]}-{MORE_PORTS[-1]}"])
    quiet = flights.quiet(site)
    asked = {
        "another": (wire.hello("evil.example"), "evil.example"), "a parent": (wire.hello("lab.test"), "lab.test"),
        "a child": (wire.hello(f"x.{QUIET}"), f"x.{QUIET}"), "none": (wire.hello(None), None),
        "encrypted": (wire.encrypted_hello(QUIET), ...), "two": (wire.hello([QUIET, "evil.example"]), ...),
        "two, the other first": (wire.hello(["evil.example", QUIET]), ...), "an address": (wire.hello(quiet), ...),
        "with a NUL": (wire.hello(f"{QUIET}\0.evil.example"), ...), "empty": (wire.hello(""), ...),
    }  # fmt: skip
    with ground.capture() as capture:
        for label, (hello, name) in asked.items():
            at = next(ports)
            answer = flights.speak(client, quiet, hello, port=at)
            assert gone(answer) and stood(capture, answer) < 2, (label, answer)
            peer_ended(flights, answer)
            nothing_left(flights, capture, quiet, at)
            event = flight_event(daemon, quiet, at, verdict="deny")
            assert event["reason"] in ("wrong-name", "wrong-protocol"), (label, event)
            assert event["destination"]["application"] == "tls", (label, event)
            if name is not ...:
                wrong_name(daemon, quiet, QUIET, name, port=at)
            words = {"none": "no server name", "encrypted": "encrypted server name"}
            assert words.get(label, "") in event["message"], (label, event)
    assert flights.speak(client, quiet, wire.hello(QUIET), read=False)["ok"], "the right one after all of them"
    flights.servers.wait(event="data", local=[quiet, 443])


def test_an_address_without_a_name_in_the_hello(ground, daemon, flights, client, site):
    """A program that connects to the pinned address by its number says no server name."""
    open_to(ground, daemon, client, NAME)
    assert not requests_get(flights, client, flights.web(site))["ok"]
    event = wrong_name(daemon, flights.web(site), NAME, None)
    assert "no server name" in event["message"]


def test_a_name_of_the_rule_is_not_enough_at_an_address_of_another(ground, daemon, flights, client, site):
    """Rule and pin: each name opens its own addresses, and a wildcard only names that were asked for."""
    daemon.start({"job": flight_policy(ground, flight_rule([NAME, QUIET, "*.wild.test"]))})
    flights.names.set(("a.wild.test", site.type, 300, [flights.quiet(site)]))
    pin(client, NAME, QUIET, "a.wild.test")
    web, quiet = flights.web(site), flights.quiet(site)
    assert gone(flights.speak(client, web, wire.hello(QUIET)))
    wrong_name(daemon, web, NAME, QUIET)
    assert gone(flights.speak(client, quiet, wire.hello("b.wild.test"))), "in the rule, and never asked for"
    for name in (QUIET, "a.wild.test"):
        assert flights.speak(client, quiet, wire.hello(name), read=False)["ok"]
        flights.servers.wait(event="data", local=[quiet, 443])
        flights.servers.clear()
        allowed_event(daemon, quiet, name)
    assert wire.is_server_hello(flights.speak(client, web, wire.hello())["reply"])


def test_a_rule_with_addresses_wants_tls_and_any_name(ground, daemon, flights, client, site):
    web, quiet = flights.web(site), flights.quiet(site)
    daemon.start({"job": flight_policy(ground, flight_rule([web, quiet]))})
    for hello in (wire.hello(), wire.hello("evil.example"), wire.hello(None)):
        assert wire.is_server_hello(flights.speak(client, web, hello)["reply"])
    event = allowed_event(daemon, web, None)
    assert event["rule"] == "flights"
    with ground.capture() as capture:
        assert gone(flights.speak(client, quiet, wire.STREAMS["ssh"]))
        nothing_left(flights, capture, quiet)
    wrong_protocol(daemon, quiet, "ssh")


def test_protocol_any_looks_at_nothing(ground, daemon, flights, client, site):
    daemon.start({"job": flight_policy(ground, flight_rule([QUIET], protocol="any"))})
    pin(client, QUIET)
    assert flights.speak(client, flights.quiet(site), wire.STREAMS["stratum"], read=False)["ok"]
    flights.servers.wait(event="data", local=[flights.quiet(site), 443])
    assert daemon.events(workload="job", verdict="deny") == []


def test_a_rule_for_one_program(ground, daemon, flights, client, site):
    open_to(ground, daemon, client, NAME, executable="/usr/bin/curl")
    assert "here is" in client.do("run", argv=["curl", "-sS", f"https://{NAME}/"])["stdout"]
    elsewhere = ["curl", "-sS", "--connect-to", f"{NEIGHBOUR}:443:{NAME}:443", f"https://{NEIGHBOUR}/"]
    assert not client.do("run", argv=elsewhere)["ok"]
    wrong_name(daemon, flights.web(site), NAME, NEIGHBOUR)
    assert refused(flights.speak(client, flights.web(site), wire.hello()))
    assert daemon.wait_event(to=flights.web(site), port=443, verdict="deny", reason="wrong-executable")


def test_early_data_waits_for_the_name_too(ground, daemon, flights, client, site, tmp_path):
    open_to(ground, daemon, client, NAME, ports=[EARLY_PORT])
    told = early_data(flights, client, site, NAME, tmp_path)
    assert told["accepted"] and told["heard"], told
    with ground.capture() as capture:
        told = early_data(flights, client, site, NAME, tmp_path, again=NEIGHBOUR)
        assert not told["accepted"] and not told["heard"], told
        nothing_left(flights, capture, flights.web(site), EARLY_PORT)
    wrong_name(daemon, flights.web(site), NAME, NEIGHBOUR, port=EARLY_PORT)


def test_a_granted_name_is_held_to_the_same(ground, daemon, flights, client, site):
    daemon.start({"job": flight_policy(ground, flight_rule(["somewhere.lab.test"]))})
    web, quiet = flights.web(site), flights.quiet(site)
    for name in (NAME, QUIET):
        assert not client.do("resolve", name=name)["ok"]
    number = approve_name(daemon, NAME)
    approve_name(daemon, QUIET, "--ports", "443,8443", "--protocol", "any")
    pin(client, NAME, QUIET)
    assert wire.is_server_hello(flights.speak(client, web, wire.hello())["reply"])
    event = flight_event(daemon, web, verdict="allow")
    assert (event["reason"], event["destination"]["name"]) == ("grant", NAME)
    with ground.capture() as capture:
        assert gone(flights.speak(client, web, wire.hello(NEIGHBOUR)))
        assert gone(flights.speak(client, web, wire.STREAMS["ssh"]))
        assert payloads(capture, web) == []
    wrong_name(daemon, web, NAME, NEIGHBOUR)
    for port in (443, 8443):
        assert flights.speak(client, quiet, wire.STREAMS["stratum"], port=port, read=False)["ok"]
        flights.servers.wait(event="data", local=[quiet, port])
    daemon.ctl("revoke", str(number))
    assert not flights.speak(client, web, wire.hello())["ok"]


def test_repetitions_are_counted(ground, daemon, flights, client, site):
    """One event at once, and one for the rest when the window is over."""
    open_to(ground, daemon, client, NAME)
    told = client.do("repeat", to=[flights.web(site), 443], chunks=[wire.hello().hex()], count=40)
    assert len(told["took"]) == 40, told
    allowed_event(daemon, flights.web(site), NAME)
    assert len(daemon.events(to=flights.web(site), verdict="allow")) <= 2


def test_the_ja4_of_a_client_is_the_same_every_time(ground, daemon, flights, client, site):
    """Of another connection, in other records, to another name; not that of another client."""
    daemon.start({"job": flight_policy(ground, flight_rule([flights.web(site), flights.quiet(site)]))})
    for chunk, address in ((wire.GO, flights.web(site)), (wire.records(wire.GO[5:], 9, 90), flights.quiet(site))):
        flights.speak(client, address, chunk, read=False)
    first, second = (flight_event(daemon, address)["flight"]["ja4"] for address in (flights.web(site), flights.quiet(site)))
    assert first == second and re.match(r"t13d\d{4}h2_", first), (first, second)

