"""QUIC, versions 1 and 2, with aioquic on both sides."""

import pytest
from flight_checks import allowed_event, flight_event, flight_policy, flight_rule, payloads, pin, wrong_name, wrong_protocol
from flight_world import (
    MORE_PORTS, NAME, NEIGHBOUR, QUIET, client, daemon, flight_servers, flights, names_world, site, world,
)  # fmt: skip
from names_checks import approve_name, eventually
from probes import flight_wire as wire

UDP_PORTS = f"{MORE_PORTS[0]}-{MORE_PORTS[-1]}/udp"


@pytest.fixture
def quic(flights):
    return flights.quic_client()


def ask(quic, address, name=NAME, **keys):
    return quic.do("speak", to=[address, 443], name=name, **keys)


def start(ground, daemon, client, names, ports=("443/udp",), protocol="quic"):
    daemon.start({"job": flight_policy(ground, flight_rule(list(names), list(ports), protocol))})
    pin(client, *names)


@pytest.mark.parametrize("version", [1, 2])
def test_the_right_name_opens(ground, daemon, flights, client, quic, site, version):
    """In one datagram or several, frames in any order, datagrams in any order."""
    start(ground, daemon, client, [NAME])
    for keys in ({}, {"way": "scrambled"}, {"large": True}, {"large": True, "way": "swapped"}, {"name": NAME.upper()}):
        answer = ask(quic, flights.web(site), version=version, **keys)
        assert answer.get("reply") == "hello", (keys, answer)
    event = allowed_event(daemon, flights.web(site), NAME, "quic", transport="udp")
    assert event["flight"]["serverName"] == NAME and event["flight"]["alpn"] == ["hq-interop"]
    assert daemon.events(workload="job", verdict="deny") == []


@pytest.mark.parametrize("version", [1, 2])
def test_another_name_is_denied(ground, daemon, flights, client, quic, site, version):
    start(ground, daemon, client, [NAME])
    web = flights.web(site)
    with ground.capture() as capture:
        for keys in ({"name": NEIGHBOUR}, {"name": None}, {"name": web}, {"name": NEIGHBOUR, "large": True},
                     {"name": NEIGHBOUR, "way": "scrambled"}):  # fmt: skip
            answer = ask(quic, web, version=version, timeout=0.4, **keys)
            assert not answer["ok"], (keys, answer)
        assert payloads(capture, web, 443) == [] and flights.quic.find(event="datagram") == []
    events = daemon.events(to=web, transport="udp", verdict="deny", reason="wrong-name")
    assert {event.get("flight", {}).get("serverName") for event in events} >= {NEIGHBOUR}, events
    assert {event["destination"]["name"] for event in events} == {NAME}
    # The right one is not kept from its way by them.
    assert ask(quic, web, version=version)["ok"]


def test_what_is_no_initial_is_denied(ground, daemon, flights, client, site):
    """Other versions, noise in the form of an Initial, and other protocols: none leaves, each has its name."""
    start(ground, daemon, client, [QUIET], [UDP_PORTS])
    quiet = flights.quiet(site)
    others = {
        "an unknown version": ("quic", wire.quic_of_version(0x1A2A3A4A)), "a draft": ("quic", wire.quic_of_version(0xFF00001D)),
        "negotiation": ("quic", wire.quic_of_version(0)), "noise": ("quic", wire.quic_of_version(1)),
        "wireguard": ("wireguard", wire.DATAGRAMS["wireguard"]), "openvpn": ("openvpn", wire.DATAGRAMS["openvpn"]),
        "dns": ("dns", wire.DATAGRAMS["dns"]), "unknown": ("unknown", wire.DATAGRAMS["unknown"]),
        "a short header": (None, b"\x43" * 60),
    }  # fmt: skip
    with ground.capture() as capture:
        for port, (label, (application, data)) in zip(MORE_PORTS, others.items()):
            answer = client.do("datagram", to=[quiet, port], data=data.hex(), timeout=0.4)
            assert not answer["ok"], (label, answer)
            event = flight_event(daemon, quiet, port, transport="udp", verdict="deny", reason="wrong-protocol")
            assert application in (None, event["destination"]["application"]) or label == "negotiation", (label, event)
        assert payloads(capture, quiet) == []


def test_a_rule_of_tls_opens_no_quic_and_the_other_way_round(ground, daemon, flights, client, quic, site):
    start(ground, daemon, client, [NAME], [443], "tls")
    assert not ask(quic, flights.web(site), timeout=0.5)["ok"]
    assert daemon.wait_event(to=flights.web(site), port=443, transport="udp", verdict="deny")
    assert wire.is_server_hello(flights.speak(client, flights.web(site), wire.hello())["reply"])
    daemon.reload({"job": flight_policy(ground, flight_rule([NAME], ["443/udp"], "quic"))})
    assert ask(quic, flights.web(site))["ok"]
    assert not flights.speak(client, flights.web(site), wire.hello())["ok"]


def test_a_rule_with_addresses_wants_quic_and_any_name(ground, daemon, flights, client, quic, site):
    web, quiet = flights.web(site), flights.quiet(site)
    daemon.start({"job": flight_policy(ground, flight_rule([web, quiet], ["443/udp"], "quic"))})
    for name in (NAME, NEIGHBOUR, None):
        assert ask(quic, web, name)["ok"]
    allowed_event(daemon, web, None, "quic", transport="udp")
    assert not client.do("datagram", to=[quiet, 443], data=wire.DATAGRAMS["wireguard"].hex(), timeout=0.4)["ok"]
    wrong_protocol(daemon, quiet, "wireguard", transport="udp")
    assert flights.servers.find(event="datagram") == []


def test_a_granted_name_is_held_to_the_same(ground, daemon, flights, client, quic, site):
    daemon.start({"job": flight_policy(ground, flight_rule(["somewhere.lab.test"]))})
    assert not client.do("resolve", name=NAME)["ok"]
    approve_name(daemon, NAME, "--ports", "443,443/udp")
    pin(client, NAME)
    assert ask(quic, flights.web(site))["ok"]
    assert not ask(quic, flights.web(site), NEIGHBOUR, timeout=0.5)["ok"]
    event = wrong_name(daemon, flights.web(site), NAME, NEIGHBOUR, application="quic")
    assert event["destination"]["transport"] == "udp"
    assert wire.is_server_hello(flights.speak(client, flights.web(site), wire.hello())["reply"])


def test_a_flow_that_goes_on_after_its_rule_is_cut(ground, daemon, flights, client, quic, site):
    start(ground, daemon, client, [NAME, QUIET])
    assert ask(quic, flights.web(site))["ok"]
    daemon.reload({"job": flight_policy(ground, flight_rule([QUIET], ["443/udp"], "quic"))})
    eventually(lambda: not ask(quic, flights.web(site), timeout=0.5)["ok"], 15, "the rule's end")
