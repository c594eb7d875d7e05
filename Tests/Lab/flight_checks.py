"""What the tests of the first flight share: policies, the clients' command lines, and what an event says of a flight."""

from __future__ import annotations

import re
import time
from typing import Any

from conftest import JOB
from daemon import policy, rule
from flight_world import EARLY_PORT
from names_checks import eventually

GONE = ("ECONNRESET", "ECONNABORTED")
JA4 = re.compile(r"[tq]1[0-3][di][0-9]{4}.{2}_[0-9a-f]{12}_[0-9a-f]{12}")


# Policies


def flight_rule(to: list[str] | str, ports: list[Any] | None = None, protocol="tls", name="flights", **keys: Any):
    """An allow rule that wants a protocol."""
    return rule(name, to, ports or [443], protocol=protocol, **keys)


def flight_policy(ground, *rules: dict[str, Any], cgroup: str = JOB, **keys: Any) -> str:
    """The policy of a workload, called after its unit."""
    return policy(cgroup.rpartition("/")[2].removesuffix(".service"), ground.glob(cgroup), allow=list(rules), **keys)


# Clients


def tls_clients(flights, site, name: str, address: str | None = None) -> dict[str, list[str]]:
    """Command lines that ask the address for the name over TLS; what is on their input is sent inside it.

    Some end with their input, whatever is on its way: it has to stay open `until` the answer is there.
    """
    address = address or flights.web(site)
    literal = f"[{address}]" if ":" in address else address
    authority = str(flights.tools.authority)
    openssl = ["openssl", "s_client", "-connect", f"{literal}:443", "-servername", name, "-quiet", "-no_ign_eof", "-CAfile", authority]
    gnutls = ["gnutls-cli", "--x509cafile", authority, "--sni-hostname", name, "--verify-hostname", name, "-p", "443", address]
    curl = ["curl", "-sS", "-m", "8", "--resolve", f"{name}:443:{literal}"]
    newest = flights.python(NEW_OPENSSL, address, name)
    url = f"https://{name}/"
    return {
        "openssl": openssl, "openssl 1.2": [*openssl, "-tls1_2"], "gnutls": gnutls,
        "curl": [*curl, url], "curl 1.2": [*curl, "--tls-max", "1.2", url], "curl -k": [*curl, "-k", "--http1.1", url],
        "newest openssl": newest,
    }  # fmt: skip


# The OpenSSL that comes with PyPI's cryptography: its hello has a post-quantum share and is larger than a segment.
NEW_OPENSSL = """
import socket
from OpenSSL import SSL
context = SSL.Context(SSL.TLS_CLIENT_METHOD)
context.set_verify(SSL.VERIFY_NONE, None)
connection = SSL.Connection(context, socket.create_connection((sys.argv[1], 443), 5))
connection.setblocking(True)
connection.set_tlsext_host_name(sys.argv[2].encode())
connection.set_connect_state()
connection.do_handshake()
connection.sendall(b"GET / HTTP/1.1\\r\\nHost: " + sys.argv[2].encode() + b"\\r\\n\\r\\n")
print(connection.recv(4000).decode())
"""


def requests_get(flights, client, host: str) -> dict[str, Any]:
    """Python's requests; a host that is an address has no server name."""
    host = f"[{host}]" if ":" in host else host
    script = "import requests\nprint(requests.get(sys.argv[1], timeout=5, verify=sys.argv[2]).text)"
    return client.do("run", argv=flights.python(script, f"https://{host}/", str(flights.tools.authority)))


def git_clone(flights, client, directory, name: str = "git.lab.test", *flags: str) -> dict[str, Any]:
    """`git clone` over HTTPS; true when the file is there."""
    target = open_up(directory) / f"clone-{time.monotonic_ns()}"
    argv = ["git", *flags, "clone", "-q", f"https://{name}/tiny.git", str(target)]
    done = client.do("run", argv=argv, timeout=15)
    assert done["ok"] == (target / "tiny.py").exists() or not done["ok"], done
    return done


def open_up(directory):
    """The clients' user may write into it."""
    for each in list(directory.parents)[:-2]:
        each.chmod(0o755)
    directory.chmod(0o777)
    return directory


