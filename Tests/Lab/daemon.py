"""The daemon under test: its configuration and policies in a directory of its own, its life, and `egressd ctl`."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import time
from typing import Any, Sequence

from control import Control
from manager import ServiceManager
from namespaces import LabError


def policy(name: str, cgroup: str, **keys: Any) -> str:
    """A policy file: JSON values are YAML. `allow=[{"name": …, "to": […], "ports": […]}]`, `user=1001`."""
    identity: dict[str, Any] = {"cgroup": cgroup}
    if "user" in keys:
        identity["user"] = keys.pop("user")
    lines = [f"workload: {json.dumps(name)}", f"identity: {json.dumps(identity)}"]
    for key, value in keys.items():
        if isinstance(value, list) and value:
            lines += [f"{key}:"] + [f"  - {json.dumps(entry)}" for entry in value]
        elif not isinstance(value, list):
            lines.append(f"{key}: {value if isinstance(value, str) else json.dumps(value)}")
    return "\n".join(lines) + "\n"


def rule(name: str, to: list[str] | str, ports: list[Any] | None = None, **keys: Any) -> dict[str, Any]:
    """One entry of `allow` or `deny`."""
    entry: dict[str, Any] = {"name": name, "to": [to] if isinstance(to, str) else to}
    if ports is not None:
        entry["ports"] = ports
    return {**entry, **keys}


class Daemon:
    """One `egressd run` in the training host's namespace."""

    def __init__(self, lab, directory: pathlib.Path, **configuration: Any):
        self.lab = lab
        self.directory = directory
        self.policies = directory / "policies"
        self.state = directory / "state"
        self.socket = directory / "control.sock"
        self.control = Control(self.socket)
        self.log_file = directory / "daemon.log"
        self.configuration = directory / "egressd.yaml"
        self.process: subprocess.Popen | None = None
        # More words for `run`, and who runs it (`Lab.spawn`).
        self.options: list[str] = []
        self.runs_as: dict[str, Any] = {}
        self.manager: ServiceManager | None = None
        # Before and after the last approval.
        self.approved = (0.0, 0.0)
        directory.mkdir(parents=True, exist_ok=True)
        os.chmod(directory, 0o755)
        self.policies.mkdir(exist_ok=True)
        self.state.mkdir(mode=0o700, exist_ok=True)
        self.configure(**configuration)

    def configure(self, **keys: Any) -> None:
        settings = {
            "policies": str(self.policies),
            "mode": "enforce",
            "unidentified": "observe",
            "control": str(self.socket),
            "state": str(self.state),
            "roles": {"approver": "staff", "viewer": "games"},
            "context": ["SLURM_JOB_ID", "SLURM_STEP_ID", "RL_STEP"],
            "dns": {"upstream": ["10.99.0.2"]},
            **keys,
        }
        lines = [f"{key}: {json.dumps(value)}" for key, value in settings.items() if value is not None]
        self.configuration.write_text("\n".join(lines) + "\n")

    def write(self, policies: dict[str, str]) -> None:
        """Puts these policy files, and no others, into the folder."""
        for path in self.policies.glob("*.yaml"):
            if path.stem not in policies:
                path.unlink()
        for name, text in policies.items():
            path = self.policies / f"{name}.yaml"
            if not path.exists() or path.read_text() != text:
                path.write_text(text)

    def launch(self, *prefix: str) -> subprocess.Popen:
        """Starts it without waiting; `prefix` goes before the command (`setpriv …`)."""
        log = open(self.log_file, "ab")
        wrapper, kept, environment = self.manager.wrapped() if self.manager else ([], [], {})
        self.process = self.lab.spawn(
            [*wrapper, *prefix, str(self.lab.egressd), "run", "--config", str(self.configuration), *self.options],
            # As under systemd: a cgroup of its own makes it an identity of its own.
            cgroup="system.slice/egressd.service",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=kept,
            environment=environment,
            **self.runs_as,
        )
        log.close()
        return self.process

    def managed(self) -> "Daemon":
        """Has a service manager keep its descriptors from now on."""
        self.manager = ServiceManager(self.directory)
        self.lab.stack.callback(self.manager.close)
        return self

    def start(self, policies: dict[str, str] | None = None, timeout: float = 30, prefix: Sequence[str] = ()) -> "Daemon":
        """Starts it and waits until it serves."""
        if policies is not None:
            self.write(policies)
        self.launch(*prefix)
        self.wait_ready(timeout)
        return self

    def wait_ready(self, timeout: float = 30) -> None:
        deadline = time.monotonic() + timeout
        while True:
            if self.process is not None and self.process.poll() is not None:
                raise LabError(f"egressd ended with {self.process.returncode} at its start:\n{self.log()[-4000:]}")
            try:
                self.control.call("Status")
                return
            except LabError:
                if time.monotonic() > deadline:
                    raise LabError(f"egressd is not ready after {timeout} s:\n{self.log()[-4000:]}") from None
            time.sleep(0.005)

    def log(self) -> str:
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def ctl(self, *arguments: str, json_output: bool = True, check: bool = True, runner=None):
        """Calls `egressd ctl`. With `check` it gives the parsed answer, else (status, output, errors)."""
        flags = ["--json"] if json_output else []
        argv = [str(self.lab.egressd), "ctl", "--socket", str(self.socket), *flags, *arguments]
        if runner is not None:
            done = runner(argv)
        else:
            result = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=15)
            done = (result.returncode, result.stdout, result.stderr)
        if not check:
            return done
        if done[0] != 0:
            raise LabError(f"ctl {' '.join(arguments)}: exit {done[0]}: {done[2].strip() or done[1].strip()}")
        if not json_output:
            return done[1]
        if arguments[0] == "log":
            return [json.loads(line) for line in done[1].splitlines() if line.strip()]
        return json.loads(done[1]) if done[1].strip() else {}

    def events(self, **wanted: Any) -> list[dict[str, Any]]:
        """The events in the record with these fields; `to="203.0.113.9"` and `port=22` look at the destination."""
        address, port = wanted.pop("to", None), wanted.pop("port", None)
        transport = wanted.pop("transport", None)
        found = []
        for event in self.control.record():
            destination = event.get("destination") or {}
            if address is not None and destination.get("address") != address:
                continue
            if port is not None and destination.get("port") != port:
                continue
            if transport is not None and destination.get("transport") != transport:
                continue
            if all(event.get(field) == value for field, value in wanted.items()):
                found.append(event)
        return found

    def wait_event(self, timeout: float = 15, **wanted: Any) -> dict[str, Any]:
        """Waits for an event of this kind and gives the newest."""
        deadline = time.monotonic() + timeout
        while not (found := self.events(**wanted)):
            if time.monotonic() > deadline:
                recent = "\n".join(json.dumps(event) for event in self.events()[-8:])
                raise AssertionError(f"no event with {wanted}; the last ones:\n{recent}")
            time.sleep(0.05)
        return max(found, key=lambda event: event.get("seq", 0))

    def request_for(self, address: str, port: int, workload: str | None = None, timeout: float = 15) -> dict[str, Any]:
        """The line of `ctl requests` for a destination."""
        deadline = time.monotonic() + timeout
        while True:
            for entry in self.control.call("Requests")["requests"]:
                destination = entry["destination"]
                if (destination.get("address"), destination.get("port")) == (address, port):
                    if workload is None or entry.get("workload") == workload:
                        return entry
            if time.monotonic() > deadline:
                raise AssertionError(f"no request for {address} port {port}: {self.control.call('Requests')}")
            time.sleep(0.05)

    def approve(self, address: str, port: int, duration: str = "10m", workload: str | None = None) -> int:
        """Approves the request for a destination and gives the grant's number."""
        entry = self.request_for(address, port, workload)
        before = {grant["grant"] for grant in self.control.call("Grants")["grants"]}
        self.give(entry["request"], duration)
        new = [grant["grant"] for grant in self.control.call("Grants")["grants"] if grant["grant"] not in before]
        if len(new) != 1:
            raise LabError(f"approve made {len(new)} grants")
        return new[0]

    def give(self, request: int, duration: str, *flags: str) -> None:
        """One approval; `approved` is when."""
        begun = time.monotonic()
        self.ctl("approve", str(request), "--for", duration, *flags, "--reason", "the lab asks")
        self.approved = (begun, time.monotonic())

    def reload(self, policies: dict[str, str] | None = None) -> None:
        if policies is not None:
            self.write(policies)
        self.ctl("reload")

    def hangup(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGHUP)

    def last_events(self) -> str:
        """What the record says, for a person; nothing when the daemon cannot be asked."""
        status, output, _ = self.ctl("log", "--limit", "20", json_output=False, check=False)
        return output if status == 0 else ""

    def kill(self) -> None:
        """SIGKILL: no chance to say goodbye."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process = None

    def stop(self, timeout: float = 10) -> int | None:
        """SIGTERM; gives its exit status."""
        if self.process is None:
            return None
        self.process.terminate()
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise LabError(f"egressd did not end within {timeout} s of SIGTERM:\n{self.log()[-3000:]}") from None
        self.process = None
        return status

    def clear_kernel(self) -> None:
        """Takes its rules and marks out of the namespace, for the next test."""
        delete = "nft list tables | grep ' egressd' | while read -r line; do nft delete $line; done"
        self.lab.host.command("sh", "-c", f"{delete}; conntrack -F", check=False)

    def __enter__(self) -> "Daemon":
        return self

    def __exit__(self, *_) -> None:
        self.kill()
        self.clear_kernel()
