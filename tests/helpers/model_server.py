"""A small model server for tests: TensorFlow Serving's REST protocol, a score from each input.

`python model_server.py PORT` runs it as a process of its own.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Answering(BaseHTTPRequestHandler):
    """Answers x / 1000 as the score of {"x": …}, and says what it was asked."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body leave together

    def do_GET(self) -> None:
        """Answer a status."""
        self._send(200, {"model_version_status": [{"version": "1", "state": "AVAILABLE"}]})

    def do_POST(self) -> None:
        """Score."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        seen = {name.lower(): value for name, value in self.headers.items()}
        self.server.seen.append((self.path, seen, body))  # type: ignore[attr-defined]  # of the server below
        try:
            rows = json.loads(body)["instances"]
            self._send(200, {"predictions": [{"score": row["x"] / 1000} for row in rows]})
        except (ValueError, KeyError):
            self._send(400, {"error": "no rows"})

    def log_message(self, format: str, *args: Any) -> None:
        """Be quiet."""

    def _send(self, status: int, body: Any) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("X-Model", "small")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


class ModelServer(ThreadingHTTPServer):
    """One on a port of this machine."""

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        self.seen: list[tuple[str, dict[str, str], bytes]] = []
        super().__init__(("127.0.0.1", port), Answering)


@contextmanager
def model_server(port: int = 0) -> Iterator[ModelServer]:
    """Give one that runs in a thread."""
    server = ModelServer(port)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


if __name__ == "__main__":
    ModelServer(int(sys.argv[1])).serve_forever()
