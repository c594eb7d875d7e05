"""The package on a host that boots: in this order, each test on what the one before left."""

from __future__ import annotations

import json
import re
import time

from container import STORAGE4, STORAGE6, STRANGER4, STRANGER6, wait

# What systemd says of the unit, 0 (closed) to 10. The rest is what the daemon is for: the host's network, every process.
EXPOSURE = 1.4
HELPER_EXPOSURE = 1.1
UNIT, HELPER = "egressd.service", "egressd-sockets.service"
POLICY = """workload: llm-pretrain
identity:
  cgroup: training.slice/llm-pretrain@*.service
  user: trainer
allow:
  - name: storage
    to: [10.20.0.0/16, "fd00:20::/48"]
    ports: [443]
  - name: asked
    to: [10.20.0.0/16, "fd00:20::/48"]
    ports: [8443]
    executable: /usr/bin/python3.11
"""
TUNNEL_PORT, ECHO_PORT = 9000, 6100
SSH = (
    f"ssh -N -R {TUNNEL_PORT}:127.0.0.1:{ECHO_PORT} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null "
    f"-o ExitOnForwardFailure=yes -o BatchMode=yes -o ConnectTimeout=5 root@"
)


def start(host, name, *command, properties=(), environment=()):
    """Starts a command as a job: a service in training.slice, of another user."""
    host.do(
        "systemd-run", "--quiet", "--slice=training.slice", f"--unit={name}", "--uid=trainer",
        *(f"--property={line}" for line in properties), *(f"--setenv={line}" for line in environment), *command,
    )


def end(host, *names):
    for name in names:
        host.try_("systemctl", "stop", name)
        host.try_("systemctl", "reset-failed", name)


def finished(host, name, seconds=30):
    """How a job's program ended: its exit status."""
    def state():
        shown = host.show(name, "ActiveState", "ExecMainStatus")
        return shown if shown["ActiveState"] in ("failed", "inactive") else None

    return int(wait(state, seconds, f"{name} has ended")["ExecMainStatus"])


def ctl(host, *words, user=None):
    prefix = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--"] if user else []
    return host.do(*prefix, "egressd", "ctl", *words)


def ready(host):
    return host.show(UNIT, "ActiveState")["ActiveState"] == "active"


def pid(host, unit=UNIT):
    return host.number(unit, "MainPID")


def stands(host):
    return host.world.listening(TUNNEL_PORT)


def carries(host):
    """Whether bytes go through the tunnel and come back."""
    with host.world.connect("127.0.0.1", TUNNEL_PORT) as connection:
        connection.settimeout(5)
        connection.sendall(b"through the tunnel")
        return connection.recv(64) == b"through the tunnel"


def steady(host, name):
    """What a steady job has said: how often it was answered, and the longest answer in seconds."""
    lines = re.findall(r"answers (\d+) longest ([0-9.]+)", host.journal(f"--unit={name}.service", "--boot"))
    return (int(lines[-1][0]), float(lines[-1][1])) if lines else (0, 0.0)


def goes_on(host, name):
    """The open connection of a steady job is answered now."""
    before = steady(host, name)[0]
    wait(lambda: steady(host, name)[0] > before, 5, f"{name} is answered")


STEADY = ("llm-pretrain@steady4", "llm-pretrain@steady6")


def test_it_installs_and_serves(host, deb):
    host.do("dpkg", "-i", f"/root/{deb.name}")
    shown = host.show(UNIT, "ActiveState", "StatusText", "UnitFileState", "WatchdogUSec", "FileDescriptorStoreMax")
    assert shown["ActiveState"] == "active" and shown["UnitFileState"] == "enabled"
    assert shown["StatusText"].startswith("mode enforce, 0 workloads")
    assert shown["WatchdogUSec"] == "10s" and int(shown["FileDescriptorStoreMax"]) > 0
    assert host.show("egressd-boot.service", "UnitFileState", "ActiveState") == {
        "UnitFileState": "enabled", "ActiveState": "inactive",
    }, "a host that is up is not closed by an installation"
    for group in ("egress-approvers", "egress-viewers"):
        assert host.do("getent", "group", group)
    host.do("usermod", "--append", "--groups", "egress-approvers", "approver")


def exposure(host, unit):
    text = host.do("systemd-analyze", "security", "--no-pager", unit)
    print("\n".join(line for line in text.splitlines() if "✗" in line or "Overall" in line))
    return float(re.search(r"Overall exposure level for \S+: ([0-9.]+)", text)[1])


