"""A web server that takes messages badly: it refuses, hangs, answers 500, cuts the line."""

from __future__ import annotations

import json
import random
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class BadReceiver:
    """Takes CloudEvents; `came` has each one that arrived whole, and whether it was told so."""

    def __init__(self, seed: int, bad: float = 0.5, hang: float = 0.3) -> None:
        self._chance, self._bad, self._hang = random.Random(seed), bad, hang
        self.came: list[tuple[str, str, bool]] = []  # id, run, told that it arrived
        self.faults = 0
        self._lock = threading.Lock()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver._take(self)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Take nothing more."""
        self._server.shutdown()
        self._server.server_close()

    def _take(self, request: BaseHTTPRequestHandler) -> None:
        with self._lock:
            bad = self._chance.random() < self._bad
            how = self._chance.choice(["refuse", "hang", "error", "cut"]) if bad else "take"
            self.faults += bad
        if how == "refuse":  # before anything is read
            _reset(request.connection)
            return
        event = json.loads(request.rfile.read(int(request.headers["Content-Length"])))
        with self._lock:
            self.came.append((event["id"], event.get("subject", ""), how == "take"))
        if how == "hang":
            time.sleep(self._hang)
        if how in ("hang", "cut"):
            _reset(request.connection)
            return
        request.send_response(500 if how == "error" else 204)
        request.send_header("Content-Length", "0")
        request.end_headers()


def _reset(line: socket.socket) -> None:
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    line.shutdown(socket.SHUT_RDWR)
