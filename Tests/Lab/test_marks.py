"""Packet marks: none that a program sets passes for the broker's answer, and none is lost on the way."""

from conftest import JOB, job_policy
from daemon import rule


def test_no_forged_mark_opens_anything(ground, daemon, basic, family):
    """All 256 values of the byte that the broker answers in, TCP and UDP, as a user with CAP_NET_RAW."""
    daemon.start(basic)
    forger = ground.agent(JOB, uid=1001, capabilities=("net_raw",))
    with ground.capture() as capture:
        for top in range(256):
            for mark in (top << 24, top << 24 | 0xFFFFFF):
                answer = forger.tcp(family.stranger, 443, mark=mark, timeout=1)
                assert answer.get("error") == "ECONNREFUSED", (hex(mark), answer)
            answer = forger.udp(family.stranger, 443, mark=top << 24, reply=False)
        assert capture.find(destination=family.stranger) == []
    assert forger.tcp(family.storage, 443, mark=0xFF000000)["ok"]


def test_no_forged_mark_passes_over_loopback(ground, daemon, basic, family):
    ground.agent().do("serve", at=[family.loopback, 5600])
    daemon.start(basic)
    forger = ground.agent(JOB, uid=1001, capabilities=("net_raw",))
    for top in range(256):
        assert forger.tcp(family.loopback, 5600, mark=top << 24, timeout=1).get("error") == "ECONNREFUSED", top


def wg_quick(ground, family, through_table):
    """The routing of wg-quick: everything without its mark goes by a table of its own. Only one of the two tables leads
    to the world, so that a packet whose mark was touched has no way."""
    flag = "-6" if ":" in family.host else "-4"
    way = ["default", "via", family.world, "dev", "uplink"]
    ip = ground.host.command
    ip("ip", flag, "rule", "add", "not", "fwmark", "51820", "table", "51820")
    ground.stack.callback(ip, "ip", flag, "rule", "del", "not", "fwmark", "51820", "table", "51820", check=False)
    ip("ip", flag, "route", "add", *(way if through_table else ["unreachable", "default"]), "table", "51820")
    ground.stack.callback(ip, "ip", flag, "route", "flush", "table", "51820", check=False)
    if through_table:
        ip("ip", flag, "route", "del", *way)
        ground.stack.callback(ip, "ip", flag, "route", "add", *way, check=False)


def count_marks(ground, mark):
    """Counts, after all of the daemon's chains, packets with this very mark."""
    ground.host.nft(
        f"""table inet lab_marks {{
            chain after {{ type filter hook postrouting priority 300; meta mark {mark} counter; }}
        }}"""
    )


def counted(ground):
    listing = ground.host.command("nft", "list", "table", "inet", "lab_marks")
    return int(listing.split("counter packets ")[1].split()[0])


def paths(ground, daemon, family, agent, **keys):
    """One connection by the fast path, one by the broker, one by an operator's approval; UDP too."""
    assert agent.tcp(family.storage, 443, **keys)["ok"]
    assert agent.udp(family.storage, 443, **keys)["ok"]
    assert agent.tcp(family.third, 443, **keys)["ok"]
    assert agent.udp(family.third, 443, **keys)["ok"]
    assert agent.tcp(family.stranger, 443, **keys)["error"] == "ECONNREFUSED"
    daemon.approve(family.stranger, 443)
    assert agent.tcp(family.stranger, 443, **keys)["ok"]


def brokered(ground, family):
    from lab import PYTHON

    storage = rule("storage", family.storage_prefix, [443, "443/udp"])
    asked = rule("asked", family.third, [443, "443/udp"], executable=PYTHON)
    return {"job": job_policy(ground, family, allow=[storage, asked])}


def test_wg_quick_routing_of_unmarked_packets(ground, daemon, job, family):
    wg_quick(ground, family, through_table=True)
    daemon.start(brokered(ground, family))
    count_marks(ground, "0x0")
    paths(ground, daemon, family, job)
    assert counted(ground) > 12


def test_wg_quick_routing_of_marked_packets(ground, daemon, family):
    wg_quick(ground, family, through_table=False)
    daemon.start(brokered(ground, family))
    marker = ground.agent(JOB, uid=1001, capabilities=("net_raw",))
    count_marks(ground, "51820")
    paths(ground, daemon, family, marker, mark=51820)
    assert counted(ground) > 12


def test_marks_of_other_traffic_are_left_alone(ground, daemon, basic, family):
    """Only a workload's packets lose the top byte."""
    daemon.configure(unidentified="allow")
    daemon.start(basic)
    count_marks(ground, "0x01000007")
    assert ground.agent().tcp(family.stranger, 443, mark=0x01000007)["ok"]
    assert counted(ground) >= 3
