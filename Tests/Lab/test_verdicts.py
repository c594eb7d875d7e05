"""Allow, deny, and how they lie over each other: the evaluator's answer in every order."""

import itertools
import json

import pytest
from conftest import JOB, job_policy
from daemon import policy, rule


def refused(answer):
    return not answer["ok"] and answer["error"] == "ECONNREFUSED"


def test_allowed_destination_connects(daemon, job, basic, family):
    daemon.start(basic)
    assert job.tcp(family.storage, 443)["ok"]
    assert job.tcp(family.storage, 9010)["ok"]
    assert job.udp(family.storage, 443, timeout=15)["ok"]


def test_unknown_destination_is_refused_at_once_and_nothing_leaves(ground, daemon, job, basic, family):
    daemon.start(basic)
    with ground.capture() as capture:
        answer = job.tcp(family.stranger, 443)
        assert refused(answer), answer
        assert answer["again"] == 0, "it was not at once: the kernel has asked again"
        # Not told by an ICMP error when the kernel has sent too many of them: then it is silence.
        assert not job.udp(family.stranger, 443, connect=True)["ok"]
        assert capture.find(destination=family.stranger) == []
    event = daemon.wait_event(to=family.stranger, port=443, transport="tcp")
    assert (event["verdict"], event["reason"], event["workload"]) == ("deny", "unknown-destination", "job")
    assert daemon.wait_event(to=family.stranger, port=443, transport="udp")["verdict"] == "deny"


def test_a_port_outside_the_range_is_refused(daemon, job, basic, family):
    daemon.start(basic)
    assert refused(job.tcp(family.storage, 9011))
    assert not job.udp(family.storage, 7777, connect=True)["ok"]


def test_deny_beats_allow_and_says_which_rule(daemon, job, basic, family):
    daemon.start(basic)
    assert refused(job.tcp(family.secret, 443))
    event = daemon.wait_event(to=family.secret, port=443)
    assert (event["reason"], event["rule"]) == ("denied-by-rule", "secrets")


def test_metadata_needs_a_rule_for_exactly_that_address(ground, daemon, job, family):
    wide = job_policy(ground, family, allow=[rule("all", family.all, ["any"])], deny=[])
    exact = job_policy(
        ground, family, allow=[rule("all", family.all, ["any"]), rule("metadata", family.metadata, [80])], deny=[]
    )
    daemon.start({"job": wide})
    assert job.tcp(family.stranger, 80)["ok"]
    assert refused(job.tcp(family.metadata, 80))
    assert daemon.wait_event(to=family.metadata, port=80)["reason"] == "special-address"
    daemon.reload({"job": exact})
    assert job.tcp(family.metadata, 80)["ok"]
    daemon.reload({"job": wide})
    assert refused(job.tcp(family.metadata, 80))


def overlaps(family):
    """Policies whose rules cross in addresses and ports, and what each must answer."""
    narrow = f"{family.storage}/{32 if ':' not in family.storage else 128}"
    return {
        "deny inside an allow": (
            [rule("a", family.storage_prefix, ["any"])],
            [rule("d", narrow, [443])],
            {(family.storage, 443): False, (family.storage, 80): True, (family.secret, 443): True},
        ),
        "allow inside a deny": (
            [rule("a", narrow, [443])],
            [rule("d", family.storage_prefix)],
            {(family.storage, 443): False, (family.storage, 80): False, (family.secret, 443): False},
        ),
        "ports cross": (
            [rule("a", family.storage_prefix, ["80-8000"])],
            [rule("d", family.storage_prefix, ["443-9000"])],
            {(family.storage, 80): True, (family.storage, 443): False, (family.storage, 8000): False,
             (family.storage, 9000): False},
        ),
        "addresses and ports cross": (
            [rule("a", family.storage_prefix, ["443-8443"]), rule("b", narrow, ["80-9010"])],
            [rule("d", family.secret_prefix, ["80-7777"]), rule("e", family.storage_prefix, [7777])],
            {(family.storage, 80): True, (family.storage, 443): True, (family.storage, 7777): False,
             (family.storage, 9010): True, (family.secret, 443): False, (family.secret, 8000): True,
             (family.secret, 80): False},
        ),
        "two allows over each other": (
            [rule("a", family.storage_prefix, ["443-8000"]), rule("b", family.secret_prefix, ["80-9000"])],
            [],
            {(family.storage, 80): False, (family.storage, 443): True, (family.secret, 80): True,
             (family.secret, 9000): True, (family.storage, 9000): False},
        ),
    }  # fmt: skip