def test_it_has_only_what_it_needs(host):
    assert exposure(host, UNIT) <= EXPOSURE
    assert exposure(host, HELPER) <= HELPER_EXPOSURE
    # CAP_NET_ADMIN, CAP_SYS_PTRACE
    for unit, capabilities in ((UNIT, 1 << 12 | 1 << 19), (HELPER, 0)):
        status = host.do("cat", f"/proc/{pid(host, unit)}/status")
        for kind in ("Prm", "Eff", "Bnd", "Amb"):
            assert int(re.search(rf"Cap{kind}:\s*(\w+)", status)[1], 16) == capabilities, kind
        assert re.search(r"Seccomp:\s*2", status) and re.search(r"NoNewPrivs:\s*1", status)
        assert not re.search(r"^Uid:\s*0\b", status, re.M)


def resolver_cgroups(host):
    """The cgroups of the sockets that the resolver listens on."""
    text = host.do("ss", "-tulnH", "--cgroup", "sport = :8053")
    return re.findall(r"cgroup:(\S+)", text)


def test_its_sockets_are_made_by_another(host):
    assert [path.endswith("/" + HELPER) for path in resolver_cgroups(host)] == [True] * 4
    shown = host.show(UNIT, "RestrictAddressFamilies", "IPAddressDeny")
    assert set(shown["RestrictAddressFamilies"].split()) == {"AF_NETLINK", "AF_UNIX"}
    assert set(shown["IPAddressDeny"].split()) == {"0.0.0.0/0", "::/0"}
    # Nobody else may ask for them.
    probe = "import socket; socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).connect('/run/egressd-sockets')"
    refused = host.try_("setpriv", "--reuid=trainer", "--clear-groups", "python3", "-c", probe)
    assert "PermissionError" in refused.stderr


NAMED = """workload: named
identity: {cgroup: training.slice/named@*.service}
allow: [{name: names, to: ["*.example.org"], ports: [443]}]
"""
# Asks for one name (RFC 1035) and prints the code and how many records came.
ASK = f"""
import socket, sys
name = b"".join(bytes([len(label)]) + label.encode() for label in sys.argv[1].split("."))
asks = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asks.settimeout(8)
asks.sendto(bytes.fromhex("abcd01000001000000000000") + name + bytes.fromhex("0000010001"), ("{STORAGE4}", 53))
answer = asks.recv(512)
print("code", answer[3] & 15, "records", answer[7])
"""


def resolves(host, name):
    """A job asks for a name; the question goes through the daemon to the world's name server."""
    unit = f"named@{name.partition('.')[0]}"
    start(host, unit, "/usr/bin/python3", "-c", ASK, name)
    finished(host, unit)
    said = host.journal(f"--unit={unit}.service", "--boot").splitlines()
    end(host, unit)
    return "code 0 records 1" in said and name in host.world.names


def test_names_are_resolved_through_sockets_of_the_helper(host):
    config = host.root / "etc/egressd/egressd.yaml"
    host.write("/etc/egressd/egressd.yaml", config.read_text() + f"dns: {{upstream: [{STORAGE4}]}}\n")
    host.write("/etc/egressd/policies/named.yaml", NAMED)
    host.do("systemctl", "reload", UNIT)
    for number in range(3):
        assert resolves(host, f"a{number}.example.org"), host.journal(f"--unit={UNIT}", "--boot")[-2000:]


def test_a_killed_helper_is_back(host):
    before, daemon = pid(host, HELPER), pid(host)
    host.do("kill", "-KILL", str(before))
    wait(lambda: pid(host, HELPER) not in (0, before), 10, "the helper is back")
    wait(lambda: "names are resolved" in host.journal(f"--unit={UNIT}", "--boot"), 10, "the daemon has new sockets")
    assert resolves(host, "again.example.org")
    # The cgroup of a unit that was started anew is another one of the same name.
    assert [path.endswith("/" + HELPER) for path in resolver_cgroups(host)] == [True] * 4
    assert pid(host) == daemon and ready(host)
    (host.root / "etc/egressd/policies/named.yaml").unlink()
    host.do("systemctl", "reload", UNIT)


