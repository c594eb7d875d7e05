"""The main case, shown: a reverse SSH tunnel is refused at its first packet, recorded, approved, revoked.

Real OpenSSH on both ends, in private network namespaces. Every step says what was observed; one that is not as it should
be ends with exit status 1. DEMO_KEEP=1 leaves it all standing until Ctrl-C.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time

sys.dont_write_bytecode = True

from daemon import policy, rule  # noqa: E402
from families import FAMILIES, IPV4, Family  # noqa: E402
from lab import SSH_UID, SSH_USER, Lab, LabError, Sshd  # noqa: E402

JOB = "training.slice/llm-pretrain@1.service"
CONTEXT = {"SLURM_JOB_ID": "88123", "RL_STEP": "5012"}
COLOUR = sys.stdout.isatty()


class Mismatch(Exception):
    """A step was not as it should be."""


def paint(text: str, code: str) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if COLOUR else text


class Steps:
    """Counts and prints them."""

    def __init__(self) -> None:
        self.number = 0

    def step(self, title: str) -> None:
        self.number += 1
        print(f"\n{paint(f'{self.number}. {title}', '1')}", flush=True)

    def saw(self, right: bool, observed: str) -> None:
        print(f"   {paint('ok', '32') if right else paint('NOT AS IT SHOULD BE', '31')}  {observed}", flush=True)
        if not right:
            raise Mismatch(observed)

    def show(self, text: str) -> None:
        for line in text.rstrip().splitlines():
            print(f"      {line}", flush=True)


def wait(condition, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


class Demo:
    """The scene: a training host, the world, a job."""

    def __init__(self, lab: Lab):
        self.lab = lab
        self.steps = Steps()
        self.server: Sshd = lab.sshd()
        self.daemon = lab.daemon()
        self.ports = iter(range(9100, 9200))

    def ctl(self, *arguments: str) -> str:
        print(f"      $ egressd ctl {' '.join(arguments)}", flush=True)
        output = self.daemon.ctl(*arguments, json_output=False)
        self.steps.show(output)
        return output

    def tunnel(self, family: Family):
        """The job's `ssh -N -R`; gives the process and the port that it asks for in the world."""
        port = next(self.ports)
        print(f"      $ ssh -N -R {port}:localhost:6100 root@{family.stranger}      (in {JOB})", flush=True)
        process = self.server.reverse_tunnel(family.stranger, port, 6100, JOB, uid=SSH_UID, environment=CONTEXT)
        return process, port

    def stands(self, port: int) -> bool:
        return "127.0.0.1" in self.lab.world_ns.command("ss", "-tlnH", f"sport = :{port} and src 127.0.0.1")

    def refused(self, family: Family) -> None:
        with self.lab.capture() as capture:
            started = time.monotonic()
            process, _ = self.tunnel(family)
            status = process.wait(20)
            took = (time.monotonic() - started) * 1000
            message = process.stderr.read().strip()
            packets = capture.find(destination=family.stranger)
        self.steps.saw(status == 255 and "refused" in message, f"ssh ended after {took:.0f} ms: {message}")
        self.steps.saw(took < 2000, "at once, not by a timeout")
        self.steps.saw(not packets, f"{len(packets)} packets to {family.stranger} left the host")

    def policies(self) -> dict[str, str]:
        text = policy(
            "llm-pretrain",
            self.lab.glob("training.slice/llm-pretrain@*.service"),
            user=SSH_USER,
            owner="ml-platform@example.com",
            allow=[rule("storage", [family.storage_prefix for family in FAMILIES], [443, 2049])],
            deny=[rule("secrets-store", [family.secret_prefix for family in FAMILIES])],
        )
        return {"llm-pretrain": text}

    def run(self) -> None:
        steps = self.steps
        steps.step("A training host with one policy")
        texts = self.policies()
        steps.show(texts["llm-pretrain"])
        self.daemon.start(texts)
        steps.saw(True, f"egressd serves; its rules are in the namespace {self.lab.host.name}")

        steps.step("The job reaches its storage")
        job = self.lab.agent(JOB, uid=SSH_UID, environment=CONTEXT)
        job.do("serve", at=["127.0.0.1", 6100])
        for family in FAMILIES:
            answer = job.tcp(family.storage, 443)
            observed = f"connected in {answer['ms']:.2f} ms" if answer["ok"] else answer["error"]
            steps.saw(answer["ok"], f"{family.join(family.storage, 443)}: {observed}")
            answer = job.tcp(family.secret, 443)
            steps.saw(answer.get("error") == "ECONNREFUSED", f"{family.join(family.secret, 443)}: {answer.get('error')}")

        for family in FAMILIES:
            self.tunnel_story(family)

    def tunnel_story(self, family: Family) -> None:
        steps = self.steps
        address = family.stranger
        steps.step(f"The job opens a reverse SSH tunnel to an address that nobody allowed ({family})")
        self.refused(family)

        steps.step("The record names who tried")
        event = self.daemon.wait_event(to=address, port=22, verdict="deny")
        steps.show(json.dumps(event, indent=1))
        steps.saw(event.get("reason") == "unknown-destination", f"reason {event.get('reason')}")
        steps.saw(event.get("finding") == "reverse-ssh-tunnel", f"finding {event.get('finding')}")
        process = event.get("process") or {}
        steps.saw(process.get("executable") == "/usr/bin/ssh", f"{process.get('executable')}, pid {process.get('pid')}")
        steps.saw("-R" in (process.get("command") or []), "its command line")
        steps.saw(event.get("context") == CONTEXT, f"its job and step: {event.get('context')}")

        steps.step("An operator looks, and approves for two hours")
        self.ctl("requests")
        request = self.daemon.request_for(address, 22)
        self.ctl("approve", str(request["request"]), "--for", "2h", "--reason", "a demonstration")
        grants = self.daemon.ctl("grants")["grants"]
        steps.saw(len(grants) >= 1, f"grant {grants[-1]['grant']} for {grants[-1]['workload']}")

        steps.step("The same tunnel now stands, and carries data")
        tunnel, port = self.tunnel(family)
        stands = wait(lambda: self.stands(port) or tunnel.poll() is not None, 10) and tunnel.poll() is None
        steps.saw(stands, f"the world listens on 127.0.0.1:{port}" if stands else f"ssh: {tunnel.stderr.read()}")
        answer = self.lab.outsider().tcp("127.0.0.1", port)
        steps.saw(answer.get("greeting") == "hi\n", f"through it the world reads {answer.get('greeting')!r} from the job")

        steps.step("Revoked")
        started = time.monotonic()
        self.ctl("revoke", str(grants[-1]["grant"]))
        steps.saw(wait(lambda: tunnel.poll() is not None, 5), f"ssh ended with {tunnel.poll()}: "
                  f"{tunnel.stderr.read().strip() or 'no message'}")  # fmt: skip
        gone = wait(lambda: not self.stands(port), 2)
        took = (time.monotonic() - started) * 1000
        steps.saw(gone and took < 2000, f"the far end of the tunnel is gone {took:.0f} ms after the command")
        self.refused(family)
        self.ctl("log", "--limit", "5")


