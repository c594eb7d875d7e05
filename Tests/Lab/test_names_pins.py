"""Pins: how long they live, what ends them, how many there are, and that they outlive the daemon."""

import contextlib
import sqlite3
import time

import pytest
from daemon import rule
from names_checks import (
    ask, code, eventually, lifetime, named_policy, named_rule, pinned, pins, refused, request_named, resolve,
)  # fmt: skip
from names_world import POOL_PORT, asker, daemon, names_world, site, world  # noqa: F401
from resources import record_of, stored

NAME = "storage.lab.test"
NEIGHBOUR = "training.slice/neighbour.service"


def opened(agent, address, port=443):
    answer = agent.tcp(address, port, keep=True)
    assert answer["ok"], answer
    return answer


def test_pins_live_an_hour_whatever_the_ttl(ground, daemon, world, asker, job, site):
    world.set(("brief.lab.test", site.type, 0, [site.first]), ("long.lab.test", site.type, 20_000, [site.second]))
    daemon.start({"job": named_policy(ground, "*.lab.test")})
    assert resolve(asker, site, "brief.lab.test") and resolve(asker, site, "long.lab.test")
    (brief,), (long,) = pins(daemon, name="brief.lab.test"), pins(daemon, name="long.lab.test")
    assert 3500 < lifetime(brief) < 3700 and 19_000 < lifetime(long) < 20_100
    # The name moves on; a program that remembers the old address is not cut off.
    world.set(("brief.lab.test", site.type, 0, [site.third]))
    assert resolve(asker, site, "brief.lab.test") == [site.third]
    assert pinned(daemon, name="brief.lab.test") == {site.first, site.third}
    assert job.tcp(site.first, 443)["ok"] and job.tcp(site.third, 443)["ok"]


def test_a_killed_daemon_leaves_its_pins_in_force(ground, daemon, world, asker, job, site):
    names = [NAME, "any.lab.test"]
    world.set((NAME, site.type, 300, [site.first]), ("any.lab.test", site.type, 300, [site.second]))
    daemon.start({"job": named_policy(ground, NAME, more=[named_rule("any.lab.test", ["any"], name="every-port")])})
    for name in names:
        resolve(asker, site, name)
    stays = [opened(job, site.first), opened(job, site.second, 8443)]
    # No answer is to be had from now on: what works, works without one.
    world.stop()
    daemon.ctl("log", "--limit", "1")  # whoever reads the record comes behind what was to be written
    daemon.kill()
    assert job.tcp(site.first, 443)["ok"], "what is pinned for few ports does not need the daemon"
    daemon.start()
    assert job.tcp(site.first, 443)["ok"] and job.tcp(site.second, 8443)["ok"]
    for one in stays:
        assert job.echo(one["handle"])["ok"]
    assert refused(job.tcp(site.first, 8443)) and refused(job.tcp(site.unknown, 443))
    assert pinned(daemon, workload="job") == {site.first, site.second}
    assert daemon.wait_event(to=site.first, port=8443)["destination"]["name"] == NAME
    # Orderly, too.
    assert daemon.stop() == 0
    daemon.start()
    assert job.tcp(site.first, 443)["ok"] and job.tcp(site.second, 8443)["ok"]


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_what_is_open_outlives_its_pin_and_the_daemon(ground, daemon, world, asker, job, site, how):
    """A download of some hours: its pin has ended long ago, and the daemon is started anew, twice."""
    world.set((NAME, site.type, 300, [site.first]))
    daemon.start({"job": named_policy(ground, NAME)})
    resolve(asker, site, NAME)
    stays = opened(job, site.first)
    time.sleep(0.2)  # pins are on the disk a moment after they are in force
    daemon.kill()
    with contextlib.closing(sqlite3.connect(record_of(daemon))) as database, database:
        # As it is some hours later.
        database.execute("UPDATE pins SET expires = expires - 14400000000")
    for _ in range(2):
        daemon.start()
        assert job.echo(stays["handle"])["ok"]
        assert refused(job.tcp(site.first, 443)), "nobody new"
        assert pinned(daemon, workload="job") == set()
        assert daemon.wait_event(to=site.first, port=443, verdict="deny")["destination"]["name"] == NAME
        eventually(lambda: stored(daemon, "SELECT expires < 0 FROM pins") == [1], 2, "it has ended for good")
        daemon.kill() if how == "killed" else daemon.stop()
    daemon.start({"job": named_policy(ground, "other.lab.test")})
    world.echo.wait_closed(stays["source"][1], 2)
    eventually(lambda: stored(daemon, "SELECT count(*) FROM pins") == [0], 2, "no policy allows it")


