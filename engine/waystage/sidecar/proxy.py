"""The HTTP side: every request is passed on, and what scored is in the journal when it is answered.

One thread for each connection of a client, with a connection of its own to the model server.
"""

from __future__ import annotations

import json
import socketserver
import time
from collections.abc import Callable
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException, HTTPResponse
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from waystage.plugin import new_request_id
from waystage.sidecar.copies import Copies
from waystage.sidecar.rows import REQUEST_ID, Exchange, scoring_verb
from waystage.sidecar.tally import Tally

REQUEST_HEADER = "X-Request-Id"
PROBE_HEADER = "X-Waystage-Probe"
COPIED = ("Content-Type", "Content-Encoding")  # what a copy of a request says of its body
OWN = "/waystage/"
BODY_LIMIT = 64 << 20
HEADER_SECONDS, IDLE_SECONDS = 10, 120
# of one connection, not of the message; and what is said anew
NOT_PASSED_ON = frozenset({
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer",
    "transfer-encoding", "upgrade", "content-length", "expect", "accept-encoding", "host",
    "x-request-id", "proxy-connection",
})  # fmt: skip


class Proxy(socketserver.ThreadingMixIn, HTTPServer):
    """Listens, and gives each connection a thread."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 512

    def __init__(
        self, listen: tuple[str, int], upstream: tuple[str, int], *, seconds: float,
        record: Callable[[Exchange], None], told: Callable[[], dict[str, object]],
        metrics: Callable[[], str], tally: Tally, copies: Copies | None = None,
    ) -> None:  # fmt: skip
        self.upstream, self.seconds, self.record = upstream, seconds, record
        self.told, self.metrics, self.tally, self.copies = told, metrics, tally, copies
        super().__init__(listen, Handler)

    def server_bind(self) -> None:
        """Bind without looking up names, which may take seconds."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "sidecar", int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that went away; all else is answered where it happens."""


