"""How the stand-in for a Kubernetes API speaks HTTP: requests, answers, streams that may be cut."""

from __future__ import annotations

import json
import socket
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

from kube_answers import Answered
from kube_discovery import AGGREGATED
from kube_forward import forward
from kube_lists import Watch
from kube_verbs import Asked

if TYPE_CHECKING:
    from kube_api import KubeApi


def shut(line: socket.socket) -> None:
    """Cut a line, whatever is on it."""
    try:
        line.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


class Handler(BaseHTTPRequestHandler):
    """One line to a client; `api` is what it speaks for."""

    api: KubeApi
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.api.is_kept(self.connection, open_=True)

    def finish(self) -> None:
        self.api.is_kept(self.connection, open_=False)
        super().finish()

    def handle_any(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.api.requests.append((self.command, self.path))
        asked: Any = None
        rest = 0
        try:
            with self.api.store.lock:
                asked = self.api.asked(self, raw)
                code, body = self.api.answer(asked) if isinstance(asked, Asked) else asked
                text = body if isinstance(body, str | Watch) else json.dumps(body)
            if self.api.is_lost(asked, self.command):
                self.close_connection = True
                return
            if code == 101:
                number = int(asked.query["ports"])
                forward(self, self.api.address(body, number), number)
                return
        except Answered as no:
            code, text = no.code, json.dumps(no.body)
            rest = no.body.get("details", {}).get("retryAfterSeconds", 0)
        if isinstance(text, Watch):
            self.stream(text)
        else:
            self.tell(code, text, asked, rest)

    def tell(self, code: int, text: str, asked: Any, rest: int) -> None:
        kind = "application/json" if text[:1] == "{" else "text/plain"
        if '"APIGroupDiscoveryList"' in text[:60]:
            kind += f";{AGGREGATED};v=v2;as=APIGroupDiscoveryList"
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text.encode())))
        if rest:
            self.send_header("Retry-After", str(rest))
        for each in asked.warnings if isinstance(asked, Asked) else ():
            told = each.replace("\\", "\\\\").replace('"', '\\"')
            self.send_header("Warning", f'299 - "{told}"'.encode().decode("latin-1"))
        self.end_headers()
        self.wfile.write(text.encode())

    def stream(self, watch: Watch) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.api.watches.add(watch)
        try:
            for line in watch.lines():
                self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
                self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.close_connection = True
            shut(self.connection)
        finally:
            self.api.watches.discard(watch)

    do_GET = do_POST = do_PUT = handle_any  # noqa: N815  # the library's names
    do_PATCH = do_DELETE = handle_any  # noqa: N815  # the library's names

    def log_message(self, *_: Any) -> None: ...


def handler_of(api: KubeApi) -> type[Handler]:
    """Make what answers the requests of an API."""
    return type("HandlerOfOne", (Handler,), {"api": api})
