"""The record cannot be written, or cannot be read any more: nothing unknown gets out, no denial is lost, and it is said."""

import os
import random
import re
import sqlite3
import subprocess

import pytest
from conftest import SEED, job_policy
from families import IPV4
from resources import (
    alarms, eventually, fill, on_a_disk_that_fails, on_a_small_disk, record_of, rewrite, roots, set_aside, stored, warned,
    write_lock,
)  # fmt: skip


def refused(job, address, ports):
    """Tries destinations that no rule allows, one after the other."""
    answer = job.do("repeat", to=[address, 0], ports=list(ports), count=len(ports), timeout=2)
    assert answer["outcomes"] == {"ECONNREFUSED": len(ports)}, answer


def denied_ports(daemon, address):
    return {event["destination"]["port"] for event in daemon.events(to=address, verdict="deny")}


def test_a_full_disk_loses_no_denial(ground, daemon, job, basic, family):
    """They wait in memory, are said to wait, and are all there once there is room."""
    on_a_small_disk(ground, daemon, 4096)
    daemon.start(basic)
    job.tcp(family.stranger, 443)
    daemon.wait_event(to=family.stranger, port=443)
    filler = fill(daemon.state)
    ports = range(20_000, 20_400)
    refused(job, family.stranger, ports)
    assert job.tcp(family.storage, 443)["ok"]
    eventually(lambda: "cannot be written" in daemon.log() and warned(daemon, "full", "make room"), "it is not said")
    # What is there can be read meanwhile, with a word about what is not.
    status, output, errors = daemon.ctl("log", check=False)
    assert status == 0 and family.stranger in output
    assert "wait in memory" in errors, errors
    filler.unlink()
    eventually(lambda: denied_ports(daemon, family.stranger) >= set(ports), "denials are missing")
    eventually(lambda: alarms(daemon, "written again", "full"), "the gap is not in the record")
    assert not warned(daemon, "full")


def test_a_record_on_a_read_only_disk(ground, daemon, job, basic, family):
    """It does not start, says why, and the earlier table stays in force."""
    on_a_small_disk(ground, daemon, 4096)
    daemon.start(basic)
    assert job.tcp(family.storage, 443)["ok"]
    daemon.kill()
    subprocess.run(["mount", "-o", "remount,ro", daemon.state], check=True)
    process = daemon.launch()
    assert process.wait(10) == 1
    assert "read-write" in daemon.log(), daemon.log()
    assert not job.tcp(family.stranger, 443, timeout=1)["ok"]
    assert job.tcp(family.storage, 443)["ok"]
    subprocess.run(["mount", "-o", "remount,rw", daemon.state], check=True)
    daemon.start()
    assert job.tcp(family.stranger, 443)["error"] == "ECONNREFUSED"


def test_a_disk_that_becomes_read_only_while_it_runs(ground, daemon, job, basic, family):
    """Verdicts go on, approvals are refused with the reason, it is said, and so is what is lost in the end."""
    fail = on_a_disk_that_fails(ground, daemon)
    daemon.start(basic)
    job.tcp(family.third, 443)
    request = daemon.request_for(family.third, 443)
    fail()
    ports = range(24_000, 24_050)
    refused(job, family.stranger, ports)
    assert job.tcp(family.storage, 443)["ok"]
    eventually(lambda: warned(daemon, "cannot be written"), "it is not said")
    assert "what is refused just before the daemon is killed is lost" in daemon.log()
    status, _, errors = daemon.ctl("approve", str(request["request"]), "--for", "1h", check=False)
    assert status == 1 and "not approved" in errors, errors
    assert job.tcp(family.third, 443)["error"] == "ECONNREFUSED"
    assert daemon.stop() == 0
    assert re.search(r"(\d+) events are lost", daemon.log()), daemon.log()
    assert not job.tcp(family.stranger, 443, timeout=1)["ok"]
    assert job.tcp(family.storage, 443)["ok"]


