"""A stand-in for Argo CD's REST API: applications that are synced, and are well or not.

Made from its published API (`/api/v1/applications/{name}`, `…/sync`): the fields, the phases of an
operation, `infos`, and the errors of its gRPC gateway (`error`, `code`, `message`).
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "argo-session-token"


@dataclass
class App:
    """One application; `then` is what it comes to, look by look."""

    automated: bool = False
    revision: str = "0" * 40
    health: str = "Healthy"
    synced: str = "Synced"
    operation: dict[str, Any] = field(default_factory=dict)
    history: list[str] = field(default_factory=list)
    resources: list[dict[str, Any]] = field(default_factory=list)
    then: list[dict[str, Any]] = field(default_factory=list)

    def body(self, name: str) -> dict[str, Any]:
        policy = {"automated": {"prune": True}} if self.automated else {}
        return {
            "metadata": {"name": name, "namespace": "argocd"},
            "spec": {"project": "default", "syncPolicy": policy,
                     "source": {"repoURL": "https://git.example.org/x.git", "path": "x"}},
            "status": {
                "sync": {"status": self.synced, "revision": self.revision},
                "health": {"status": self.health},
                "history": [{"id": n, "revision": each} for n, each in enumerate(self.history)],
                "resources": self.resources,
                **({"operationState": self.operation} if self.operation else {}),
            },
        }  # fmt: skip


def ended(phase: str = "Succeeded", message: str = "", **more: Any) -> dict[str, Any]:
    """What an operation comes to, with what else is true of the application then."""
    return {"phase": phase, "message": message, **more}


class ArgoServer:
    """The server; tests put applications into `apps` and read what was asked."""

    def __init__(self) -> None:
        self.apps: dict[str, App] = {}
        self.synced: list[tuple[str, str]] = []
        self.looked: list[str] = []
        self.busy: set[str] = set()
        self.broken = 0  # so many requests are answered by 503
        self.plan: list[dict[str, Any]] = [ended()]  # what a sync comes to, for all applications
        argo = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                argo.looked.append(self.path)
                self.tell(*argo.look(self))

            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                self.tell(*argo.sync(self, json.loads(self.rfile.read(length))))

            def tell(self, status: int, body: dict[str, Any]) -> None:
                text = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                if status == 503:
                    self.send_header("Retry-After", "20")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, format: str, *args: Any) -> None:
                """Stay quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def look(self, request: Any) -> tuple[int, dict[str, Any]]:
        """Answer how an application is, and let its time go on."""
        refused = self._refused(request)
        if refused:
            return refused
        name, app = self._named(request)
        if app.then:
            self._go_on(app, app.then.pop(0))
        return 200, app.body(name)

    def sync(self, request: Any, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Begin an operation."""
        refused = self._refused(request)
        if refused:
            return refused
        name, app = self._named(request)
        if name in self.busy or app.operation.get("phase") == "Running":
            return 400, _error(9, "another operation is already in progress")
        if app.automated:
            return 400, _error(9, f"Cannot sync to {body['revision']}: auto-sync currently set")
        self.synced.append((name, body["revision"]))
        app.operation = {"phase": "Running", "message": "",
                         "operation": {"info": body["infos"],
                                       "sync": {"revision": body["revision"]}}}  # fmt: skip
        app.then = app.then or [dict(each) for each in self.plan]
        return 200, app.body(name)

    def _go_on(self, app: App, then: dict[str, Any]) -> None:
        for name in ("health", "synced", "revision", "resources"):
            if name in then:
                setattr(app, name, then[name])
        if "history" in then:
            app.history.append(then["history"])
        if "phase" in then:
            app.operation |= {"phase": then["phase"], "message": then["message"]}
        if then.get("phase") == "Succeeded":
            revision = app.operation["operation"]["sync"]["revision"]
            app.operation["syncResult"] = {"revision": revision}
            app.history.append(revision)

    def _refused(self, request: Any) -> tuple[int, dict[str, Any]] | None:
        if self.broken:
            self.broken -= 1
            return 503, {}
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return 401, _error(16, "no session information")
        if self._named(request)[0] not in self.apps:
            return 403, _error(7, "permission denied")
        return None

    def _named(self, request: Any) -> tuple[str, App]:
        parts = urlsplit(request.path)
        assert not (set(parse_qs(parts.query)) - {"refresh", "appNamespace"}), request.path
        name = parts.path.removeprefix("/api/v1/applications/").removesuffix("/sync")
        return name, self.apps.get(name, App())


def _error(code: int, message: str) -> dict[str, Any]:
    return {"error": message, "code": code, "message": message}