def test_a_policy_file_that_it_may_not_read_is_said(host):
    path = "/etc/egressd/policies/secret.yaml"
    host.write(path, POLICY.replace("llm-pretrain", "secret"))
    assert host.do("stat", "-c", "%G", path).strip() == "egressd", "new files belong to the daemon's group"
    host.do("chmod", "0600", path)
    assert host.try_("systemctl", "reload", UNIT).returncode != 0
    assert "secret.yaml: cannot be read: Permission denied; the daemon reads as user egressd: chgrp egressd, chmod g+rX" \
        in host.journal(f"--unit={UNIT}", "--boot")
    host.do("chmod", "0640", path)
    host.do("systemctl", "reload", UNIT)
    assert "secret" in ctl(host, "workloads")
    (host.root / path.lstrip("/")).unlink()
    host.do("systemctl", "reload", UNIT)


def test_a_policy_comes_with_reload_and_a_bad_one_is_said(host):
    host.write("/etc/egressd/policies/llm-pretrain.yaml", POLICY)
    host.do("systemctl", "reload", UNIT)
    assert host.show(UNIT, "StatusText")["StatusText"].startswith("mode enforce, 1 workload,")
    host.write("/etc/egressd/policies/bad.yaml", "workload: bad\nport: 1\n")
    refused = host.try_("systemctl", "reload", UNIT)
    assert refused.returncode != 0
    assert "unknown key 'port'" in host.journal(f"--unit={UNIT}", "--boot")
    assert ready(host) and "llm-pretrain" in ctl(host, "workloads")
    (host.root / "etc/egressd/policies/bad.yaml").unlink()
    host.do("systemctl", "reload", UNIT)


def test_the_report_of_what_covers_the_host(host):
    done = host.try_("egressd", "coverage", "--json")
    report = {check["id"]: check for check in json.loads(done.stdout)["checks"]}
    for name in ("daemon.running", "daemon.mode", "daemon.table", "daemon.record", "daemon.boot", "policy.files"):
        assert report[name]["state"] == "enforced", report[name]
    assert report["policy.unidentified"]["state"] == "open" and done.returncode == 1


def test_a_job_reaches_its_storage(host):
    for name, address in zip(STEADY, (STORAGE4, STORAGE6)):
        start(host, name, "/usr/bin/python3", "/opt/probes/job.py", "steady", address, "443")
        wait(lambda n=name: steady(host, n)[0] > 5, 10, f"{name} is answered")


def test_a_reverse_tunnel_is_denied_at_its_first_packet(host):
    for number, address in enumerate((STRANGER4, STRANGER6)):
        name = f"llm-pretrain@denied{number}"
        with host.world.capture("host", address) as capture:
            begin = time.monotonic()
            start(host, name, "/bin/sh", "-c", f"exec {SSH}{address}", environment=["SLURM_JOB_ID=88123"])
            assert finished(host, name) == 255
            assert time.monotonic() - begin < 5, "at once, not by ssh's timeout"
        assert not capture.lines, "nothing left the host"
        assert "refused" in host.journal(f"--unit={name}.service")
        end(host, name)


def test_the_journal_has_the_fields(host):
    def entries():
        text = host.do("journalctl", "--no-pager", "--quiet", "-o", "json", "EGRESSD_WORKLOAD=llm-pretrain",
                       "EGRESSD_VERDICT=deny", f"EGRESSD_ADDRESS={STRANGER4}")
        return [json.loads(line) for line in text.splitlines()]

    entry = wait(entries, 5, "the journal has the denial")[0]
    wanted = {
        "EGRESSD_KIND": "request", "EGRESSD_REASON": "unknown-destination", "EGRESSD_PORT": "22",
        "EGRESSD_TRANSPORT": "tcp", "EGRESSD_EXECUTABLE": "/usr/bin/ssh", "EGRESSD_UID": "1001",
        "EGRESSD_FINDING": "reverse-ssh-tunnel", "EGRESSD_CONTEXT_SLURM_JOB_ID": "88123", "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "egressd", "_SYSTEMD_UNIT": UNIT,
    }
    assert {key: entry.get(key) for key in wanted} == wanted
    assert entry["EGRESSD_CGROUP"].endswith("/training.slice/llm-pretrain@denied0.service")
    events = [json.loads(line) for line in ctl(host, "log", "--json", "--verdict", "deny").splitlines()]
    event = next(event for event in events if str(event["seq"]) == entry["EGRESSD_SEQ"])
    assert event["destination"]["address"] == STRANGER4, "the record has the same event under the same number"