def test_a_policy_narrowed_while_the_daemon_was_away(ground, daemon, world, asker, job, site):
    world.set((NAME, site.type, 300, [site.first]), ("other.lab.test", site.type, 300, [site.second]))
    daemon.start({"job": named_policy(ground, [NAME, "other.lab.test"])})
    for name in (NAME, "other.lab.test"):
        resolve(asker, site, name)
    doomed, stays = opened(job, site.first), opened(job, site.second)
    daemon.ctl("log", "--limit", "1")  # whoever reads the record comes behind what was to be written
    daemon.kill()
    daemon.start({"job": named_policy(ground, "other.lab.test")})
    world.echo.wait_closed(doomed["source"][1], 2)
    assert job.echo(stays["handle"])["ok"]
    assert refused(job.tcp(site.first, 443)) and job.tcp(site.second, 443)["ok"]
    assert pinned(daemon, workload="job") == {site.second}


def test_a_name_that_goes_from_the_policy_takes_its_pins_along(ground, daemon, world, asker, job, site):
    world.set((NAME, site.type, 300, [site.first, site.second]), ("other.lab.test", site.type, 300, [site.second]))
    neighbour = named_policy(ground, NAME, cgroup=NEIGHBOUR)
    daemon.start({"job": named_policy(ground, [NAME, "other.lab.test"]), "neighbour": neighbour})
    apart, elsewhere = world.asker(NEIGHBOUR, nameservers=[site.resolver]), ground.agent(NEIGHBOUR, uid=1001)
    for one, name in ((asker, NAME), (asker, "other.lab.test"), (apart, NAME)):
        resolve(one, site, name)
    doomed, stays, theirs = opened(job, site.first), opened(job, site.second), opened(elsewhere, site.first)
    daemon.reload({"job": named_policy(ground, "other.lab.test"), "neighbour": neighbour})
    world.echo.wait_closed(doomed["source"][1], 1.5)
    assert refused(job.tcp(site.first, 443)) and code(ask(asker, site, NAME)) == "REFUSED"
    assert pinned(daemon, workload="job", name=NAME) == set()
    # The address is also another name's, and the name is also another workload's.
    assert job.tcp(site.second, 443)["ok"] and job.echo(stays["handle"])["ok"]
    assert elsewhere.echo(theirs["handle"])["ok"] and elsewhere.tcp(site.first, 443)["ok"]


def test_fewer_ports_narrow_the_pins(ground, daemon, world, asker, job, site):
    world.set((NAME, site.type, 300, [site.first]))
    daemon.start({"job": named_policy(ground, NAME, [443, 8443])})
    resolve(asker, site, NAME)
    doomed, stays = opened(job, site.first, 8443), opened(job, site.first, 443)
    daemon.reload({"job": named_policy(ground, NAME, [443])})
    world.echo.wait_closed(doomed["source"][1], 1.5)
    assert refused(job.tcp(site.first, 8443)) and job.tcp(site.first, 443)["ok"] and job.echo(stays["handle"])["ok"]
    # And wider again: the pin is still there.
    daemon.reload({"job": named_policy(ground, NAME, [443, 80])})
    assert job.tcp(site.first, 80)["ok"]


