"""A stand-in for a Kubernetes API server, strict where it can be, spoken to over HTTPS.

Versions, generations, Status bodies, selectors, four patches with owners of fields, subresources,
watches, pages, discovery, tables, dry-run, quotas, namespaces and their end, garbage collection,
TokenRequest, port-forward, logs, and RBAC by the Roles that were created in it. What it does not
know it refuses. Failures come on demand: lost answers, refusals, warnings, cut watches, a restart.
"""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit

import kube_parts
import kube_verbs
from kube_answers import UNKNOWN, Answered
from kube_controllers import Controllers
from kube_discovery import discovered
from kube_http import handler_of, shut
from kube_kinds import BY_PLACE, KINDS
from kube_lists import Watch
from kube_protobuf import json_of
from kube_reviews import REVIEWS
from kube_store import Store
from kube_verbs import FORMAT, Asked

Thing = dict[str, Any]
PROTOBUF, CBOR = "application/vnd.kubernetes.protobuf", "application/cbor"
ANONYMOUS = "system:anonymous"
VERBS = {"POST": "create", "PATCH": "patch", "PUT": "update", "DELETE": "delete"}


class Node(Protocol):
    """What the API asks where pods run."""

    def log(self, pod: Thing, lines: int, *, previous: bool, container: str = "") -> str | None: ...