def test_only_an_approver_approves(host):
    requests = json.loads(ctl(host, "requests", "--json"))["requests"]
    number = next(r["request"] for r in requests if r["destination"]["address"] == STRANGER4)
    words = ("egressd", "ctl", "approve", str(number), "--for", "1h")
    job = ["setpriv", "--reuid=trainer", "--regid=trainer", "--init-groups", "--"]
    assert host.try_(*job, *words).returncode == 4
    # Root itself, from inside the job's cgroup.
    host.do("systemd-run", "--quiet", "--slice=training.slice", "--unit=llm-pretrain@self", *words)
    assert finished(host, "llm-pretrain@self") == 4
    end(host, "llm-pretrain@self")
    assert "until" in ctl(host, "approve", str(number), "--for", "1h", "--reason", "a test", user="approver")


def test_what_is_approved_carries(host):
    start(host, "llm-pretrain@tunnel", "/bin/sh", "-c",
          f"python3 /opt/probes/job.py echo {ECHO_PORT} & exec {SSH}{STRANGER4}")
    wait(lambda: stands(host), 10, "the tunnel stands")
    assert carries(host)


def check_all_open(host):
    for name in STEADY:
        goes_on(host, name)
    assert stands(host) and carries(host)


def test_a_restart_leaves_open_connections_alone(host):
    before = pid(host)
    host.do("systemctl", "restart", UNIT)
    assert pid(host) != before
    check_all_open(host)
    assert max(steady(host, name)[1] for name in STEADY) < 2


def refuses_unknown(host, name, seconds=2.0):
    """A job knocks at a stranger's door for a while, and nothing leaves the host."""
    start(host, name, "/usr/bin/python3", "/opt/probes/job.py", "knock", STRANGER4, "443")
    with host.world.capture("host", STRANGER4, "and", "port", "443") as capture:
        wait(lambda: host.journal(f"--unit={name}.service").count(" tcp ") > 3, 15, "it knocks")
        time.sleep(seconds)
    end(host, name)
    assert not capture.lines, capture.lines[:5]
    assert "CONNECTED" not in host.journal(f"--unit={name}.service")


def test_a_stopped_daemon_leaves_the_deny(host):
    host.do("systemctl", "stop", UNIT)
    refuses_unknown(host, "llm-pretrain@knock1")
    check_all_open(host)
    host.do("systemctl", "start", UNIT)
    check_all_open(host)
    assert "grant" in ctl(host, "grants").lower() and STRANGER4 in ctl(host, "grants")


def test_a_killed_daemon_is_back_and_nothing_was_open(host):
    for _ in range(3):
        before = pid(host)
        assert before > 1
        host.do("kill", "-KILL", str(before))
        wait(lambda b=before: ready(host) and pid(host) not in (0, b), 15, "the daemon is back")
    refuses_unknown(host, "llm-pretrain@knock2")
    check_all_open(host)


def connections(host, name):
    """How many connections a busy job has opened, and how many could not be."""
    lines = re.findall(r"connections (\d+) failed (\d+)", host.journal(f"--unit={name}.service", "--boot"))
    return (int(lines[-1][0]), int(lines[-1][1])) if lines else (0, 0)


def syns_sent_again(host):
    return int(re.search(r"TcpExtTCPSynRetrans\s+(\d+)", host.do("nstat", "-asz", "TcpExtTCPSynRetrans"))[1])


def test_new_connections_wait_over_restart_and_crash(host):
    """Each of them must be asked about; systemd keeps the queues' sockets, so that no first packet is lost."""
    assert host.number(UNIT, "NFileDescriptorStore") == 3
    names = {"llm-pretrain@busy4": STORAGE4, "llm-pretrain@busy6": STORAGE6}
    lost = syns_sent_again(host)
    for name, address in names.items():
        start(host, name, "/usr/bin/python3", "/opt/probes/job.py", "busy", address, "8443")
        wait(lambda n=name: connections(host, n)[0] > 5, 10, f"{name} connects")
    for how in ("restart", "kill", "restart", "kill", "kill"):
        before, made = pid(host), {name: connections(host, name)[0] for name in names}
        if how == "restart":
            host.do("systemctl", "restart", UNIT)
        else:
            host.do("kill", "-KILL", str(before))
        wait(lambda b=before: ready(host) and pid(host) not in (0, b), 15, "the daemon is back")
        for name in names:
            wait(lambda n=name, m=made: connections(host, n)[0] > m[n] + 5, 10, f"{name} goes on")
        assert host.number(UNIT, "NFileDescriptorStore") == 3
    for name in names:
        assert connections(host, name)[1] == 0
        end(host, name)
    assert syns_sent_again(host) == lost
    journal = host.journal(f"--unit={UNIT}", "--boot")
    for kept in ("table", "queues", "log"):
        assert f"taking over the kept socket '{kept}'" in journal
    assert "is not used, and forgotten" not in journal
    # Stopped for good, nothing of it is left to anybody.
    host.do("systemctl", "stop", UNIT)
    assert host.number(UNIT, "NFileDescriptorStore") == 0
    host.do("systemctl", "start", UNIT)
    check_all_open(host)


