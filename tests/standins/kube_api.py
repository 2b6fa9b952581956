"""A stand-in for a Kubernetes API server, strict where it can be, spoken to over HTTPS.

Server-side apply with owners of fields and conflicts, versions, generations, selectors,
preconditions, TokenRequest, port-forward, logs, and RBAC by the Roles that were created in it:
a verb that no Role has is answered as the real one answers it. What it does not know it refuses.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import socket
import ssl
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit

from kube_controllers import Controllers
from kube_store import KINDS, Answered, Store

Thing = dict[str, Any]
PATCHES = ("application/apply-patch+yaml", "application/merge-patch+json")
WEBSOCKET = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Node(Protocol):
    """What the API asks where pods run."""

    def log(self, pod: Thing, lines: int, *, previous: bool) -> str | None: ...

    def port(self, pod: Thing, number: int) -> int | None: ...


class KubeApi:
    """The server; `admin` is a token for everything, `node` answers for pods."""

    def __init__(self, certificate: Path, key: Path, node: Node) -> None:
        self.store = Store()
        self.node = node
        self.requests: list[tuple[str, str]] = []
        self.projects = self.store.projects
        self.lose_answers = 0  # so many answers are lost after the effect
        self.controllers = Controllers(self.store)
        self.admin = str(self.store.issue("admin", 86400)["token"])
        self.refusals: dict[str, Answered] = {}  # of what is made, by the plural of its kind
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(certificate, key)
        self.listen()

    def listen(self, port: int = 0) -> None:
        """Begin to answer; with the port of before, as one that was restarted."""
        self.server = ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        self.server.daemon_threads = True
        self.server.socket = self._tls.wrap_socket(self.server.socket, server_side=True)
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self._thread.start()

    @property
    def url(self) -> str:
        """The address of the API."""
        return f"https://127.0.0.1:{self.server.server_port}"

    def close(self) -> None:
        """Stop listening."""
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()

    def answer(
        self, user: str, method: str, path: str, query: Thing, sent: Sent
    ) -> tuple[int, Any]:
        """Answer a request of a user; raises `Answered`."""
        parts = path.strip("/").split("/")
        if parts[0] == "version":
            return 200, {"major": "1", "minor": "33"}
        group = "" if parts[0] == "api" else parts[1]
        rest = parts[2:] if parts[0] == "api" else parts[3:]
        if group == "project.openshift.io":
            return self._project(user, method, rest, sent)
        if rest[:1] != ["namespaces"] or len(rest) < 3 or (group, rest[2]) not in KINDS:
            raise Answered(404, "NotFound", "the server could not find the requested resource")
        namespace, plural = rest[1], rest[2]
        name, part = [*rest[3:], "", ""][:2]
        verb = _verb(method, name, part)
        self.store.authorize(
            user, verb, group, f"{plural}/{part}" if part else plural, namespace, name
        )
        if part == "portforward":  # as clusters since 1.35 ask for it
            self.store.authorize(user, "create", group, f"{plural}/{part}", namespace, name)
        if part:
            return self._part((group, plural, namespace), name, part, query, sent)
        return self._whole(user, verb, (group, plural, namespace), name, query, sent)

    def _whole(
        self, user: str, verb: str, place: tuple[str, str, str], name: str, query: Thing, sent: Sent
    ) -> tuple[int, Any]:
        store, manager = self.store, query.get("fieldManager") or sent.agent
        if verb == "list":
            return 200, {"kind": "List", "items": self._listed(place, query)}
        if verb == "get":
            return 200, store.get(*place, name)
        if verb == "create":
            _fitting(place, sent.body)
            return 201, store.create(place, sent.body, manager)
        if verb == "update":
            return 200, store.replace(place, sent.body, manager)
        if verb == "delete":
            return 200, store.delete(place, name, sent.body or {})
        if sent.kind == PATCHES[1]:
            made = copy.deepcopy(store.get(*place, name))
            _merge_patch(made, sent.body)
            return 200, store.replace(place, made, manager)
        if sent.kind != PATCHES[0] or not query.get("fieldManager"):
            raise Answered(415, "UnsupportedMediaType", f"{sent.kind}, or no fieldManager")
        _fitting(place, sent.body)
        if place[1] in self.refusals and name not in store.all(*place):
            raise self.refusals[place[1]]
        if name not in store.all(*place):  # what applying makes must be allowed to be created
            store.authorize(user, "create", place[0], place[1], place[2], name)
        self._own_host(user, place, name, sent.body)
        force = query.get("force") == "true"
        return 200, store.apply(place, name, sent.body, manager, force)

    def _own_host(self, user: str, place: tuple[str, str, str], name: str, body: Thing) -> None:
        """Ask for the right to choose the host of a Route, as OpenShift does."""
        host = body["spec"].get("host") if place[1] == "routes" else None
        live = self.store.all(*place).get(name)
        if host and (live is None or live["spec"].get("host") != host):
            verb = "update" if live else "create"
            self.store.authorize(user, verb, place[0], "routes/custom-host", place[2], name)

    def _listed(self, place: tuple[str, str, str], query: Thing) -> list[Thing]:
        rows = list(self.store.all(*place).values())
        for term in filter(None, query.get("labelSelector", "").split(",")):
            key, _, value = term.partition("=")
            rows = [r for r in rows if r["metadata"].get("labels", {}).get(key) == value]
        for term in filter(None, query.get("fieldSelector", "").split(",")):
            key, _, value = term.partition("=")
            if key != "involvedObject.uid":
                raise Answered(400, "BadRequest", f"field label not supported: {key}")
            rows = [r for r in rows if r["involvedObject"]["uid"] == value]
        return copy.deepcopy(rows)

    def _part(
        self, place: tuple[str, str, str], name: str, part: str, query: Thing, sent: Sent
    ) -> tuple[int, Any]:
        if (place[1], part) == ("serviceaccounts", "token"):
            self.store.get(*place, name)
            seconds = sent.body["spec"]["expirationSeconds"]
            user = f"system:serviceaccount:{place[2]}:{name}"
            return 201, sent.body | {"status": self.store.issue(user, seconds)}
        thing = self.store.get(*place, name)
        if part == "status":
            made = copy.deepcopy(thing)
            _merge_patch(made, {"status": sent.body["status"]})
            return 200, self.store.replace(place, made, sent.agent)
        if (place[1], part) == ("pods", "log"):
            lines = int(query.get("tailLines", 100))
            text = self.node.log(thing, lines, previous=query.get("previous") == "true")
            if text is None:
                raise Answered(400, "BadRequest", f'container in pod "{name}" is waiting to start')
            return 200, text
        if (place[1], part) == ("pods", "portforward"):
            return 101, self.node.port(thing, int(query["ports"]))
        raise Answered(404, "NotFound", "the server could not find the requested resource")

    def _project(self, user: str, method: str, rest: list[str], sent: Sent) -> tuple[int, Any]:
        if method == "POST" and rest == ["projectrequests"]:
            self.store.authorize(user, "create", "project.openshift.io", "projectrequests", "", "")
            name = sent.body["metadata"]["name"]
            if name in self.projects:
                raise Answered(409, "AlreadyExists", f'project "{name}" already exists')
            self.projects[name] = "Active"
            return 201, {"metadata": {"name": name}}
        name = rest[-1]
        self.store.authorize(user, "get", "project.openshift.io", "projects", name, name)
        if name not in self.projects:
            raise Answered(404, "NotFound", f'projects "{name}" not found')
        return 200, {"metadata": {"name": name}, "status": {"phase": self.projects[name]}}


class Sent:
    """What came with a request."""

    def __init__(self, handler: BaseHTTPRequestHandler) -> None:
        self.kind = (handler.headers.get("Content-Type") or "").partition(";")[0]
        self.agent = (handler.headers.get("User-Agent") or "unknown").partition("/")[0]
        size = int(handler.headers.get("Content-Length") or 0)
        self.body: Any = json.loads(handler.rfile.read(size)) if size else None


def _handler(api: KubeApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def handle_any(self) -> None:
            split = urlsplit(self.path)
            query = dict(parse_qsl(split.query))
            api.requests.append((self.command, self.path))
            sent = Sent(self)
            try:
                user = api.store.user((self.headers.get("Authorization") or "")[7:])
                with api.store.lock:
                    code, body = api.answer(user, self.command, split.path, query, sent)
                    if code != 101 and not isinstance(body, str):
                        body = json.dumps(body)
                if user != "admin" and self.command != "GET" and api.lose_answers:
                    api.lose_answers -= 1
                    self.close_connection = True
                    return
                if code == 101:
                    forward(self, body, int(query["ports"]))
                    return
            except Answered as no:
                code, body = no.code, json.dumps(no.body)
            kind = "application/json" if body[:1] == "{" else "text/plain"
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body.encode())))
            self.end_headers()
            self.wfile.write(body.encode())

        do_GET = do_POST = do_PUT = handle_any  # noqa: N815  # the library's names
        do_PATCH = do_DELETE = handle_any  # noqa: N815  # the library's names

        def log_message(self, *_: Any) -> None: ...

    return Handler


def forward(handler: BaseHTTPRequestHandler, port: int | None, number: int) -> None:
    """Speak `v4.channel.k8s.io` over a WebSocket: channel 0 is data, channel 1 errors."""
    accept = hashlib.sha1(handler.headers["Sec-WebSocket-Key"].encode() + WEBSOCKET).digest()
    handler.send_response(101)
    for name, value in (
        ("Upgrade", "websocket"), ("Connection", "Upgrade"),
        ("Sec-WebSocket-Accept", base64.b64encode(accept).decode()),
        ("Sec-WebSocket-Protocol", "v4.channel.k8s.io"),
    ):  # fmt: skip
        handler.send_header(name, value)
    handler.end_headers()
    handler.close_connection = True
    for channel in (0, 1):
        _frame(handler, bytes((channel, number % 256, number // 256)))
    try:
        pod = socket.create_connection(("127.0.0.1", port or 1), timeout=5)
    except OSError as error:
        _frame(handler, b"\x01an error occurred forwarding: " + str(error).encode())
        return
    with pod:
        back = threading.Thread(target=_back, args=(handler, pod))
        back.start()
        while data := _unframe(handler):
            pod.sendall(data[1:])
        pod.shutdown(socket.SHUT_RDWR)
        back.join()


def _back(handler: BaseHTTPRequestHandler, pod: socket.socket) -> None:
    try:
        while data := pod.recv(65536):
            _frame(handler, b"\x00" + data)
        handler.connection.shutdown(socket.SHUT_WR)
    except OSError:
        return


def _frame(handler: BaseHTTPRequestHandler, data: bytes) -> None:
    size = len(data)
    head = bytes((0x82, size)) if size < 126 else bytes((0x82, 126)) + size.to_bytes(2, "big")
    if size > 65535:
        head = bytes((0x82, 127)) + size.to_bytes(8, "big")
    handler.wfile.write(head + data)
    handler.wfile.flush()


def _unframe(handler: BaseHTTPRequestHandler) -> bytes:
    """Read a frame of data; empty at the end."""
    try:
        first = handler.rfile.read(2)
        if len(first) < 2 or first[0] & 0x0F == 8:
            return b""
        size = first[1] & 0x7F
        if size >= 126:
            size = int.from_bytes(handler.rfile.read(2 if size == 126 else 8), "big")
        mask = handler.rfile.read(4)
        data = handler.rfile.read(size)
    except OSError:
        return b""
    return bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))


def _verb(method: str, name: str, part: str) -> str:
    if method == "GET":
        return "get" if name else "list"
    return {"POST": "create", "PATCH": "patch", "PUT": "update", "DELETE": "delete"}[method]


def _fitting(place: tuple[str, str, str], body: Thing) -> None:
    group = body.get("apiVersion", "").rpartition("/")[0]
    if (group, body.get("kind")) != (place[0], KINDS[place[0], place[1]]):
        raise Answered(400, "BadRequest", f"{body.get('kind')} does not belong to {place[1]}")


def _merge_patch(into: Thing, patch: Thing) -> None:
    for name, value in patch.items():
        if value is None:
            into.pop(name, None)
        elif isinstance(value, dict) and isinstance(into.get(name), dict):
            _merge_patch(into[name], value)
        else:
            into[name] = copy.deepcopy(value)


def now() -> str:
    """The present instant, as the API writes it."""
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")