@pytest.mark.parametrize("ports", [[443], ["any"]], ids=["port", "any"])
def test_deny_beats_pins(ground, daemon, world, asker, job, site, ports):
    length = 32 if site.type == "A" else 128
    deny = [rule("never", f"{site.first}/{length}")]
    world.set((NAME, site.type, 300, [site.first, site.second]))
    daemon.start({"job": named_policy(ground, NAME, ports)})
    resolve(asker, site, NAME)
    doomed, stays = opened(job, site.first), opened(job, site.second)
    daemon.reload({"job": named_policy(ground, NAME, ports, deny=deny)})
    world.echo.wait_closed(doomed["source"][1], 1.5)
    assert refused(job.tcp(site.first, 443)) and job.tcp(site.second, 443)["ok"] and job.echo(stays["handle"])["ok"]
    # In the other order too: the name is asked for under the deny.
    ask(asker, site, NAME)
    assert refused(job.tcp(site.first, 443))
    event = daemon.wait_event(to=site.first, port=443, verdict="deny", reason="denied-by-rule")
    assert event["rule"] == "never"


def test_a_denied_name_under_an_allowed_wildcard(ground, daemon, world, asker, job, site):
    world.set((NAME, site.type, 300, [site.first]), ("secret.lab.test", site.type, 300, [site.second]))
    deny = [{"name": "never", "to": ["secret.lab.test"]}]
    daemon.start({"job": named_policy(ground, "*.lab.test")})
    resolve(asker, site, "secret.lab.test")
    doomed = opened(job, site.second)
    daemon.reload({"job": named_policy(ground, "*.lab.test", deny=deny)})
    world.echo.wait_closed(doomed["source"][1], 1.5)
    assert refused(job.tcp(site.second, 443)) and code(ask(asker, site, "secret.lab.test")) == "REFUSED"
    assert resolve(asker, site, NAME) == [site.first] and job.tcp(site.first, 443)["ok"]


def test_pins_of_one_name_are_bounded_and_the_oldest_go(ground, daemon, world, asker, job, site):
    """A name that answers with other addresses each time."""
    world.set(("other.lab.test", site.type, 300, [site.first]))
    daemon.start({"job": named_policy(ground, "*.lab.test", [443, POOL_PORT])})
    resolve(asker, site, "other.lab.test")
    given = []
    for number in range(50):
        given.append([site.pool(number * 20 + one + 1) for one in range(20)])
        world.set((NAME, site.type, 0, given[-1]))
        assert sorted(resolve(asker, site, NAME)) == sorted(given[-1])
    kept = pinned(daemon, name=NAME)
    assert set(given[-1]) <= kept and len(kept) < 1000 and not set(given[0]) & kept, len(kept)
    assert job.tcp(given[-1][0], POOL_PORT)["ok"] and job.tcp(given[-1][-1], POOL_PORT)["ok"]
    assert refused(job.tcp(given[0][0], POOL_PORT))
    assert job.tcp(site.first, 443)["ok"], "another name paid for it"


def test_names_are_asked_ahead_while_the_workload_lives(ground, daemon, world, asker, job, site):
    """A program with a cache of its own learns of a new address from nobody, and whoever tells it may be no resolver."""
    world.set((NAME, site.type, 1, [site.first]), ("x.wide.lab.test", site.type, 1, [site.second]))
    daemon.start({"job": named_policy(ground, [NAME, "*.wide.lab.test"])})
    assert resolve(asker, site, NAME) and resolve(asker, site, "x.wide.lab.test")
    world.set((NAME, site.type, 300, [site.third]), ("x.wide.lab.test", site.type, 300, [site.third]))
    eventually(lambda: site.third in pinned(daemon, name=NAME), 15, "the broker asked by itself")
    assert job.tcp(site.third, 443)["ok"] and job.tcp(site.first, 443)["ok"]
    assert pinned(daemon, name="x.wide.lab.test") == {site.second}, "nobody asked for it again"


def test_an_unknown_address_is_told_with_the_name_it_is_known_as(ground, daemon, world, asker, site):
    """Pinned for one workload, asked for by another."""
    world.set((NAME, site.type, 300, [site.first]))
    daemon.start({"job": named_policy(ground, NAME), "neighbour": named_policy(ground, "other.lab.test", cgroup=NEIGHBOUR)})
    resolve(asker, site, NAME)
    elsewhere = ground.agent(NEIGHBOUR, uid=1001)
    assert refused(elsewhere.tcp(site.first, 443))
    entry = daemon.request_for(site.first, 443, workload="neighbour")
    assert NAME in str(entry), entry
    ask(asker, site, "evil.example")
    assert request_named(daemon, "evil.example")