def test_the_watchdog_bites_a_stuck_daemon(host):
    before, restarts = pid(host), host.number(UNIT, "NRestarts")
    assert before > 1
    host.do("kill", "-STOP", str(before))
    begin = time.monotonic()
    wait(lambda: ready(host) and pid(host) not in (0, before), 25, "the watchdog has put a new daemon in its place", 0.2)
    print(f"bitten and back after {time.monotonic() - begin:.1f} s")
    assert host.number(UNIT, "NRestarts") == restarts + 1
    assert "Watchdog timeout" in host.journal(f"--unit={UNIT}", "--boot")
    check_all_open(host)


def test_an_upgrade_leaves_open_connections_alone(host, next_deb):
    before = pid(host)
    host.write("/etc/egressd/egressd.yaml", (host.root / "etc/egressd/egressd.yaml").read_text() + "# mine\n")
    start(host, "llm-pretrain@knock3", "/usr/bin/python3", "/opt/probes/job.py", "knock", STRANGER4, "443")
    host.write("/etc/egressd/policies/named.yaml", NAMED)
    host.do("systemctl", "reload", UNIT)
    assert resolves(host, "before.example.org")
    helper = pid(host, HELPER)
    with host.world.capture("host", STRANGER4, "and", "port", "443") as capture:
        host.do("dpkg", "--force-confold", "--unpack", f"/root/{next_deb.name}")
        # A long upgrade configures this package last.
        assert pid(host) == before and pid(host, HELPER) == helper
        assert resolves(host, "meanwhile.example.org")
        host.do("dpkg", "--force-confold", "--configure", "egressd")
        wait(lambda: ready(host) and pid(host) not in (0, before), 15, "the new daemon serves")
        wait(lambda: pid(host, HELPER) not in (0, helper), 10, "the new helper makes its sockets")
    end(host, "llm-pretrain@knock3")
    assert resolves(host, "afterwards.example.org")
    (host.root / "etc/egressd/policies/named.yaml").unlink()
    host.do("systemctl", "reload", UNIT)
    assert not capture.lines, capture.lines[:5]
    assert host.do("dpkg-query", "-W", "-f", "${Version}", "egressd").endswith("+next")
    assert "# mine" in (host.root / "etc/egressd/egressd.yaml").read_text()
    check_all_open(host)


def test_what_is_revoked_is_cut(host):
    grant = json.loads(ctl(host, "grants", "--json"))["grants"][0]["grant"]
    ctl(host, "revoke", str(grant), user="approver")
    wait(lambda: not stands(host), 15, "the tunnel is cut")
    for name in STEADY:
        goes_on(host, name)
    end(host, "llm-pretrain@tunnel")


def test_the_side_doors_can_be_closed(host):
    doors = (
        "/run/nscd/socket", "/run/systemd/resolve/io.systemd.Resolve", "/run/dbus/system_bus_socket",
        "/run/user/1001/bus", "/run/user/1001/systemd/private", "/run/docker.sock",
    )
    for path in doors:
        host.do("sh", "-c", f"mkdir -p {path.rsplit('/', 1)[0]} && {{ [ -e {path} ] || install -m 0666 /dev/null {path}; }}")
    host.do("sh", "-c", "cp -R /usr/share/doc/egressd/examples/units/. /etc/systemd/system/ && systemctl daemon-reload")
    look = f"for door in {' '.join(doors)}; do [ -w $door ] && echo open $door; done; unshare --user true || echo alone"
    for name, is_open in (("open", True), ("llm-pretrain@look", False), ("evaluation", False)):
        start(host, name, "/bin/sh", "-c", look)
        finished(host, name)
        said = host.journal(f"--unit={name}.service").splitlines()
        assert [line.split()[1] for line in said if line.startswith("open ")] == (list(doors) if is_open else [])
        assert ("alone" in said) != is_open
        end(host, name)
    # Those that run were started without it.
    end(host, *STEADY)
    start(host, "llm-pretrain@stays", "sleep", "60")
    # Until it runs it is systemd, on its way into the drop-in.
    stays = f"/proc/{pid(host, 'llm-pretrain@stays')}/comm"
    wait(lambda: host.do("cat", stays).strip() == "sleep", 5, "the job runs")
    report = {check["id"]: check for check in json.loads(host.try_("egressd", "coverage", "--json").stdout)["checks"]}
    end(host, "llm-pretrain@stays")
    for name in ("doors.names", "doors.bus", "doors.containers", "doors.user-manager"):
        assert report[name]["state"] == "enforced", report[name]
    assert host.show("training.slice", "LoadState")["LoadState"] == "loaded"


