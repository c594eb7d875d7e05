"""What is in the package, without a host: pages, completions, dependencies, and what lintian says."""

from __future__ import annotations

import re
import subprocess

import pytest

from conftest import REPOSITORY

COMMANDS = ["", "run", "sockets", "boot", "policy", "coverage", "ctl"]


def output(*words: str) -> str:
    return subprocess.run(list(map(str, words)), text=True, capture_output=True, check=True).stdout


@pytest.fixture(scope="module")
def files(deb):
    return output("dpkg-deb", "-c", deb)


@pytest.fixture(scope="module")
def tree(deb, tmp_path_factory):
    folder = tmp_path_factory.mktemp("package")
    output("dpkg-deb", "-x", deb, folder)
    return folder


def helps(egressd) -> dict[str, str]:
    return {command: output(egressd, *([command] if command else []), "--help") for command in COMMANDS}


def test_lintian_has_no_errors(deb):
    done = subprocess.run(
        ["lintian", "--allow-root", "--fail-on", "error", str(deb)], text=True, capture_output=True, check=False
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout
    assert not re.search(r"^E:", done.stdout, re.M)


def test_every_command_has_a_page_that_says_what_help_says(egressd, tree):
    for command, text in helps(egressd).items():
        page = tree / "usr/share/man/man8" / ("egressd" + (f"-{command}" if command else "") + ".8.gz")
        shown = output("man", "--warnings", "-P", "cat", page)
        words = re.sub(r"[^a-z-]+", " ", shown.lower())
        for word in re.findall(r"--[a-z]+", text):
            assert word in words, f"{page.name} does not name {word}"
    top = helps(egressd)[""]
    named = set(re.findall(r"^  egressd (\w+)", top, re.M)) - {"version", "help"}
    assert named == set(COMMANDS) - {""}, "a command has no page"


def test_the_completions_know_every_command_and_option(egressd, tree):
    texts = helps(egressd)
    wanted = set(re.findall(r"--[a-z]+", " ".join(texts.values())))
    wanted |= set(re.findall(r"^  egressd (\w+)", texts[""], re.M))
    wanted |= set(re.findall(r"^  egressd policy (\w+)", texts["policy"], re.M))
    wanted |= set(re.findall(r"^  ([a-z]+) ", texts["ctl"], re.M))
    assert {"--undo", "--elements", "explain", "approve", "version"} <= wanted
    for path in ("usr/share/bash-completion/completions/egressd", "usr/share/zsh/vendor-completions/_egressd"):
        known = set(re.findall(r"--[a-z]+|\b[a-z]+\b", (tree / path).read_text()))
        assert not wanted - known, f"{path} does not know {sorted(wanted - known)}"


@pytest.mark.parametrize(
    "line, expected",
    [
        ("egressd po", {"policy"}),
        ("egressd ctl app", {"approve"}),
        ("egressd ctl approve 7 --r", {"--reason"}),
        ("egressd boot --u", {"--undo"}),
        ("egressd coverage --j", {"--json"}),
        ("egressd policy explain --e", {"--executable"}),
        ("egressd version --j", {"--json"}),
        ("egressd help cov", {"coverage"}),
        ("egressd ctl log --verdict h", {"hold"}),
    ],
)
def test_bash_completes(line, expected, tree):
    script = f"""
        source {tree}/usr/share/bash-completion/completions/egressd
        COMP_LINE={line!r} COMP_POINT={len(line)}; read -ra COMP_WORDS <<< {line!r}
        COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _egressd; printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    assert set(output("bash", "-c", script).split()) == expected


def test_the_runtime_is_inside_and_the_rest_is_declared(deb, tree):
    libraries = output("ldd", tree / "usr/sbin/egressd")
    assert "swift" not in libraries.lower() and "not found" not in libraries
    depends = output("dpkg-deb", "-f", deb, "Depends")
    for package in ("libnftnl11", "libmnl0", "libyaml-0-2", "libsqlite3-0", "libssl3"):
        assert package in depends


def test_the_configuration_belongs_to_the_administrator(deb, files, egressd, tree):
    assert "/etc/egressd/egressd.yaml" in output("dpkg-deb", "-I", deb, "conffiles")
    units = ("training.slice", "egressd-workload.conf", "llm-pretrain@.service.d/egressd.conf")
    for path in ("examples/policies/llm-pretrain.yaml", *(f"examples/units/{unit}" for unit in units)):
        assert f"./usr/share/doc/egressd/{path}" in files
    text = (tree / "etc/egressd/egressd.yaml").read_text()
    assert re.search(r"^roles: \{approver: egress-approvers, viewer: egress-viewers\}$", text, re.M)


@pytest.mark.parametrize(
    "environment, ischroot, opens",
    [({}, 1, True), ({}, 0, False), ({}, 127, True), ({"DPKG_ROOT": "/elsewhere"}, 1, False)],
    ids=["host", "chroot", "no-ischroot", "dpkg-root"],
)
def test_only_the_hosts_own_removal_takes_the_table_away(deb, tmp_path, environment, ischroot, opens):
    output("dpkg-deb", "-e", deb, tmp_path / "control")
    said = tmp_path / "said"
    for name, status in (("egressd", 0), ("ischroot", ischroot), ("deb-systemd-invoke", 0), ("systemctl", 0)):
        (tmp_path / name).write_text(f'#!/bin/sh\necho {name} "$@" >> {said}\nexit {status}\n')
        (tmp_path / name).chmod(0o755)
    script = tmp_path / "prerm"
    script.write_text((tmp_path / "control/prerm").read_text().replace("/usr/sbin/egressd", f"{tmp_path}/egressd"))
    subprocess.run(
        ["sh", script, "remove"], env={"PATH": f"{tmp_path}:/usr/bin:/bin", **environment}, check=True, cwd="/"
    )
    lines = said.read_text().splitlines() if said.exists() else []
    assert ("egressd boot --undo" in lines) == opens, lines
    if environment:
        assert not [line for line in lines if line.startswith("deb-systemd-invoke")], "the host's units are another's"


def test_an_upgrade_stops_nothing_before_it_is_configured(deb, tmp_path):
    output("dpkg-deb", "-e", deb, tmp_path / "control")
    preinst = tmp_path / "control/preinst"
    assert not preinst.exists() or "stop" not in preinst.read_text()
    assert "try-restart" in (tmp_path / "control/postinst").read_text()


def test_every_example_policy_has_its_drop_in():
    units = REPOSITORY / "systemd/examples/units"
    for policy in (REPOSITORY / "policies").glob("*.yaml"):
        cgroup = re.search(r"^  cgroup: (\S+)", policy.read_text(), re.M)[1].split("/")
        unit = cgroup[-1].replace("*", "") if cgroup[-1].endswith(".service") else f"{policy.stem}@.service"
        assert (units / f"{unit}.d/egressd.conf").read_text() == (units / "egressd-workload.conf").read_text()
        # systemd derives a slice's place from its name.
        for parent, name in zip(cgroup, cgroup[1:]):
            assert not name.endswith(".slice") or name.startswith(parent.removesuffix("slice").replace(".", "-"))


def test_it_installs_without_the_package(egressd, tmp_path):
    words = ["make", "--no-print-directory", "-o", "build", "install", f"BUILD={egressd.parent.parent}"]
    subprocess.run([*words, f"DESTDIR={tmp_path}"], cwd=REPOSITORY, check=True, capture_output=True)
    local = tmp_path / "usr/local"
    for path in (
        "sbin/egressd", "lib/systemd/system/egressd-boot.service", "lib/systemd/system/egressd-sockets.socket",
        "lib/sysusers.d/egressd.conf", "lib/tmpfiles.d/egressd.conf", "share/man/man5/egressd.yaml.5",
        "share/bash-completion/completions/egressd", "share/zsh/site-functions/_egressd", "share/doc/egressd/README.md",
        "share/doc/egressd/egressd.yaml", "share/doc/egressd/examples/policies/llm-pretrain.yaml",
        "share/doc/egressd/examples/units/llm-pretrain@.service.d/egressd.conf",
    ):
        assert (local / path).exists(), path
    assert len(list((local / "share/man/man8").iterdir())) == len(COMMANDS)
    for unit in (local / "lib/systemd/system").iterdir():
        assert "/usr/sbin/" not in unit.read_text()
    assert not (tmp_path / "etc").exists()


def test_units_are_as_good_as_they_say():
    for unit in ("egressd", "egressd-boot", "egressd-sockets"):
        path = REPOSITORY / f"systemd/{unit}.service"
        done = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(path)],
            text=True, capture_output=True, check=False,
        )
        # The program is where the package puts it, not here.
        complaints = [line for line in done.stderr.splitlines() if unit in line and "is not executable" not in line]
        assert not complaints, complaints
