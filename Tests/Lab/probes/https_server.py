"""Static files over HTTPS at one address. The plan: `{"at": […], "port": 443, "root": …, "certificate": …, "key": …}`."""

import functools
import http.server
import json
import socket
import ssl
import sys
import threading
import time

TELLING = threading.Lock()


def tell(**facts):
    # Every connection has a thread: a line and its end in one write, and one at a time.
    with TELLING:
        sys.stdout.write(json.dumps({"at": time.monotonic(), **facts}) + "\n")
        sys.stdout.flush()


class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        headers = getattr(self, "headers", None)
        host = headers.get("Host") if headers else None
        tell(event="request", host=host, path=getattr(self, "path", None), peer=self.client_address[:2])


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, at, port, context, handler):
        self.address_family = socket.AF_INET6 if ":" in at else socket.AF_INET
        self.context = context
        super().__init__((at, port), handler)

    def server_bind(self):
        # The base class looks up its own name, which has no answer here.
        socket.socket.setsockopt(self.socket, socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = self.server_address[:2]

    def finish_request(self, request, client_address):
        # The handshake belongs to the connection's own thread: a client that says nothing stops no other.
        request.settimeout(20)
        try:
            with self.context.wrap_socket(request, server_side=True) as wrapped:
                self.RequestHandlerClass(wrapped, client_address, self)
        except OSError:
            pass

    def handle_error(self, *_):
        pass


def main():
    plan = json.loads(sys.argv[1])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(plan["certificate"], plan["key"])
    handler = functools.partial(Handler, directory=plan["root"])
    servers = [Server(at, plan["port"], context, handler) for at in plan["at"]]
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    tell(event="ready")
    threading.Event().wait()


main()
