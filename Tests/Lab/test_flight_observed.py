"""Observe mode says what things are, and refuses nothing."""

import pytest
from flight_checks import JA4, flight_event, flight_policy, flight_rule, pin
from flight_world import (
    MORE_PORTS, NAME, NEIGHBOUR, QUIET, SSH, client, daemon, flight_servers, flights, names_world, site, world,
)  # fmt: skip
from probes import flight_wire as wire


def observe(ground, daemon, how):
    """A workload that is observed, or a whole host."""
    if how == "host":
        daemon.configure(mode="observe")
        daemon.start({"job": flight_policy(ground, flight_rule([QUIET, SSH, NAME], [443]))})
    else:
        daemon.start({"job": flight_policy(ground, unknown="observe")})


@pytest.mark.parametrize("how", ["workload", "host"])
def test_what_an_observed_connection_was(ground, daemon, flights, client, site, how):
    """Also garbage, and what says nothing: it goes on as if nobody looked."""
    observe(ground, daemon, how)
    quiet, web, ssh = flights.quiet(site), flights.web(site), flights.ssh(site)
    for port, (label, data) in zip(MORE_PORTS, wire.STREAMS.items()):
        assert flights.speak(client, quiet, data, port=port, read=False)["ok"], label
        came = flights.servers.wait(event="data", local=[quiet, port])
        assert bytes.fromhex(came["data"]).startswith(data[:20]), label
        event = flight_event(daemon, quiet, port, verdict="observe")
        assert event["destination"]["application"] == wire.CALLED.get(label, label), (label, event)
        assert 0 < len(event["flight"]["excerpt"]) <= 64
        findings = {"stratum": "mining-stratum", "monero": "mining-stratum"}
        assert label == "ssh" or event.get("finding") == findings.get(label), event
    assert wire.is_server_hello(flights.speak(client, web, wire.hello(NEIGHBOUR))["reply"])
    event = flight_event(daemon, web, verdict="observe")
    assert (event["destination"]["application"], event["flight"]["serverName"]) == ("tls", NEIGHBOUR)
    assert JA4.fullmatch(event["flight"]["ja4"])
    # A server that speaks first, and a client that waits for it.
    waited = flights.speak(client, ssh, b"SSH-2.0-patient\r\n", port=22, listen=True)
    assert waited["ok"], waited
    assert flight_event(daemon, ssh, 22, verdict="observe")["destination"]["application"] == "ssh"
    assert daemon.events(workload="job", verdict="deny") == []


def test_what_an_observed_datagram_was(ground, daemon, flights, client, site):
    observe(ground, daemon, "workload")
    quiet = flights.quiet(site)
    kinds = {"wireguard": 51820, "openvpn": 1194, "unknown": 5555}
    for label, port in kinds.items():
        client.do("datagram", to=[quiet, port], data=wire.DATAGRAMS[label].hex(), timeout=0.1)
        flights.servers.wait(event="datagram", local=[quiet, port])
        assert flight_event(daemon, quiet, port, verdict="observe")["destination"]["application"] == label
    assert flights.quic_client().do("speak", to=[flights.web(site), 443], name=NEIGHBOUR)["ok"]
    event = flight_event(daemon, flights.web(site), verdict="observe")
    assert (event["destination"]["application"], event["flight"]["serverName"]) == ("quic", NEIGHBOUR)


def test_a_rule_is_a_rule_in_an_observed_workload(ground, daemon, flights, client, site):
    """What the rule opens is what it says; the rest of the workload is observed."""
    daemon.start({"job": flight_policy(ground, flight_rule([NAME]), unknown="observe")})
    pin(client, NAME)
    assert wire.is_server_hello(flights.speak(client, flights.web(site), wire.hello())["reply"])
    assert flight_event(daemon, flights.web(site), verdict="allow")["reason"] == "rule"
    flights.speak(client, flights.quiet(site), wire.STREAMS["socks"], read=False)
    assert flight_event(daemon, flights.quiet(site), verdict="observe")["destination"]["application"] == "socks"
