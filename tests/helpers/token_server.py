"""A token server, as registries name one in `WWW-Authenticate: Bearer` (Distribution's spec)."""

from __future__ import annotations

import base64
import json
import subprocess
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

ISSUER, SERVICE = "waystage-tests", "registry"


class TokenServer:
    """Gives a JWT for the asked scopes to those whom `knows` knows by user and password."""

    def __init__(self, place: Path, knows: Callable[[str, str], bool], lifetime: int = 300) -> None:
        self._knows, self._key, self._lifetime = knows, place / "token.key", lifetime
        self.certificate = place / "token.pem"
        self.read_only = False
        self.issued: dict[str, list[dict[str, Any]]] = {}
        make_certificate(self._key, self.certificate)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}/token"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.01,), daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """End the server."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _token(self, user: str, scopes: list[str]) -> str:
        access = []
        for scope in scopes:
            kind, name, actions = scope.split(":", 2) if scope.count(":") > 1 else ("", "", "")
            allowed = ["pull"] if self.read_only else actions.split(",")
            access.append({"type": kind, "name": name, "actions": allowed})
        now = int(time.time())
        claims = {
            "iss": ISSUER, "sub": user, "aud": SERVICE, "exp": now + self._lifetime,
            "nbf": now - 10, "iat": now, "jti": uuid4().hex, "access": access,
        }  # fmt: skip
        pem = self.certificate.read_text().splitlines()
        head = {"typ": "JWT", "alg": "RS256", "x5c": ["".join(pem[1:-1])]}
        signed = f"{_packed(head)}.{_packed(claims)}"
        token = f"{signed}.{_url64(self._sign(signed))}"
        self.issued[token] = access
        return token

    def _sign(self, text: str) -> bytes:
        told = subprocess.run(
            ["openssl", "dgst", "-sha256", "-sign", self._key],
            input=text.encode(), capture_output=True, check=True,
        )  # fmt: skip
        return told.stdout

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                query = parse_qs(urlsplit(self.path).query)
                told = self.headers.get("Authorization", "").removeprefix("Basic ")
                user, _, password = base64.b64decode(told).decode().partition(":")
                fine = server._knows(user, password)
                token = server._token(user, query.get("scope", [])) if fine else ""
                body = json.dumps({"token": token} if fine else {"details": "no"}).encode()
                self.send_response(200 if fine else 401)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler


def make_certificate(key: Path, certificate: Path, name: str = "127.0.0.1") -> None:
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", f"/CN={name}", "-addext", f"subjectAltName=IP:{name}",
         "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip


def _packed(value: object) -> str:
    return _url64(json.dumps(value).encode())


def _url64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