def test_a_record_that_somebody_else_locks(ground, daemon, job, basic, family):
    """Verdicts go on at their pace, approvals fail with the reason, and what was revoked does not come back."""
    daemon.start(basic)
    job.tcp(family.other, 443)
    grant = daemon.approve(family.other, 443, duration="1h")
    job.tcp(family.third, 443)
    request = daemon.request_for(family.third, 443)
    ports = range(21_000, 21_050)
    with write_lock(daemon):
        refused(job, family.stranger, ports)
        assert job.tcp(family.storage, 443)["ok"]
        eventually(lambda: warned(daemon, "locked"), "the lock is not said")
        status, _, errors = daemon.ctl("approve", str(request["request"]), "--for", "1h", check=False)
        assert status == 1 and "locked" in errors, errors
        assert job.tcp(family.third, 443)["error"] == "ECONNREFUSED"
        status, _, errors = daemon.ctl("revoke", str(grant), check=False)
        assert status == 1 and "revoked and cut" in errors and "locked" in errors, errors
        assert job.tcp(family.other, 443)["error"] == "ECONNREFUSED"
    eventually(lambda: denied_ports(daemon, family.stranger) >= set(ports), "denials are missing")
    eventually(lambda: not warned(daemon, "locked"), "the lock is still said")
    daemon.kill()
    daemon.start()
    assert daemon.ctl("grants")["grants"] == []
    assert job.tcp(family.other, 443)["error"] == "ECONNREFUSED"


def test_a_locked_record_at_the_start(ground, daemon, job, basic, family):
    daemon.start(basic)
    assert job.tcp(family.storage, 443)["ok"]
    daemon.kill()
    with write_lock(daemon):
        process = daemon.launch()
        assert process.wait(10) == 1
        assert "locked" in daemon.log() and "end that program" in daemon.log(), daemon.log()
        assert not job.tcp(family.stranger, 443, timeout=1)["ok"]
        assert job.tcp(family.storage, 443)["ok"]
    daemon.start()


def header(daemon):
    roots(daemon)
    rewrite(record_of(daemon), 0, b"no database at all" * 20)


def page(daemon):
    at = roots(daemon)["events"]
    rewrite(record_of(daemon), (at - 1) * 4096, random.Random(SEED).randbytes(4096))


def index(daemon):
    at = roots(daemon)["requests_last"]
    rewrite(record_of(daemon), (at - 1) * 4096 + 8, b"\xff" * 100)


def truncated(daemon):
    roots(daemon)
    os.truncate(record_of(daemon), 3 * 4096)


def emptied(daemon):
    os.truncate(record_of(daemon), 0)


def log(daemon):
    path = daemon.state / "egressd.db-wal"
    rewrite(path, 0, random.Random(SEED).randbytes(path.stat().st_size))


def row(daemon):
    with sqlite3.connect(record_of(daemon)) as database:
        database.execute("UPDATE grants SET address = 'nowhere'")
    database.close()


@pytest.mark.in_turns
@pytest.mark.parametrize("damage", [header, page, index, truncated, emptied, log, row], ids=lambda one: one.__name__)
def test_a_damaged_record_at_the_start(ground, daemon, job, basic, family, damage):
    """Set aside, a new one begun with an alarm as its first line; every connection is judged anew, approvals are gone."""
    daemon.start(basic)
    job.tcp(family.stranger, 443)
    daemon.approve(family.stranger, 443, duration="1h")
    stays = [job.tcp(address, 443, keep=True) for address in (family.storage, family.stranger)]
    assert all(one["ok"] for one in stays)
    eventually(lambda: stored(daemon, "SELECT id FROM requests"), "the request is not stored")
    daemon.kill()
    damage(daemon)
    daemon.start()
    (aside,) = set_aside(daemon)
    first = min(daemon.events(), key=lambda event: event["seq"])
    assert first["kind"] == "alarm" and str(aside) in first["message"] and ".recover" in first["message"], first
    assert str(aside) in daemon.log()
    assert warned(daemon, str(aside))
    assert daemon.ctl("grants")["grants"] == []
    assert job.echo(stays[0]["handle"])["ok"], "what the policy allows was cut"
    assert not job.echo(stays[1]["handle"])["ok"], "what only a lost approval allowed goes on"
    assert job.tcp(family.storage, 443)["ok"]
    assert job.tcp(family.stranger, 443)["error"] == "ECONNREFUSED"
    # Approving works, and the new record is as good as any at the next start.
    daemon.approve(family.stranger, 443, duration="1h")
    daemon.kill()
    daemon.start()
    assert job.tcp(family.stranger, 443)["ok"]
    assert set_aside(daemon) == [aside]


def test_what_a_damaged_record_did_not_have_yet(ground, daemon, job, basic, family):
    """The daemon was killed with denials that only the files written ahead and the kernel know of: the new record has them."""
    daemon.start(basic)
    ports = range(23_000, 23_050)
    with write_lock(daemon):
        refused(job, family.stranger, ports)
        again = job.do("repeat", to=[family.other, 0], ports=[443], count=30, timeout=2)
        daemon.kill()
    assert again["outcomes"] == {"ECONNREFUSED": 30}, again
    header(daemon)
    daemon.start()
    assert set_aside(daemon)
    assert denied_ports(daemon, family.stranger) == set(ports)
    counted = sum(event.get("count", 1) for event in daemon.events(to=family.other, verdict="deny", port=443))
    assert counted == 30, daemon.events(to=family.other)
    # Once: the next start finds nothing that it does not have.
    daemon.kill()
    daemon.start()
    assert len(daemon.events(to=family.stranger, verdict="deny")) == len(ports)