def check(job, expected, label):
    for (address, port), allowed in expected.items():
        answer = job.tcp(address, port)
        assert answer["ok"] == allowed, f"{label}: {address} port {port} gave {answer}"
        assert allowed or answer["error"] == "ECONNREFUSED", f"{label}: {answer}"


def test_overlaps_in_every_order_of_reloads(ground, daemon, job, family):
    cases = overlaps(family)
    daemon.start({"job": job_policy(ground, family)})
    # Every ordered pair, so that each ruleset is reached from each other one by the difference alone.
    for first, second in itertools.permutations(cases, 2):
        for label in (first, second):
            allow, deny, expected = cases[label]
            daemon.reload({"job": job_policy(ground, family, allow=allow, deny=deny)})
            check(job, expected, f"{first}, then {second}")
    seen = 0
    for allow, deny, expected in cases.values():
        for rules in itertools.permutations(allow):
            daemon.reload({"job": job_policy(ground, family, allow=list(rules), deny=list(reversed(deny)))})
            check(job, expected, "rules in another order")
            seen += assert_disjoint(ground)
    assert seen > 0, "no element was looked at"


def test_order_of_files_does_not_matter(ground, daemon, family):
    cgroups = {"one": "training.slice/one.service", "two": "training.slice/two.service"}
    agents = {name: ground.agent(cgroup, uid=1001) for name, cgroup in cgroups.items()}
    texts = {
        "one": policy("one", ground.glob(cgroups["one"]), allow=[rule("a", family.storage_prefix, ["any"])],
                      deny=[rule("d", family.storage_prefix, [443])]),
        "two": policy("two", ground.glob(cgroups["two"]), allow=[rule("a", family.storage_prefix, [443])]),
    }  # fmt: skip
    daemon.start({})
    for files in (("a-one", "b-two"), ("b-one", "a-two")):
        daemon.reload({file: texts[file[2:]] for file in files})
        assert refused(agents["one"].tcp(family.storage, 443))
        assert agents["one"].tcp(family.storage, 80)["ok"]
        assert agents["two"].tcp(family.storage, 443)["ok"]
        assert refused(agents["two"].tcp(family.storage, 80))


def interval(part):
    """The lowest and highest value of one field of an element, as nft's JSON prints it."""
    import ipaddress

    if isinstance(part, dict) and "range" in part:
        return interval(part["range"][0])[0], interval(part["range"][1])[1]
    if isinstance(part, dict) and "prefix" in part:
        network = ipaddress.ip_network(f"{part['prefix']['addr']}/{part['prefix']['len']}")
        return int(network[0]), int(network[-1])
    if isinstance(part, str):
        if part in ("tcp", "udp"):
            return (6, 6) if part == "tcp" else (17, 17)
        if "-" in part:
            low, high = part.split("-")
            return interval(low)[0], interval(high)[1]
        try:
            number = int(ipaddress.ip_address(part))
        except ValueError:
            number = int(part, 0)
        return number, number
    return int(part), int(part)


def assert_disjoint(ground):
    """No two elements of an interval map or set intersect: the kernel would silently order them."""
    listing = json.loads(ground.host.command("nft", "-j", "list", "table", "inet", "egressd"))
    seen = 0
    for entry in listing["nftables"]:
        described = entry.get("map") or entry.get("set")
        if described is None or "interval" not in described.get("flags", []):
            continue
        boxes = []
        for element in described.get("elem", []):
            key = element[0] if isinstance(element, list) else element
            key = key["elem"]["val"] if isinstance(key, dict) and "elem" in key else key
            boxes.append([interval(part) for part in key["concat"]])
        seen += len(boxes)
        for left, right in itertools.combinations(boxes, 2):
            crossing = all(a[0] <= b[1] and b[0] <= a[1] for a, b in zip(left, right))
            assert not crossing, f"{described['name']}: {left} and {right} intersect"
    return seen


