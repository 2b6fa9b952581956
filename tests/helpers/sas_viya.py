"""A stand-in for SAS Viya's model repository and SAS Logon, spoken to over HTTP.

It keeps to what SAS's public description and the requests of its own client `sasctl` show: tokens
by password or client, collections in pages, ETags that an update must name, versions that are
frozen with copies of their files. What it does not know it refuses. No SAS Viya was at hand.
"""

from __future__ import annotations

import base64
import copy
import json
import threading
from collections.abc import Callable
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import uuid4

Thing = dict[str, Any]
MODEL, PROJECT = "application/vnd.sas.models.model", "application/vnd.sas.models.project"
VERSION = "application/vnd.sas.models.model.version"
CLIENT, SECRET, USER, PASSWORD = "waystage", "client-secret-4711", "ada", "password-4711"


class Refused(Exception):
    """An answer other than 2xx."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class SasViya:
    """The server; `faults` maps `METHOD path-part` to what happens before the request is done.

    A fault gets the handler; if it gives True, the request is over. `losses` are asked after it
    was done: if one gives True, nobody is answered.
    """

    def __init__(self) -> None:
        self.projects: dict[str, Thing] = {}
        self.models: dict[str, Thing] = {}
        self.frozen: dict[str, list[Thing]] = {}  # versions before the present one
        self.files: dict[str, list[tuple[str, str, bytes]]] = {}  # of a model's or version's id
        self.tokens: set[str] = set()
        self.asked: list[str] = []
        self.faults: dict[str, Callable[[Any], bool]] = {}
        self.losses: dict[str, Callable[[Any], bool]] = {}
        self.lock = threading.RLock()
        self._ticks = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.01,), daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """End the server."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def project(self, name: str) -> str:
        """Make a project as a person does; give its id."""
        made = self._stamped({"id": str(uuid4()), "name": name})
        self.projects[made["id"]] = made
        return str(made["id"])

    def model(self, name: str, project: str, contents: dict[str, bytes], **more: Any) -> str:
        """Make a model as a data scientist does; properties are given as a dictionary."""
        owned = [{"name": key, "value": value, "type": "string"}
                 for key, value in more.pop("properties", {}).items()]  # fmt: skip
        made = self.made({"name": name, "projectId": project, "properties": owned, **more})
        for file, content in contents.items():
            self.files[made["id"]].append((str(uuid4()), file, content))
        return str(made["id"])

    def made(self, told: Thing) -> Thing:
        """Keep a new model."""
        project = self.projects.get(told.get("projectId", ""))
        if project is None:
            raise Refused(400, "The project does not exist.")
        model = {"modelVersionName": "1.0", "properties": [], "createdBy": "sasadm",
                 "projectName": project["name"], **told, "id": str(uuid4())}  # fmt: skip
        self.models[model["id"]] = self._stamped(model)
        self.frozen[model["id"]], self.files[model["id"]] = [], []
        return self.models[model["id"]]

    def version(self, number: str) -> Thing:
        """Freeze the present version of a model with its files, and count on."""
        model = self.models[number]
        kept = copy.deepcopy(model) | {"id": str(uuid4())}
        self.frozen[number].append(kept)
        self.files[kept["id"]] = [(str(uuid4()), n, c) for _, n, c in self.files[number]]
        self.files[number] = [(str(uuid4()), n, c) for _, n, c in self.files[number]]
        major = int(str(model["modelVersionName"]).partition(".")[0]) + 1
        model["modelVersionName"] = f"{major}.0"
        self._stamped(model)
        return kept

    def changed(self, number: str, told: Thing, etag: str) -> Thing:
        """Update a model that is as its reader saw it."""
        model = self.models[number]
        if not etag:
            raise Refused(428, "The If-Match header is missing.")
        if etag != self.etag(model):
            raise Refused(412, "The ETag does not match the current one.")
        own = {key: model[key] for key in ("id", "modelVersionName", "projectId", "projectName")}
        self.models[number] = self._stamped({**told, **own})
        return self.models[number]

    def etag(self, thing: Thing) -> str:
        """Give what stands for a thing as it is now."""
        return f'"{thing["ticks"]}"'

    def _stamped(self, thing: Thing) -> Thing:
        self._ticks += 1
        thing["ticks"] = self._ticks
        thing.setdefault("creationTimeStamp", f"2026-01-05T09:00:00.{self._ticks:06}Z")
        return thing

    def token(self, who: str, asked: dict[str, str]) -> Thing:
        """Give a token as SAS Logon does."""
        client, _, secret = base64.b64decode(who.removeprefix("Basic ")).decode().partition(":")
        if asked["grant_type"] == "password":
            fine = client in ("sas.ec", CLIENT) and (asked["username"], asked["password"]) == (
                USER, PASSWORD)  # fmt: skip
        else:
            fine = asked["grant_type"] == "client_credentials" and (client, secret) == (
                CLIENT, SECRET)  # fmt: skip
        if not fine:
            raise Refused(401, "Bad credentials")
        text = uuid4().hex
        self.tokens.add(text)
        return {"access_token": text, "token_type": "bearer", "expires_in": 3600,
                "refresh_token": uuid4().hex}  # fmt: skip

    def answer(self, method: str, path: str, query: dict[str, str], sent: Sent) -> tuple[int, Any]:
        """Answer a request to the model repository."""
        parts = path.removeprefix("/modelRepository/").split("/")
        if parts[0] == "projects":
            return 200, self._page(path, list(self.projects.values()), query)
        if parts[0] == "repositories":
            shelf = {"id": "11111111-1111-4111-8111-111111111111", "name": "Public"}
            return 200, self._page(path, [shelf], query)
        if parts[0] != "models":
            raise Refused(404, "There is no such resource.")
        if len(parts) == 1:
            if method == "GET":
                return 200, self._page(path, [self._told(m) for m in self.models.values()], query)
            _kind(sent.type, MODEL)
            made = self.made(json.loads(sent.raw))
            return 201, {"items": [self._told(made)], "count": 1, "links": []}
        if parts[1] not in self.models:
            raise Refused(404, "The model does not exist.")
        return self._of_model(method, path, parts[1:], query, sent)

    def _of_model(
        self, method: str, path: str, parts: list[str], query: dict[str, str], sent: Sent
    ) -> tuple[int, Any]:
        model = self.models[parts[0]]
        if len(parts) == 1 and method == "GET":
            return 200, self._told(model)
        if len(parts) == 1 and method == "PUT":
            _kind(sent.type, MODEL)
            return 200, self._told(self.changed(parts[0], json.loads(sent.raw), sent.match))
        if parts[1] == "versions":
            rows = [model, *reversed(self.frozen[parts[0]])]
            return 200, self._page(path, [self._brief(parts[0], row) for row in rows], query)
        if parts[1] == "modelVersions":
            return self._frozen(method, path, parts, query, sent)
        if parts[1] == "contents":
            return self._contents(method, path, parts[0], parts[2:], query, sent)
        raise Refused(404, "There is no such resource.")

    def _frozen(
        self, method: str, path: str, parts: list[str], query: dict[str, str], sent: Sent
    ) -> tuple[int, Any]:
        if len(parts) == 2 and method == "POST":
            if json.loads(sent.raw).get("option") != "major":
                raise Refused(400, "The option is not supported here.")
            return 201, self._brief(parts[0], self.version(parts[0]))
        found = next((each for each in self.frozen[parts[0]] if each["id"] == parts[2]), None)
        if found is None or method != "GET":
            raise Refused(404, "The version does not exist.")
        if len(parts) == 3:
            return 200, self._told(found, f"{parts[0]}/modelVersions/{parts[2]}")
        return self._contents(method, path, parts[2], parts[4:], query, sent)

    def _contents(
        self, method: str, path: str, of: str, parts: list[str], query: dict[str, str], sent: Sent
    ) -> tuple[int, Any]:
        mine = self.files[of]
        if not parts and method == "GET":
            rows = [{"id": number, "name": name, "links": []} for number, name, _ in mine]
            return 200, self._page(path, rows, query)
        if not parts and method == "POST":
            name, content = sent.file()
            if any(each[1] == name for each in mine):
                raise Refused(409, f"The content {name} exists already.")
            mine.append((str(uuid4()), name, content))
            return 201, {"items": [{"id": mine[-1][0], "name": name}], "count": 1}
        found = next((each for each in mine if each[0] == parts[0]), None)
        if found is None:
            raise Refused(404, "The content does not exist.")
        if method == "DELETE":
            mine.remove(found)
            return 204, None
        if parts[1:] == ["content"]:
            return 200, found[2]
        return 200, {"id": found[0], "name": found[1]}

    def _page(self, path: str, rows: list[Thing], query: dict[str, str]) -> Thing:
        start, limit = int(query.get("start", 0)), int(query.get("limit", 20))
        if "filter" in query:
            name = query["filter"].partition('"')[2].rstrip('")')
            rows = [row for row in rows if row["name"] == name]
        page = rows[start : start + limit]
        links = [{"rel": "self", "method": "GET", "href": path, "uri": path}]
        if start + limit < len(rows):
            more = f"{path}?start={start + limit}&limit={limit}"
            links.append({"rel": "next", "method": "GET", "href": more, "uri": more})
        return {"items": page, "count": len(rows), "start": start, "limit": limit, "links": links,
                "name": "items", "version": 2}  # fmt: skip

    def _told(self, thing: Thing, where: str = "") -> Thing:
        path = f"/modelRepository/models/{where or thing['id']}"
        links = [{"rel": rel, "method": "GET", "href": path + end, "uri": path + end}
                 for rel, end in (("self", ""), ("contents", "/contents"))]  # fmt: skip
        if not where:
            more = f"{path}/modelVersions"
            links.append({"rel": "addModelVersion", "method": "POST", "href": more, "uri": more})
        return {key: value for key, value in thing.items() if key != "ticks"} | {"links": links}

    def _brief(self, model: str, row: Thing) -> Thing:
        """Give a version as lists have it: without its properties."""
        here = model if row["id"] == model else f"{model}/modelVersions/{row['id']}"
        told = self._told(row, here)
        return {key: told[key] for key in ("id", "name", "modelVersionName", "links")}