def test_an_approval_that_cannot_be_renewed_stays(ground, daemon, job, basic, family):
    daemon.start(basic)
    job.tcp(family.other, 443)
    grant = daemon.approve(family.other, 443, duration="1h")
    request = daemon.request_for(family.other, 443)["request"]
    stays = job.tcp(family.other, 443, keep=True)
    with write_lock(daemon):
        status, _, errors = daemon.ctl("approve", str(request), "--for", "2h", check=False)
        assert status == 1 and "not approved" in errors and "locked" in errors, errors
    assert [one["grant"] for one in daemon.ctl("grants")["grants"]] == [grant]
    assert job.echo(stays["handle"])["ok"] and job.tcp(family.other, 443)["ok"]
    daemon.ctl("approve", str(request), "--for", "2h", "--reason", "renewed")
    (renewed,) = [one["grant"] for one in daemon.ctl("grants")["grants"]]
    assert renewed > grant
    daemon.kill()
    daemon.start()
    assert [one["grant"] for one in daemon.ctl("grants")["grants"]] == [renewed]
    assert job.echo(stays["handle"])["ok"]


def test_numbers_go_on_where_they_can_be_read(ground, daemon, job):
    """A number that a person has read means nothing else later."""
    daemon.start({"job": job_policy(ground, IPV4)})
    for port in range(1000, 1010):
        job.tcp(IPV4.stranger, port)
    before = daemon.request_for(IPV4.stranger, 1009)
    last = max(event["seq"] for event in daemon.events())
    eventually(lambda: before["request"] in stored(daemon, "SELECT id FROM requests"), "the request is not stored")
    daemon.kill()
    index(daemon)
    daemon.start()
    assert set_aside(daemon)
    assert min(event["seq"] for event in daemon.events()) > last
    job.tcp(IPV4.other, 443)
    assert daemon.request_for(IPV4.other, 443)["request"] > before["request"]


def test_a_record_of_a_newer_egressd_is_no_damage(ground, daemon, job, basic, family):
    daemon.start(basic)
    assert job.tcp(family.storage, 443)["ok"]
    daemon.kill()
    with sqlite3.connect(record_of(daemon)) as database:
        database.execute("PRAGMA user_version=99")
    database.close()
    process = daemon.launch()
    assert process.wait(10) == 1
    assert "schema 99" in daemon.log() and "newer" in daemon.log(), daemon.log()
    assert set_aside(daemon) == []
    assert not job.tcp(family.stranger, 443, timeout=1)["ok"]
    assert job.tcp(family.storage, 443)["ok"]


def overwritten(daemon):
    roots(daemon)
    rewrite(record_of(daemon), 0, random.Random(SEED).randbytes(record_of(daemon).stat().st_size))


def removed(daemon):
    for path in daemon.state.glob("egressd.db*"):
        path.unlink()


@pytest.mark.in_turns
@pytest.mark.parametrize("damage", [overwritten, removed], ids=lambda one: one.__name__)
def test_a_record_that_is_damaged_while_it_is_written(ground, daemon, job, basic, family, damage):
    """A new one goes on at once, with what is in force; no denial after the damage is lost, and approvals survive."""
    daemon.start(basic)
    job.tcp(family.other, 443)
    grant = daemon.approve(family.other, 443, duration="1h")
    stays = job.tcp(family.other, 443, keep=True)
    damage(daemon)
    ports = range(22_000, 22_100)
    refused(job, family.stranger, ports)
    eventually(lambda: alarms(daemon, "a new one starts here"), "no alarm")
    eventually(lambda: denied_ports(daemon, family.stranger) >= set(ports), "denials are missing")
    assert daemon.process.poll() is None
    assert warned(daemon, "a new one starts here")
    assert len(set_aside(daemon)) == (0 if damage is removed else 1)
    assert job.echo(stays["handle"])["ok"]
    active = "SELECT id FROM grants WHERE state = 'active'"
    eventually(lambda: stored(daemon, active) == [grant], "what is in force is not stored")
    daemon.kill()
    daemon.start()
    assert job.echo(stays["handle"])["ok"], "the approval was lost, or the workload's number"
    assert job.tcp(family.other, 443)["ok"]
    assert job.tcp(family.stranger, 443)["error"] == "ECONNREFUSED"