EARLY = f"""[Unit]
DefaultDependencies=no
After=local-fs.target
Before=network-pre.target
[Service]
Type=simple
Slice=training.slice
User=trainer
ExecStart=/usr/bin/python3 /opt/probes/job.py knock {STRANGER4} 443
[Install]
WantedBy=sysinit.target
"""


def reboot_watched(host):
    """Reboots; what the stranger was sent from the first moment until the container is up and a while more."""
    with host.world.capture("host", STRANGER4) as capture:
        host.reboot()
        wait(lambda: not ready(host) or host.reaches(STORAGE4, 443), 20, "a network")
        wait(lambda: host.journal("--unit=llm-pretrain@early.service", "--boot").count(" tcp ") > 20, 30, "it knocks")
        time.sleep(1)
    return capture.lines


def test_the_deny_is_there_before_the_first_packet_of_a_boot(host):
    host.write("/etc/systemd/system/llm-pretrain@early.service", EARLY)
    host.do("systemctl", "enable", "llm-pretrain@early.service")
    assert reboot_watched(host) == []
    assert ready(host) and "CONNECTED" not in host.journal("--unit=llm-pretrain@early.service", "--boot")
    boot = host.number("egressd-boot.service", "ActiveEnterTimestampMonotonic")
    daemon = host.number(UNIT, "ActiveEnterTimestampMonotonic")
    network = host.number("systemd-networkd.service", "InactiveExitTimestampMonotonic")
    print(f"deny after {boot / 1e6:.2f} s, daemon {daemon / 1e6:.2f} s, network begins {network / 1e6:.2f} s")
    assert 0 < boot < daemon < network
    assert "adopting table" in host.journal(f"--unit={UNIT}", "--boot")
    start(host, STEADY[0], "/usr/bin/python3", "/opt/probes/job.py", "steady", STORAGE4, "443")
    wait(lambda: steady(host, STEADY[0])[0] > 5, 10, "what is allowed goes on after the boot")


def test_a_boot_without_a_daemon_is_closed(host):
    config = host.root / "etc/egressd/egressd.yaml"
    text = config.read_text()
    config.write_text(text + "nonsense: true\n")
    lines = reboot_watched(host)
    state = host.show(UNIT, "ActiveState")["ActiveState"]
    is_open = host.reaches(STORAGE4, 443)
    config.write_text(text)
    assert lines == []
    assert state != "active", "the daemon does not start with a bad configuration"
    assert host.show("egressd-boot.service", "ActiveState")["ActiveState"] == "active"
    assert not is_open, "not only workloads: nobody gets out"
    wait(lambda: ready(host), 15, "with a good one it does, by itself")
    wait(lambda: host.reaches(STORAGE4, 443), 10, "the daemon lets it")


def test_removal_opens_the_host_and_keeps_the_record(host):
    assert "table inet egressd" in host.do("nft", "list", "tables")
    host.do("dpkg", "-r", "egressd")
    assert "egressd" not in host.do("nft", "list", "tables")
    assert not host.try_("pgrep", "-x", "egressd").stdout
    assert host.reaches(STRANGER4, 443)
    assert (host.root / "var/lib/egressd/egressd.db").exists() and (host.root / "etc/egressd/egressd.yaml").exists()
    assert host.show(UNIT, "LoadState")["LoadState"] in ("not-found", "masked")


def test_purge_leaves_only_what_is_not_its_own(host):
    host.do("dpkg", "-P", "egressd")
    assert not (host.root / "var/lib/egressd").exists()
    # A policy is the administrator's, and no file of the package.
    assert [path.name for path in (host.root / "etc/egressd").rglob("*")] == ["policies", "llm-pretrain.yaml"]
    assert host.try_("systemctl", "list-unit-files", "egressd*", "--no-legend").stdout.split() == []
    for group in ("egress-approvers", "egress-viewers"):
        assert host.do("getent", "group", group)
    assert host.state() == "running", host.do("systemctl", "--failed", "--no-legend")