class Refusal(Exception):  # an answer with a status, not a fault
    """What the client is told instead of the model server's answer."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Handler(BaseHTTPRequestHandler):
    """One connection of a client, and the one to the model server behind it."""

    server: Proxy
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "waystage", ""
    timeout = HEADER_SECONDS
    wbufsize = -1  # head and body leave together
    disable_nagle_algorithm = True
    line: HTTPConnection | None = None

    def do_GET(self) -> None:
        """Answer health and metrics of our own; pass the rest on."""
        if self.path.startswith(OWN):
            self._own()
        else:
            self._pass()

    def _pass(self) -> None:
        try:
            self._passed_on()
        except Refusal as refusal:
            self.close_connection = True
            self._send(refusal.status, [], json.dumps({"error": str(refusal)}).encode())
        finally:
            self.connection.settimeout(IDLE_SECONDS)

    do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_HEAD = _pass  # noqa: N815  # the base's names

    def finish(self) -> None:
        """Let go of both connections."""
        if self.line is not None:
            self.line.close()
        super().finish()

    def parse_request(self) -> bool:
        """Read the head, which must come soon once it has begun."""
        self.connection.settimeout(HEADER_SECONDS)
        return super().parse_request()

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are in the scoring log."""

    def _own(self) -> None:
        if self.path == f"{OWN}health":
            self._send(200, [("Content-Type", "application/json")],
                       json.dumps(self.server.told()).encode())  # fmt: skip
        elif self.path == f"{OWN}metrics":
            kind = ("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self._send(200, [kind], self.server.metrics().encode())
        else:
            self._send(404, [], b"")

    def _passed_on(self) -> None:
        at, began = datetime.now(UTC), time.perf_counter()
        self.connection.settimeout(self.server.seconds)
        body = self._body()
        given = self.headers.get(REQUEST_HEADER, "")
        name = given if REQUEST_ID.fullmatch(given) else new_request_id()
        answer = self._asked(body, name)
        content = answer.read()
        self.server.tally.count("requests")
        verb = scoring_verb(self.command, self.path)
        scoring = bool(verb) and self.headers.get(PROBE_HEADER) != "1"
        if scoring and answer.status != 200:
            self.server.tally.count("unscored")
        elif scoring:
            took = (time.perf_counter() - began) * 1000
            packed = self.headers.get("Content-Encoding", "") == "gzip"
            self.server.record(
                Exchange(name, at.isoformat(), round(took, 3), verb, packed, body, content)
            )
            self._copied(body, name)
        headers = [(n, v) for n, v in answer.getheaders() if n.lower() not in NOT_PASSED_ON]
        self._send(answer.status, [*headers, (REQUEST_HEADER, name)], content)

    def _copied(self, body: bytes, name: str) -> None:
        if self.server.copies is not None:
            told = {key: self.headers[key] for key in COPIED if self.headers.get(key)}
            self.server.copies.offer(self.path, told | {REQUEST_HEADER: name}, body)

    def _asked(self, body: bytes, name: str) -> HTTPResponse:
        """Give the model server's answer; a connection that it had closed is opened anew."""
        fresh = self.line is None
        for last in (True,) if fresh else (False, True):
            try:
                return self._ask(body, name)
            except (OSError, HTTPException) as error:
                self._hang_up()
                if last or isinstance(error, TimeoutError):
                    self.server.tally.count("upstream_failures")
                    status = 504 if isinstance(error, TimeoutError) else 502
                    raise Refusal(status, f"the model server does not answer: {error}") from error
            except ValueError as error:  # a head that no request may have
                self._hang_up()
                raise Refusal(400, f"the request cannot be passed on: {error}") from error
        raise AssertionError("one of both attempts is the last")

    def _ask(self, body: bytes, name: str) -> HTTPResponse:
        if self.line is None:
            host, port = self.server.upstream
            self.line = HTTPConnection(host, port, timeout=self.server.seconds)
        line = self.line
        line.putrequest(self.command, self.path, skip_accept_encoding=True)
        for key, value in self.headers.items():
            if key.lower() not in NOT_PASSED_ON:
                line.putheader(key, value)
        line.putheader(REQUEST_HEADER, name)
        if body or self.command in ("POST", "PUT", "PATCH"):
            line.putheader("Content-Length", str(len(body)))
        line.endheaders(body or None)
        return line.getresponse()

    def _hang_up(self) -> None:
        if self.line is not None:
            self.line.close()
            self.line = None

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length")
        coding = self.headers.get("Transfer-Encoding", "").lower()
        if coding and (length is not None or coding != "chunked"):
            raise Refusal(400, "the request's length is not clear")
        if coding:
            return self._chunks()
        if length is None:
            return b""
        if not (length.isascii() and length.isdigit()):
            raise Refusal(400, "Content-Length is no number")
        if int(length) > BODY_LIMIT:
            raise Refusal(413, f"the body has more than {BODY_LIMIT} bytes")
        return self._exactly(int(length))

    def _chunks(self) -> bytes:
        parts, size = [], 0
        while True:
            try:
                length = int(self.rfile.readline(1024).partition(b";")[0], 16)
            except ValueError as error:
                raise Refusal(400, "a chunk has no length") from error
            size += length
            if length < 0 or size > BODY_LIMIT:
                raise Refusal(413, f"the body has more than {BODY_LIMIT} bytes")
            if length == 0:
                break
            parts.append(self._exactly(length))
            self.rfile.readline(1024)
        while self.rfile.readline(1024) not in (b"\r\n", b"\n", b""):
            pass  # trailers
        return b"".join(parts)

    def _exactly(self, length: int) -> bytes:
        try:
            found = self.rfile.read(length)
        except OSError as error:
            raise Refusal(408, "the body did not come") from error
        if len(found) < length:
            raise Refusal(400, "the body ended before it was whole")
        return found

    def _send(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
        try:
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            if self.command != "HEAD" and status not in (204, 304):
                self.send_header("Content-Length", str(len(content)))
            if self.close_connection:
                self.send_header("Connection", "close")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)
            self.wfile.flush()
        except OSError:
            self.close_connection = True  # the client has gone away