class KubeApi:
    """The server; `admin` is a token for everything, `node` answers for pods."""

    def __init__(
        self, certificate: Path, key: Path, node: Node,
        namespaces: Iterable[str] = ("default", "models"),
    ) -> None:  # fmt: skip
        self.store = Store()
        self.node = node
        self.requests: list[tuple[str, str]] = []
        self.lose_answers = 0  # so many answers are lost after the effect
        self.refusals: dict[str, Answered] = {}  # of what is made, by the plural of its kind
        self.warned: dict[str, str] = {}  # what is said of changes, by the plural of their kind
        self.watches: set[Watch] = set()
        for name in namespaces:
            self.store.namespace(name)
        self.projects = self.store.projects
        self.controllers = Controllers(self.store)
        self.admin = str(self.store.issue("admin", 86400)["token"])
        self._lines: set[socket.socket] = set()
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(certificate, key)
        self.listen()

    def listen(self, port: int = 0) -> None:
        """Begin to answer; with the port of before, as one that was restarted."""
        self.server = ThreadingHTTPServer(("127.0.0.1", port), handler_of(self))
        self.server.daemon_threads = True
        self.server.socket = self._tls.wrap_socket(
            self.server.socket, server_side=True, do_handshake_on_connect=False
        )
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self._thread.start()

    @property
    def url(self) -> str:
        """The address of the API."""
        return f"https://127.0.0.1:{self.server.server_port}"

    def close(self) -> None:
        """Stop listening, and cut every line, as a server that ends."""
        self.controllers.close()
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()
        self.cut_watches()
        for line in list(self._lines):
            shut(line)

    def cut_watches(self) -> None:
        """Cut the lines of all watches, in the middle."""
        self._stop("cut")

    def end_watches(self) -> None:
        """End all watches as servers do after a while."""
        self._stop("ended")

    def _stop(self, how: str) -> None:
        with self.store.lock:
            for each in self.watches:
                setattr(each, how, True)
            self.store.history.happened.notify_all()

    def asked(self, handler: BaseHTTPRequestHandler, raw: bytes) -> Asked | tuple[int, Any]:
        """Read a request; give what it asks for of objects, or its answer if it is another."""
        split = urlsplit(handler.path)
        query, parts = dict(parse_qsl(split.query)), split.path.strip("/").split("/")
        accept = handler.headers.get("Accept") or ""
        user = self._user(handler.headers.get("Authorization") or "")
        content = (handler.headers.get("Content-Type") or "").partition(";")[0]
        if content == CBOR:
            raise Answered(415, "UnsupportedMediaType", FORMAT + "application/json, "
                           f"application/yaml, {PROTOBUF}")  # fmt: skip
        read = json_of if raw and content == PROTOBUF and handler.command != "PATCH" else bytes
        if parts[0] in ("healthz", "livez", "readyz"):
            return 200, "ok"
        found = discovered(split.path, accept) if handler.command == "GET" else None
        if found is not None:
            return 200, found
        if parts[0] not in ("api", "apis") or len(parts) < 3:
            raise Answered(404, "NotFound", UNKNOWN)
        group = "" if parts[0] == "api" else parts[1]
        version, *rest = parts[1:] if parts[0] == "api" else parts[2:]
        if group == "project.openshift.io":
            body = json.loads(raw) if raw else {}
            return kube_parts.project(self, user, handler.command, rest, body)
        if handler.command == "POST" and (review := REVIEWS.get((group, *rest))):
            return 201, review(self.store, user, json.loads(read(raw)))
        namespace, plural, name, part = _address(rest)
        kind = BY_PLACE.get((group, plural))
        if not kind or kind.version != version or bool(namespace) > kind.namespaced:
            raise Answered(404, "NotFound", UNKNOWN)
        agent = (handler.headers.get("User-Agent") or "unknown").partition("/")[0]
        verb = _verb(handler.command, name, query)
        return Asked(user, verb, kind, namespace, name, part, query, content, accept, agent,
                     read(raw))  # fmt: skip

    def answer(self, asked: Asked) -> tuple[int, Any]:
        """Answer a request for objects; raises `Answered`."""
        kind, part = asked.kind, asked.part
        what = f"{kind.plural}/{part}" if part else kind.plural
        where = asked.name if kind.plural == "namespaces" else asked.namespace
        self.store.authorize(asked.user, asked.verb, kind.group, what, where, asked.name)
        if part == "portforward" and asked.verb == "get":  # as clusters since 1.35 ask for it
            self.store.authorize(asked.user, "create", kind.group, what, where, asked.name)
        at_large = kind.namespaced and not asked.namespace and asked.verb not in ("list", "watch")
        named = asked.verb == "create" and bool(asked.name) > bool(part)
        nameless = asked.verb in ("update", "patch") and not asked.name
        if at_large or named or nameless:
            raise Answered(405, "MethodNotAllowed", "the server does not allow this method on the "
                           "requested resource")  # fmt: skip
        if asked.verb not in ("get", "list", "watch") and kind.plural in self.warned:
            asked.warnings.append(self.warned[kind.plural])
        if asked.verb == "watch":
            return 200, Watch(self.store, kind, asked.namespace, asked.query, asked.accept)
        if part:
            return kube_parts.answer(self, asked)
        return kube_verbs.answer(self, asked)

    def admit(self, asked: Asked, thing: Thing) -> None:
        """Ask for the right to choose the host of a Route, as OpenShift does; raises 403."""
        host = (thing.get("spec") or {}).get("host") if asked.kind.plural == "routes" else None
        live = self.store.all(*asked.place).get(asked.name) if asked.name else None
        if host and (live is None or live["spec"].get("host") != host):
            verb = "update" if live else "create"
            self.store.authorize(asked.user, verb, asked.kind.group, "routes/custom-host",
                                 asked.namespace, asked.name)  # fmt: skip

    def address(self, pod: Thing, number: int) -> tuple[str, int] | None:
        """Give where a port of a pod is on this machine, as the node tells it."""
        found = getattr(self.node, "address", None)
        if found:
            where: tuple[str, int] | None = found(pod, number)
            return where
        port = getattr(self.node, "port")(pod, number)  # noqa: B009  # nodes have one of the two
        return ("127.0.0.1", port) if port else None

    def _user(self, told: str) -> str:
        return self.store.user(told.partition(" ")[2]) if told else ANONYMOUS

    def is_lost(self, asked: Any, method: str) -> bool:
        """Say whether the answer to a change is to be lost."""
        if method == "GET" or not isinstance(asked, Asked) or asked.user == "admin":
            return False
        lost = self.lose_answers > 0
        self.lose_answers -= lost
        return lost

    def is_kept(self, line: socket.socket, *, open_: bool) -> None:
        """Note that a line was opened or closed."""
        (self._lines.add if open_ else self._lines.discard)(line)


def _address(rest: list[str]) -> tuple[str, str, str, str]:
    """Read namespace, plural, name and subresource out of a path."""
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("status", "finalize"):
        namespace, rest = rest[1], rest[2:]
    plural, name, part = [*rest, "", ""][:3]
    if len(rest) > 3 or (not namespace and plural not in {kind.plural for kind in KINDS}):
        raise Answered(404, "NotFound", UNKNOWN)
    return namespace, plural, name, part


def _verb(method: str, name: str, query: Thing) -> str:
    if method == "GET":
        if query.get("watch") in ("1", "true"):
            if name:
                query["fieldSelector"] = f"metadata.name={name}"
            return "watch"
        return "get" if name else "list"
    verb = VERBS[method]
    return "deletecollection" if verb == "delete" and not name else verb
