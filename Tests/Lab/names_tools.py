"""What real tools need of the world: a package index and a git repository over HTTPS, under an authority of the lab's own,
and the repository over SSH too.
"""

from __future__ import annotations

import os
import pathlib
import shlex
import subprocess
import zipfile
from typing import Any

import pytest
from lab import PYTHON, SSH_UID
from names_world import SITES, NamesWorld, Site
from namespaces import LabError, run
from probes import flight_wire

SSH_PORT = 2222


class Tools:
    """packages.lab.test and git.lab.test, at the address `packages` of both sites, and what clients need to trust them."""

    NAMES = ("packages.lab.test", "git.lab.test")
    # The certificate is good for those of flight_world.py as well.
    CERTIFIED = (*NAMES, flight_wire.NAME, "other.lab.test")

    def __init__(self, world: NamesWorld):
        self.world = world
        self.directory = world.directory / "tools"
        self.root = self.directory / "root"
        (self.root / "simple/tiny").mkdir(parents=True)
        self._make_authority()
        self._make_index()
        self._make_repository()
        run("chmod", "-R", "a+rX", str(self.root), str(self.authority))
        addresses = [site.packages for site in SITES.values()]
        world.https = world.server(
            "https_server.py",
            {"at": addresses, "port": 443, "root": str(self.root), "certificate": str(self.directory / "leaf.pem"),
             "key": str(self.directory / "leaf.key")},
        )  # fmt: skip
        self.ssh = world.lab.sshd(SSH_PORT)
        world.stack.callback(self.ssh.process.wait)
        world.stack.callback(self.ssh.process.kill)

    def _make_authority(self) -> None:
        self.authority = self.directory / "authority.pem"
        key, leaf = self.directory / "authority.key", self.directory / "leaf.key"
        new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        usage = ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign"]
        openssl("req", "-x509", *new, "-keyout", key, "-out", self.authority, "-days", "2", "-subj", "/CN=lab", *usage)
        request, extensions = self.directory / "leaf.csr", self.directory / "leaf.ext"
        openssl("req", "-new", *new, "-keyout", leaf, "-out", request, "-subj", "/CN=lab.test")
        extensions.write_text("subjectAltName=" + ",".join(f"DNS:{name}" for name in self.CERTIFIED) + "\n")
        signed = ["-CA", self.authority, "-CAkey", key, "-CAcreateserial", "-days", "2", "-extfile", extensions]
        openssl("x509", "-req", "-in", request, "-out", self.directory / "leaf.pem", *signed)

    def _make_index(self) -> None:
        """A simple index (PEP 503) with one wheel, a zip made by hand."""
        wheel = "tiny-1.0-py3-none-any.whl"
        (self.root / "simple/tiny/index.html").write_text(f'<!DOCTYPE html><a href="/{wheel}">{wheel}</a>\n')
        info = "tiny-1.0.dist-info"
        with zipfile.ZipFile(self.root / wheel, "w") as made:
            made.writestr("tiny.py", "answer = 42\n")
            made.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
            made.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: lab\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            made.writestr(f"{info}/RECORD", f"tiny.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")

    def _make_repository(self) -> None:
        """A bare repository that plain files can serve (gitprotocol-http(5), the dumb one)."""
        self.repository = self.root / "tiny.git"
        made = self.directory / "tiny"
        who = {f"GIT_{role}_{what}": "lab" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        environment = {**os.environ, **self.environment(), **who}

        def git(*arguments: Any) -> None:
            argv = ["git", *map(str, arguments)]
            done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise LabError(f"git {arguments}: {done.stderr}")

        git("init", "-q", "-b", "main", made)
        (made / "tiny.py").write_text("answer = 42\n")
        git("-C", made, "add", ".")
        git("-C", made, "commit", "-q", "-m", "one")
        git("clone", "-q", "--bare", made, self.repository)
        git("-C", self.repository, "update-server-info")

    def environment(self) -> dict[str, str]:
        """For the clients: nothing of the machine's own settings, and no proxy."""
        made = {name: "" for name in os.environ if name.lower().endswith("_proxy")}
        made.update({name: str(self.authority) for name in ("GIT_SSL_CAINFO", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE")})
        git = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"}
        return {**made, **git, "HOME": "/nonexistent", "no_proxy": "*", "PYTHONDONTWRITEBYTECODE": "1"}

    def ssh_environment(self) -> dict[str, str]:
        return {**self.environment(), "GIT_SSH_COMMAND": shlex.join(self.ssh.client(uid=SSH_UID))}

    def records(self, *sites: Site, ttl: int = 300) -> list[tuple[str, str, int, list[Any]]]:
        return [(name, site.type, ttl, [site.packages]) for name in self.NAMES for site in sites]

    def pip(self, target: pathlib.Path) -> list[str]:
        index = "https://packages.lab.test/simple"
        flags = ["--isolated", "--no-input", "--disable-pip-version-check", "--no-cache-dir", "--no-deps", "--quiet"]
        hurry = ["--retries", "0", "--timeout", "5", "--cert", str(self.authority), "--index-url", index]
        return [PYTHON, "-m", "pip", "install", *flags, *hurry, "--target", str(target), "tiny"]


def openssl(*arguments: Any) -> None:
    run("openssl", *map(str, arguments))


def tools_of(world: NamesWorld) -> Tools:
    return world.lab.once(Tools, lambda: Tools(world))


@pytest.fixture(scope="session")
def tools(names_world):
    """The index and the repository."""
    return tools_of(names_world)