class Sent:
    """What came with a request."""

    def __init__(self, handler: BaseHTTPRequestHandler) -> None:
        self.type = handler.headers.get("Content-Type") or ""
        self.match = handler.headers.get("If-Match") or ""
        if handler.headers.get("Transfer-Encoding") == "chunked":
            self.raw = b""
            while size := int(handler.rfile.readline(), 16):
                self.raw += handler.rfile.read(size)
                handler.rfile.readline()
            handler.rfile.readline()
        else:
            self.raw = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))

    def file(self) -> tuple[str, bytes]:
        """Give name and bytes of the one file of a form."""
        head = f"Content-Type: {self.type}\r\n\r\n".encode()
        whole = BytesParser().parsebytes(head + self.raw)
        (part,) = whole.get_payload() if whole.is_multipart() else ()
        if part.get_param("name", header="content-disposition") != "files":
            raise Refused(400, "The form has no part 'files'.")
        content = part.get_payload(decode=True)
        return str(part.get_filename()), content


def _kind(given: str, wanted: str) -> None:
    if given.partition(";")[0] not in (wanted, f"{wanted}+json"):
        raise Refused(415, f"The media type {given} is not supported.")


def _handler(viya: SasViya) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def handle_any(self) -> None:
            split = urlsplit(self.path)
            viya.asked.append(f"{self.command} {split.path}")
            sent = Sent(self)
            if self._meets(viya.faults, split.path):
                return
            query = {key: values[0] for key, values in parse_qs(split.query).items()}
            try:
                with viya.lock:
                    status, body = self._done(unquote(split.path), query, sent)
            except Refused as no:
                status = no.status
                body = {"httpStatusCode": status, "message": str(no), "version": 2}
            if self._meets(viya.losses, split.path):
                self.close_connection = True
                return
            self.say(status, body)

        def _meets(self, planted: dict[str, Callable[[Any], bool]], path: str) -> bool:
            for part, fault in list(planted.items()):
                method, _, piece = part.partition(" ")
                if method == self.command and piece in path and fault(self):
                    return True
            return False

        def _done(self, path: str, query: dict[str, str], sent: Sent) -> tuple[int, Any]:
            given = self.headers.get("Authorization") or ""
            if path == "/SASLogon/oauth/token":
                asked = {key: values[0] for key, values in parse_qs(sent.raw.decode()).items()}
                return 200, viya.token(given, asked)
            if given.removeprefix("Bearer ") not in viya.tokens:
                raise Refused(401, "Full authentication is required")
            if path == "/licenses/grants":
                return 200, {"release": "V04"}
            return viya.answer(self.command, path, query, sent)

        def say(self, status: int, body: Any = None) -> None:
            """Answer with JSON, or with bytes as they are."""
            raw = body if isinstance(body, bytes) else b"" if body is None else None
            kind = "application/octet-stream"
            if raw is None:
                raw, kind = json.dumps(body).encode(), f"{MODEL}+json"
            self.send_response(status)
            if isinstance(body, dict) and body.get("id") in viya.models:
                self.send_header("ETag", viya.etag(viya.models[body["id"]]))
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        do_GET = do_POST = do_PUT = do_DELETE = handle_any  # noqa: N815  # the library's names

        def log_message(self, *_: Any) -> None: ...

    return Handler