def look_around(lab: Lab, demo: Demo) -> None:
    ctl = f"{lab.egressd} ctl --socket {demo.daemon.socket}"
    print(
        f"""
It stays up until Ctrl-C (DEMO_KEEP=1). To look around:
   {ctl} status
   {ctl} log --follow
   nsenter --net={lab.host.path} nft list table inet egressd
   a shell of the job's, as {SSH_USER}:
     sh -c 'echo $$ > {lab.cgroups.root / JOB}/cgroup.procs; exec nsenter --net={lab.host.path} setpriv --reuid={SSH_UID} --regid={SSH_UID} --clear-groups sh'
     then: ssh -p 22 root@{IPV4.stranger}
   policies: {demo.daemon.policies}  (then: {ctl} reload)""",
        flush=True,
    )
    signal.pause()


def main() -> int:
    demo = None
    try:
        with Lab() as lab:
            demo = Demo(lab)
            try:
                demo.run()
            except (Mismatch, AssertionError, LabError) as error:
                print(f"\n{paint('The demo failed', '31')}: {error}\n\nThe daemon's log:\n{demo.daemon.log()[-4000:]}")
                return 1
            print(f"\n{paint(f'All {demo.steps.number} steps as they should be.', '32')}", flush=True)
            if os.environ.get("DEMO_KEEP") == "1":
                look_around(lab, demo)
    except LabError as error:
        print(f"The lab cannot be made: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted; everything is removed.", file=sys.stderr)
        return 0 if os.environ.get("DEMO_KEEP") == "1" and demo else 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
