"""What real clients send first: runs each against a socket on 127.0.0.1 and writes what came to a file of its name.

    unshare --net --mount python3 first_bytes.py FOLDER

Wants a network namespace of its own, and a mount namespace, because it gives names to 127.0.0.1.
"""

from __future__ import annotations

import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
HOSTS = "127.0.0.1 localhost pypi.example.org git.example.org\n"
PORT = 8080
PYTHON = f"import sys; sys.path.insert(0, {str(ROOT / '.build/python')!r}); "
URL = f"http://pypi.example.org:{PORT}/simple/"

# The commands by the name of the file; what the client says before anybody answers it.
CLIENTS = {
    "curl": ["curl", "-s", "-m2", URL],
    "curl-post": ["curl", "-s", "-m2", "-d", "a=b", URL],
    "curl-http10": ["curl", "-s", "-m2", "-0", URL],
    "curl-h2": ["curl", "-s", "-m2", "--http2-prior-knowledge", URL],
    "curl-h2c": ["curl", "-s", "-m2", "--http2", URL],
    "curl-proxy": ["curl", "-s", "-m2", "-x", f"http://127.0.0.1:{PORT}", "http://other.example/x"],
    "curl-tunnel": ["curl", "-s", "-m2", "-p", "-x", f"http://127.0.0.1:{PORT}", "http://other.example/x"],
    "curl-websocket": ["curl", "-s", "-m2", "-H", "Connection: Upgrade", "-H", "Upgrade: websocket", URL],
    "curl-address": ["curl", "-s", "-m2", f"http://127.0.0.1:{PORT}/"],
    "curl-socks4": ["curl", "-s", "-m2", "-x", f"socks4://127.0.0.1:{PORT}", "http://192.0.2.1/"],
    "curl-socks4a": ["curl", "-s", "-m2", "-x", f"socks4a://127.0.0.1:{PORT}", "http://other.example/"],
    "curl-socks5": ["curl", "-s", "-m2", "-x", f"socks5h://127.0.0.1:{PORT}", "http://other.example/"],
    "nghttp": ["nghttp", "-t2", URL],
    "requests": ["/usr/bin/python3", "-c", PYTHON + f"import requests; requests.get({URL!r}, timeout=2)"],
    "urllib": ["/usr/bin/python3", "-c", f"import urllib.request as u; u.urlopen({URL!r}, timeout=2)"],
    "git": ["git", "ls-remote", f"http://git.example.org:{PORT}/team/code.git"],
    "ssh": ["ssh", "-oStrictHostKeyChecking=no", "-oConnectTimeout=2", f"-p{PORT}", "git.example.org"],
    "dig": ["dig", "+tcp", "+tries=1", "+time=1", f"-p{PORT}", "@127.0.0.1", "www.example.org"],
}


def first_bytes(argv: list[str]) -> bytes:
    """What one client sends until it waits, while nobody answers."""
    got = bytearray()
    with socket.create_server(("127.0.0.1", PORT)) as listener:
        listener.settimeout(10)
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            peer = listener.accept()[0]
            with peer:
                peer.settimeout(0.2)
                try:
                    while data := peer.recv(65536):
                        got += data
                except TimeoutError:
                    pass
        except TimeoutError:
            pass
        finally:
            process.kill()
            process.wait()
    return bytes(got)


def server_banner() -> bytes:
    """What OpenSSH's server says to a client that is silent."""
    with tempfile.TemporaryDirectory() as folder:
        key = f"{folder}/key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        pathlib.Path("/run/sshd").mkdir(exist_ok=True)
        mine, its = socket.socketpair()
        with mine, its:
            argv = ["/usr/sbin/sshd", "-i", "-f", "/dev/null", "-h", key]
            process = subprocess.Popen(argv, stdin=its, stdout=its, stderr=subprocess.DEVNULL)
            mine.settimeout(5)
            try:
                return mine.recv(65536)
            finally:
                process.kill()
                process.wait()


def main() -> None:
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with tempfile.NamedTemporaryFile("w") as hosts:
        hosts.write(HOSTS)
        hosts.flush()
        subprocess.run(["mount", "--bind", hosts.name, "/etc/hosts"], check=True)
        for name, argv in CLIENTS.items():
            (folder / name).write_bytes(first_bytes(argv))
    (folder / "sshd").write_bytes(server_banner())


main()
