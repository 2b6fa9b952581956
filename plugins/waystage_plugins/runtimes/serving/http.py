"""The HTTP side of the server: one handler, on loopback only."""

from __future__ import annotations

import json
import socketserver
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import urlsplit

from waystage_plugins.runtimes.serving import protocol
from waystage_plugins.runtimes.serving.config import PROBE_HEADER, VERSIONS
from waystage_plugins.runtimes.serving.desk import Desk
from waystage_plugins.runtimes.serving.models import Models
from waystage_plugins.runtimes.serving.protocol import Problem

BODY_LIMIT = 1 << 20
HEADER_SECONDS, BODY_SECONDS, IDLE_SECONDS = 5, 15, 75
REQUEST_HEADER = "X-Request-Id"
HOSTS = ("127.0.0.1", "localhost", "::1")


class Server(socketserver.ThreadingMixIn, HTTPServer):
    """One thread per connection; beyond a limit connections are closed at once."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 256
    connections = 1000

    def __init__(
        self, port: int, models: Models, desk: Desk | None, handler: type[Handler] | None = None
    ) -> None:
        self.models, self._desk = models, desk
        self._room = threading.BoundedSemaphore(self.connections)
        self._busy, self._quiet = 0, threading.Condition()
        super().__init__(("127.0.0.1", port), handler or Handler)

    def mirror_seen(self) -> dict[str, int]:
        """Give what became of copies of requests; nothing where none are scored here."""
        return self._desk.mirror.seen() if self._desk else {}

    @property
    def desk(self) -> Desk:
        """Give what scores; raises `Problem` where nothing is scored by HTTP."""
        if self._desk is None:
            raise Problem(404, "this server takes no requests by REST")
        return self._desk

    def server_bind(self) -> None:
        """Bind without looking up names, which may take seconds."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give the connection its thread if there is room."""
        if self._room.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection until it ends."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def answering(self, change: int) -> None:
        """Count the requests that are being answered."""
        with self._quiet:
            self._busy += change
            self._quiet.notify_all()

    def others(self) -> int:
        """Give how many requests are being answered besides the one that asks."""
        return self._busy - 1

    def drain(self, seconds: float) -> None:
        """Wait until all requests that have begun are answered."""
        with self._quiet:
            self._quiet.wait_for(lambda: self._busy == 0, timeout=seconds)


class Handler(BaseHTTPRequestHandler):
    """One connection and its requests."""

    server: Server
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "waystage", ""
    timeout = HEADER_SECONDS
    wbufsize = -1  # head and body leave together
    disable_nagle_algorithm = True
    request_id = ""

    def do_GET(self) -> None:
        """Answer status, metadata, and what the runtime looks at."""
        self._guarded(self._get)

    def do_POST(self) -> None:
        """Predict, classify, regress."""
        self._guarded(self._post)

    def parse_request(self) -> bool:
        """Read the head, which must come soon once it has begun."""
        self.connection.settimeout(HEADER_SECONDS)
        return super().parse_request()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what cannot be read as a request at all."""
        self.close_connection = True
        self._send(code, {"error": message or "bad request"})

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are in the scoring log; only errors go to the server's own."""

    def _guarded(self, handle: Callable[[], dict[str, Any]]) -> None:
        self.request_id = ""
        self.server.answering(+1)
        try:
            self._send(*self._answer(handle))
            self.wfile.flush()
        except OSError:
            self.close_connection = True  # the client has gone away
        finally:
            self.server.answering(-1)
            self.connection.settimeout(IDLE_SECONDS)

    def _answer(self, handle: Callable[[], dict[str, Any]]) -> tuple[int, dict[str, Any]]:
        try:
            self._check_sender()
            return 200, handle()
        except Problem as problem:
            return problem.status, {"error": str(problem)}
        except OSError:
            raise
        except Exception as error:  # noqa: BLE001  # one bad request must not end the server
            print(f"{self.path[:200]}: {error!r}", file=sys.stderr, flush=True)
            return 500, {"error": "the server failed; its log says why"}

    def _check_sender(self) -> None:
        """Refuse what a page in a browser could send here behind its reader's back."""
        host = _host(f"//{self.headers.get('Host', '')}")
        if host not in HOSTS:
            self.close_connection = True
            raise Problem(400, f"unknown host {str(host)[:100]!r}: this server is for loopback")
        origin = self.headers.get("Origin")
        if origin is not None and _host(origin) not in HOSTS:
            self.close_connection = True
            raise Problem(403, f"requests from {origin[:100]!r} are not answered")

    def _get(self) -> dict[str, Any]:
        if self.headers.get("Content-Length", "0") != "0" or self.headers.get("Transfer-Encoding"):
            self.close_connection = True  # a body that nobody reads is no next request
        table = self.server.models.table
        if self.path == VERSIONS:
            return protocol.seen(table) | {
                "answering": self.server.others(), "mirror": self.server.mirror_seen()
            }  # fmt: skip
        target = protocol.read_path("GET", self.path)
        if not target.metadata and not target.version and not target.label:
            if target.model != table.config.model:
                raise Problem(404, f"Could not find any versions of model {target.model[:200]}")
            return protocol.status(list(table.versions.values()))
        version, role = protocol.pick(table, target)
        if target.metadata:
            return protocol.metadata(table, version, role)
        return protocol.status([version])

    def _post(self) -> dict[str, Any]:
        began, content = time.perf_counter(), self._body()
        target = protocol.read_path("POST", self.path)
        body = protocol.read_body(content)
        done = self.server.desk.score(
            target,
            lambda columns: protocol.read_rows(target.verb, body, columns),
            name=self.headers.get(REQUEST_HEADER),
            probe=self.headers.get(PROBE_HEADER) == "1",
            began=began,
        )
        self.request_id = done.request_id
        return protocol.answer(target.verb, body, done.scores)

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length") or ""
        if self.headers.get("Transfer-Encoding") or not (length.isascii() and length.isdigit()):
            self.close_connection = True
            raise Problem(400, "the request needs one Content-Length and no Transfer-Encoding")
        if len(length) > 9 or int(length) > BODY_LIMIT:
            self.close_connection = True
            raise Problem(413, f"the body has more than {BODY_LIMIT} bytes")
        if len(set(self.headers.get_all("Content-Length", []))) > 1:
            self.close_connection = True
            raise Problem(400, "the request has several Content-Length")
        self.connection.settimeout(BODY_SECONDS)
        return self.rfile.read(int(length))

    def _send(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body, allow_nan=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        if self.request_id:
            self.send_header(REQUEST_HEADER, self.request_id)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