def test_a_bad_file_changes_nothing(ground, daemon, job, basic, family):
    daemon.start(basic)
    status, output, errors = daemon.ctl("status", check=False)
    assert status == 0, output + errors
    daemon.write({**basic, "bad": "workload: bad\nidentity: {cgroup: x}\nport: 3\n"})
    status, output, errors = daemon.ctl("reload", check=False)
    assert status == 1, (status, output, errors)
    assert "unknown key 'port'" in output + errors
    assert "bad.yaml:3:1" in output + errors
    assert job.tcp(family.storage, 443)["ok"]
    assert refused(job.tcp(family.stranger, 443))
    daemon.wait_event(kind="reload", verdict="deny")


def test_sighup_loads_the_difference(ground, daemon, job, basic, family):
    import time

    daemon.start(basic)
    assert refused(job.tcp(family.other, 443))
    daemon.write({"job": job_policy(ground, family, allow=[rule("other", family.other, [443])])})
    daemon.hangup()
    deadline = time.monotonic() + 5
    while not job.tcp(family.other, 443)["ok"]:
        assert time.monotonic() < deadline, daemon.log()[-2000:]
    assert refused(job.tcp(family.storage, 443))


def test_a_rule_with_names_allows_nothing_yet(ground, daemon, job, family):
    daemon.start({"job": job_policy(ground, family, allow=[rule("names", ["packages.example.org"], [443])])})
    assert refused(job.tcp(family.stranger, 443))


@pytest.mark.parametrize("path", ["certain", "other"])
def test_executable_rules_need_that_program(ground, daemon, job, family, path):
    from lab import PYTHON

    program = PYTHON if path == "certain" else "/usr/bin/curl"
    allow = [rule("one-program", family.stranger, [443], executable=program)]
    daemon.start({"job": job_policy(ground, family, allow=allow)})
    answer = job.tcp(family.stranger, 443)
    if path == "certain":
        assert answer["ok"], answer
        event = daemon.wait_event(to=family.stranger, port=443, verdict="allow")
        assert (event["rule"], event["process"]["executable"]) == ("one-program", PYTHON)
    else:
        assert refused(answer)
        event = daemon.wait_event(to=family.stranger, port=443)
        assert (event["verdict"], event["reason"]) == ("deny", "wrong-executable")


def test_a_wrong_program_does_not_spoil_it_for_the_right_one(ground, daemon, job, family):
    """What the kernel remembers of a refusal must not answer for another program of the same workload."""
    import shutil

    from lab import PYTHON

    copy = ground.directory / "another-python"
    shutil.copy(PYTHON, copy)
    allow = [rule("one-program", family.stranger, [443], executable=PYTHON)]
    daemon.start({"job": job_policy(ground, family, allow=allow)})
    wrong = ground.agent(JOB, uid=1001, python=str(copy))
    for _ in range(3):
        assert refused(wrong.tcp(family.stranger, 443))
        assert job.tcp(family.stranger, 443)["ok"]


def test_an_executable_rule_holds_for_busy_programs(ground, daemon, family):
    """Several programs of one workload, as fast as they can: what is allowed is never refused for want of time."""
    from lab import PYTHON

    allow = [rule("one-program", family.stranger, [443], executable=PYTHON)]
    daemon.start({"job": job_policy(ground, family, allow=allow)})
    agents = [ground.agent(JOB, uid=1001) for _ in range(3)]
    busy = [agent.begin("repeat", to=[family.stranger, 443], count=500) for agent in agents]
    assert [one.wait()["outcomes"] for one in busy] == [{"open": 500}] * 3


def test_the_table_can_be_listed_and_compiles_to_itself(ground, daemon, job, basic, family):
    daemon.start(basic)
    job.tcp(family.storage, 443)
    first = ground.host.command("nft", "list", "table", "inet", "egressd")
    assert "chain decide" in first and "chain identify" in first and "chain inbound" in first
    assert ground.host.command("nft", "list", "table", "inet", "egressd") == first
    assert "bypass" not in first
    compiled = job.run(str(ground.egressd), "version")
    assert compiled["status"] == 0
    import subprocess

    text = subprocess.run(
        [ground.egressd, "policy", "compile", daemon.policies], capture_output=True, text=True, check=True
    ).stdout
    for chain in ("chain identify", "chain decide", "chain inbound", "chain forward"):
        assert chain in text and chain in first