def early_data(flights, client, site, name: str, directory, again: str | None = None) -> dict[str, Any]:
    """A session with one name, resumed with early data under the other: `accepted`, and whether the server `heard` the data."""
    session, word = open_up(directory) / "session", f"early-{time.monotonic_ns()}"
    early = directory / word
    early.write_text(f"{word}\n")
    early.chmod(0o644)
    web = flights.web(site)
    literal = f"[{web}]" if ":" in web else web
    argv = ["openssl", "s_client", "-connect", f"{literal}:{EARLY_PORT}", "-CAfile", str(flights.tools.authority)]
    told: dict[str, Any] = {}
    if not session.exists():
        asked = [*argv, "-servername", name, "-sess_out", str(session)]
        told = client.do("run", argv=asked, until="END SSL SESSION", file=str(session))
    assert session.exists(), told
    resumed = [*argv, "-servername", again or name, "-sess_in", str(session), "-early_data", str(early)]
    done = client.do("run", argv=resumed, until="Early data was")
    accepted = "Early data was accepted" in done["stdout"]
    if accepted:
        eventually(lambda: word in flights.early_log(site), 15, "the server says what it has accepted")
    return {"accepted": accepted, "heard": word in flights.early_log(site), "done": done}


def pin(agent, *names: str) -> None:
    """Asks for the names, so that their addresses are pinned."""
    for name in names:
        assert agent.do("resolve", name=name)["ok"], name


# What became of it


def gone(answer: dict[str, Any]) -> bool:
    return not answer["ok"] and answer["error"] in GONE


def flight_event(daemon, site_or_address: Any, port: int = 443, timeout: float = 15, **wanted: Any) -> dict[str, Any]:
    """The newest event of a destination that says what was spoken."""

    def look() -> list[dict[str, Any]]:
        found = daemon.events(to=site_or_address, port=port, **wanted)
        return [event for event in found if (event.get("destination") or {}).get("application")]

    recent = daemon.events(to=site_or_address, port=port)[-4:]
    found = eventually(look, timeout, f"an event of {site_or_address} {port} with {wanted}; there are {recent}")
    return max(found, key=lambda event: event["seq"])


def allowed_event(daemon, address: str, name: str | None, application: str = "tls", port: int = 443, **wanted: Any):
    """The event of an allowed flight, checked."""
    event = flight_event(daemon, address, port, verdict="allow", **wanted)
    assert (event["kind"], event["reason"]) == ("request", "rule"), event
    assert event["destination"]["application"] == application, event
    assert event["destination"].get("name") == name, event
    if application in ("tls", "quic"):
        assert JA4.fullmatch(event["flight"]["ja4"]), event
        assert event["flight"]["ja4"][0] == ("t" if application == "tls" else "q")
    assert "finding" not in event or event["finding"] is None
    return event


def wrong_name(daemon, address: str, right: str, asked: str | None, port: int = 443, application: str = "tls"):
    """The event of a flight with another server name, checked."""
    event = flight_event(daemon, address, port, verdict="deny", reason="wrong-name")
    assert (event["kind"], event["destination"]["application"]) == ("request", application), event
    assert event["destination"].get("name") == right, event
    assert event.get("flight", {}).get("serverName") == asked, event
    if asked is not None:
        assert asked in event["message"] and right in event["message"], event
    return event


def wrong_protocol(daemon, address: str, application: str, port: int = 443, **wanted: Any):
    event = flight_event(daemon, address, port, verdict="deny", reason="wrong-protocol", **wanted)
    assert (event["kind"], event["destination"]["application"]) == ("request", application), event
    assert len(event.get("flight", {}).get("excerpt", "")) <= 64, event
    return event


def payloads(capture, address: str, port: int | None = None) -> list[Any]:
    """The packets with a payload that arrived for an address."""
    return [
        one
        for one in capture.find()
        if one.destination == address and one.payload and one.protocol in (6, 17)
        and (port is None or one.destination_port == port)
    ]  # fmt: skip


def nothing_left(flights, capture, address: str, port: int = 443) -> None:
    """No payload came to the address, and the server there heard nothing."""
    assert payloads(capture, address, port) == []
    assert flights.arrived(local=[address, port]) == []


def stood(capture, answer: dict[str, Any]) -> float:
    """How many seconds an answer's connection stood, as the wire has it; one that says nothing has ten."""
    port = answer["source"][1]
    begun = capture.wait(protocol=6, source_port=port)[0].at
    return capture.end_of(port).at - begun


def peer_ended(flights, answer: dict[str, Any], timeout: float = 15) -> None:
    """The server at the other end of an answer's connection learned that it is over."""
    flights.servers.wait_closed(answer["source"][1], timeout)


