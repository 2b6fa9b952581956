"""A registry in memory that tests may plant faults into; the real one never lies.

It keeps to the OCI distribution specification as far as images need it, and holds no code of
ours: the tests that run against it run against the real registry too, where there is one.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

from image_registry import Shelf, basic


class StandIn(Shelf):
    """Repositories as dictionaries; `faults` maps `METHOD path-part` to what happens then.

    A fault gets the handler; if it gives True, the request is over.
    """

    def __init__(self, user: tuple[str, str] | None = None) -> None:
        self.blobs: dict[str, dict[str, bytes]] = {}
        self.manifests: dict[str, dict[str, tuple[bytes, str]]] = {}
        self.uploads: dict[str, bytearray] = {}
        self.asked: list[str] = []
        self.told: list[str] = []  # every Authorization that came
        self.faults: dict[str, Callable[[Any], bool]] = {}
        self.user = user
        self._server = _Quiet(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.address = f"127.0.0.1:{self._server.server_port}"
        self.url = f"http://{self.address}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.01,), daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """End the server."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Quiet(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that were killed: tests do that on purpose."""


def _handler(shelf: StandIn) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer()

        def do_HEAD(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def do_PUT(self) -> None:
            self._answer()

        def do_PATCH(self) -> None:
            self._answer()

        def do_DELETE(self) -> None:
            self._answer()

        def log_message(self, format: str, *args: object) -> None:
            pass

        def _answer(self) -> None:
            line = f"{self.command} {self.path}"
            shelf.asked.append(line)
            given = self.headers.get("Authorization", "")
            shelf.told.append(given)
            for part, fault in list(shelf.faults.items()):
                method, _, piece = part.partition(" ")
                if method == self.command and piece in self.path and fault(self):
                    return
            if shelf.user and given != basic(*shelf.user):
                self.body()
                self.say(401, headers={"WWW-Authenticate": 'Basic realm="tests"'})
                return
            path = urlsplit(self.path).path
            if "/manifests/" in path:
                self._manifest(*path.removeprefix("/v2/").split("/manifests/"))
            elif "/blobs/uploads/" in path:
                self._upload(*path.removeprefix("/v2/").split("/blobs/uploads/"))
            elif "/blobs/" in path:
                name, digest = path.removeprefix("/v2/").split("/blobs/")
                found = shelf.blobs.get(name, {}).get(digest)
                self.say(404) if found is None else self.say(200, found)
            elif path == "/v2/_catalog":
                self.say(200, json.dumps({"repositories": sorted(shelf.manifests)}).encode())
            elif path.endswith("/tags/list"):
                kept = shelf.manifests.get(path.removeprefix("/v2/").removesuffix("/tags/list"), {})
                tags = [tag for tag in kept if not tag.startswith("sha256:")]
                self.say(200, json.dumps({"tags": tags}).encode())
            else:
                self.say(200)

        def _manifest(self, name: str, version: str) -> None:
            kept = shelf.manifests.setdefault(name, {})
            if self.command == "PUT":
                raw = self.body()
                digest = "sha256:" + hashlib.sha256(raw).hexdigest()
                kept[version] = kept[digest] = (raw, self.headers["Content-Type"])
                self.say(201)
            elif version in kept:
                self.say(200, kept[version][0], {"Content-Type": kept[version][1]})
            else:
                self.say(404)

        def _upload(self, name: str, number: str) -> None:
            raw, query = self.body(), parse_qs(urlsplit(self.path).query)
            if self.command == "POST":
                self._begin(name, query)
            elif number not in shelf.uploads:
                self.say(404)
            elif self.command == "DELETE":
                del shelf.uploads[number]
                self.say(204)
            elif self.command == "PATCH":
                shelf.uploads[number] += raw
                self.say(202, headers={"Location": self.path})
            else:
                whole = bytes(shelf.uploads.pop(number) + raw)
                digest = "sha256:" + hashlib.sha256(whole).hexdigest()
                if query["digest"] != [digest]:
                    self.say(400, b'{"errors": [{"code": "DIGEST_INVALID", "message": "other"}]}')
                    return
                shelf.blobs.setdefault(name, {})[digest] = whole
                self.say(201)

        def _begin(self, name: str, query: dict[str, list[str]]) -> None:
            digest = query.get("mount", [""])[0]
            other = shelf.blobs.get(query.get("from", [""])[0], {})
            if digest in other:
                shelf.blobs.setdefault(name, {})[digest] = other[digest]
                self.say(201)
                return
            number = uuid4().hex
            shelf.uploads[number] = bytearray()
            self.say(202, headers={"Location": f"/v2/{name}/blobs/uploads/{number}?state=x"})

        def body(self) -> bytes:
            """Read what was sent, whole or in chunks."""
            if self.headers.get("Transfer-Encoding") == "chunked":
                found = b""
                while size := int(self.rfile.readline(), 16):
                    found += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return found
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))

        def say(
            self, status: int, body: bytes = b"", headers: dict[str, str] | None = None
        ) -> None:
            """Answer."""
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

    return Handler
