"""The HTTP side: TensorFlow Serving's REST paths, bodies and errors.

https://www.tensorflow.org/tfx/serving/api_rest
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from waystage_plugins.runtimes.holder import read_json, write_json
from waystage_plugins.runtimes.onnx_model import BadRows
from waystage_plugins.runtimes.serving.models import Models, Version
from waystage_plugins.runtimes.serving.scores import Recorder

BODY_LIMIT = 1 << 20
PROBE_HEADER = "X-Waystage-Probe"
REQUEST_HEADER = "X-Request-Id"
HOSTS = {"127.0.0.1", "localhost", "[::1]"}
PATH = re.compile(
    r"^/v1/models/(?P<model>[A-Za-z0-9._-]+)"
    r"(?:/versions/(?P<version>\d+)|/labels/(?P<label>[A-Za-z0-9._-]+))?"
    r"(?P<metadata>/metadata)?(?::(?P<verb>predict|classify|regress))?$"
)


class Problem(Exception):  # an answer with a status, not a fault
    """What the client is told instead of an answer."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    timeout = 15
    models: Models
    recorder: Recorder
    _request_id: str = ""

    def do_GET(self) -> None:
        """Status, metadata, and what the runtime looks at."""
        self._guarded(self._get)

    def do_POST(self) -> None:
        """Predict, classify, regress."""
        self._guarded(self._post)

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are in the scoring log; only errors go to the server's own."""

    def _guarded(self, answer: Any) -> None:
        try:
            host = (self.headers.get("Host") or "").rsplit(":", 1)[0]
            if host not in HOSTS:
                raise Problem(421, f"unknown host {host!r}")
            answer()
        except Problem as problem:
            self._send(problem.status, {"error": str(problem)})
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        except Exception as error:  # noqa: BLE001  # one bad request must not end the server
            print(f"{self.path}: {error!r}", file=sys.stderr, flush=True)
            self._send(500, {"error": "the server failed; its log says why"})

    def _get(self) -> None:
        if self.path == "/waystage/versions":
            self._send(200, {"versions": [_seen(v) for v in self.models.versions.values()]})
            return
        match = self._match()
        if match["verb"]:
            raise Problem(405, "predict, classify and regress are POST requests")
        version = self._version(match)
        if match["metadata"]:
            self._send(200, _metadata(self.models.name, version))
        else:
            chosen = (
                [version] if match["version"] or match["label"] else self.models.versions.values()
            )
            status = [_status(v) for v in sorted(chosen, key=lambda v: -v.number)]
            self._send(200, {"model_version_status": status})

    def _post(self) -> None:
        began = time.perf_counter()
        match = self._match()
        if not match["verb"]:
            raise Problem(404, "say :predict, :classify or :regress")
        body = self._body()
        version = self._version(match)
        if version.model is None:
            raise Problem(503, f"version {version.number} is {version.state}: {version.error}")
        rows = _rows(body, match["verb"])
        try:
            scores = version.model.score(rows)
        except BadRows as error:
            raise Problem(400, str(error)) from error
        self._record(version, rows, scores, (time.perf_counter() - began) * 1000)
        self._send(200, _answer(match["verb"], body, scores))

    def _record(
        self, version: Version, rows: list[dict[str, Any]], scores: list[float], took: float
    ) -> None:
        if self.headers.get(PROBE_HEADER):
            return
        try:
            self._request_id = self.recorder.record(
                self.models, version, rows, scores, took, self.headers.get(REQUEST_HEADER)
            )
        except Exception as error:  # an answer that cannot be logged is not given
            print(f"scoring log: {error}", file=sys.stderr, flush=True)
            raise Problem(503, f"the scoring log cannot be written: {error}") from error

    def _match(self) -> re.Match[str]:
        match = PATH.match(self.path.partition("?")[0])
        if match is None:
            raise Problem(404, f"malformed request: {self.command} {self.path[:200]}")
        if match["model"] != self.models.name:
            raise Problem(404, f"Servable not found for request: {match['model']}")
        return match

    def _version(self, match: re.Match[str]) -> Version:
        number = int(match["version"]) if match["version"] else None
        version = self.models.pick(version=number, label=match["label"])
        if version is None:
            which = match["version"] or match["label"] or "any version"
            raise Problem(404, f"Servable not found for request: {self.models.name} ({which})")
        return version

    def _body(self) -> dict[str, Any]:
        length = self.headers.get("Content-Length")
        if length is None or not length.isdigit() or self.headers.get("Transfer-Encoding"):
            raise Problem(411, "the request needs a Content-Length")
        if int(length) > BODY_LIMIT:
            self.close_connection = True
            raise Problem(413, f"the body has more than {BODY_LIMIT} bytes")
        try:
            body = json.loads(self.rfile.read(int(length)), parse_constant=_no_constant)
        except ValueError as error:
            raise Problem(400, f"JSON Parse error: {error}") from error
        if not isinstance(body, dict):
            raise Problem(400, "the body is not a JSON object")
        return body

    def _send(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        if self._request_id:
            self.send_header(REQUEST_HEADER, self._request_id)
            self._request_id = ""
        self.end_headers()
        self.wfile.write(content)


class Server(ThreadingHTTPServer):
    """One thread per connection; restarts take the port over at once."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128


def serve(directory: Path) -> int:
    """Listen on loopback and serve; 3 when the port is in use."""
    models = Models(directory)
    models.refresh()
    wanted = int(read_json(directory / "config.json").get("port") or 0)
    handler = type("BoundHandler", (Handler,), {"models": models, "recorder": Recorder()})
    try:
        server = Server(("127.0.0.1", wanted), handler)
    except OSError as error:
        print(f"port {wanted} on 127.0.0.1: {error.strerror}", flush=True)
        write_json(directory / "failed.json", {"reason": "port_in_use", "port": wanted})
        return 3
    server.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    (directory / "failed.json").unlink(missing_ok=True)
    write_json(directory / "server.json", {"pid": os.getpid(), "port": server.server_address[1]})
    models.follow()
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever(poll_interval=0.1)
    return 0


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def _rows(body: dict[str, Any], verb: str) -> list[dict[str, Any]]:
    key = "instances" if verb == "predict" else "examples"
    if verb == "predict" and "inputs" in body and "instances" not in body:
        return _columns(body["inputs"])
    rows = body.get(key)
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise Problem(400, f"{key!r} is a list of objects, one per row, each value by its column")
    return rows


def _columns(inputs: Any) -> list[dict[str, Any]]:
    if not isinstance(inputs, dict) or not inputs:
        raise Problem(400, "'inputs' is an object of columns")
    lists = {k: v if isinstance(v, list) else [v] for k, v in inputs.items()}
    length = {len(values) for values in lists.values()}
    if len(length) != 1 or 0 in length:
        raise Problem(400, "the columns of 'inputs' have different lengths")
    return [{k: values[i] for k, values in lists.items()} for i in range(length.pop())]


def _answer(verb: str, body: dict[str, Any], scores: list[float]) -> dict[str, Any]:
    if verb == "classify":
        return {"results": [[["0", 1 - s], ["1", s]] for s in scores]}
    if verb == "regress":
        return {"results": scores}
    if "instances" in body:
        return {"predictions": [{"score": s} for s in scores]}
    return {"outputs": {"score": scores}}


def _status(version: Version) -> dict[str, Any]:
    good = not version.error
    return {
        "version": str(version.number),
        "state": version.state,
        "status": {"error_code": "OK" if good else "INTERNAL", "error_message": version.error},
    }


def _seen(version: Version) -> dict[str, Any]:
    return _status(version) | {"digest": version.digest, "snapshot": version.snapshot.id,
                               "role": version.role, "key": version.key}  # fmt: skip


def _metadata(name: str, version: Version) -> dict[str, Any]:
    kinds = version.model.columns if version.model else {}
    types = {"tensor(string)": "DT_STRING", "tensor(int64)": "DT_INT64"}
    shape = {"dim": [{"size": "-1"}, {"size": "1"}], "unknown_rank": False}
    inputs = {
        k: {"dtype": types.get(v, "DT_FLOAT"), "tensor_shape": shape} for k, v in kinds.items()
    }
    signature = {
        "inputs": inputs,
        "outputs": {"score": {"dtype": "DT_FLOAT", "tensor_shape": shape}},
        "method_name": "tensorflow/serving/predict",
    }
    return {
        "model_spec": {"name": name, "signature_name": "", "version": str(version.number)},
        "metadata": {"signature_def": {"signature_def": {"serving_default": signature}}},
        "waystage": {
            "snapshot": version.snapshot.id,
            "digest": version.digest,
            "role": version.role,
        },
    }
