"""A server with TensorFlow Serving's REST and gRPC interfaces, flags and rules, for tests.

What it serves, and how, is in `tf_core`. `python tf_server.py --port=8500 --rest_api_port=8501 …`
starts it as TensorFlow Serving's own image starts `tensorflow_model_server`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import grpc
from tf_core import Core, Version, Wrong

from waystage_plugins.steps.savedmodel import TYPES
from waystage_plugins.tfserving.messages import STATES, message
from waystage_plugins.tfserving.models_config import ServedModel, read_models
from waystage_plugins.tfserving.prometheus import REQUESTS
from waystage_plugins.tfserving.tensors import from_tensor, to_tensor

CODES = {"OK": 0, "UNKNOWN": 2, "INVALID_ARGUMENT": 3, "NOT_FOUND": 5, "FAILED_PRECONDITION": 9}
NUMBERS = {name: number for number, name in STATES.items()}
STATUS = {"INVALID_ARGUMENT": 400, "NOT_FOUND": 404}


class Handler(BaseHTTPRequestHandler):
    """The REST interface."""

    protocol_version = "HTTP/1.1"
    core: ClassVar[Core]
    monitoring: ClassVar[bool] = False
    PATH = re.compile(
        r"/v1/models/(?P<model>[^/:]+)(?:/versions/(?P<number>\d+)|/labels/(?P<label>[^/:]+))?"
        r"(?P<rest>/metadata|:predict|:classify|:regress)?"
    )

    def do_GET(self) -> None:
        if self.path == "/monitoring/prometheus/metrics" and self.monitoring:
            lines = [f'{REQUESTS}{{model_name="{m}",status="{s}"}} {n}'
                     for (m, s), n in self.core.counts.items()]  # fmt: skip
            return self._send(200, "\n".join(["# TYPE x counter", *lines, ""]), "text/plain")
        return self._answer(None)

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def _answer(self, body: bytes | None) -> None:
        match = self.PATH.fullmatch(self.path)
        if match is None:
            return self._send(404, json.dumps({"error": f"Malformed request: {self.path}"}))
        target = int(match["number"]) if match["number"] else match["label"] or ""
        verb = match["rest"] or ""
        try:
            told = self._told(match["model"], target, verb, body)
        except Wrong as error:
            if verb.startswith(":"):
                self.core.count(match["model"], error.code)
            return self._send(STATUS.get(error.code, 500), json.dumps({"error": error.text}))
        return self._send(200, json.dumps(told))

    def _told(self, model: str, target: int | str, verb: str, body: bytes | None) -> Any:
        if verb == "":
            rows = [_status(each) for each in self.core.states(model, target)]
            return {"model_version_status": rows}
        version = self.core.find(model, target)
        if verb == "/metadata":
            return _metadata(model, version)
        try:
            asked = json.loads(body or b"")
        except ValueError as error:
            raise Wrong("INVALID_ARGUMENT", f"JSON Parse error: {error}") from None
        answer = _scored(version, verb, asked)
        self.core.count(model, "OK")
        return answer

    def _send(self, status: int, text: str, kind: str = "application/json") -> None:
        raw = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: Any) -> None: ...


def _scored(version: Version, verb: str, asked: dict[str, Any]) -> Any:
    if asked.get("signature_name", "serving_default") != "serving_default":
        raise Wrong("INVALID_ARGUMENT", f"Serving signature name: {asked['signature_name']!r}")
    rows = asked.get("instances" if verb == ":predict" else "examples")
    if not isinstance(rows, list) or not rows:
        raise Wrong("INVALID_ARGUMENT", "Missing 'inputs' or 'instances' key")
    names = list(version.signature.inputs)
    rows = [row if isinstance(row, dict) else {names[0]: row} for row in rows]
    scores = version.score({name: [row.get(name) for row in rows] for name in rows[0]})
    if verb == ":predict":
        if len(scores) == 1:
            return {"predictions": next(iter(scores.values()))}
        return {"predictions": [{n: v[i] for n, v in scores.items()} for i in range(len(rows))]}
    values = next(iter(scores.values()))
    if verb == ":regress":
        return {"results": values}
    return {"results": [[["0", 1 - each], ["1", each]] for each in values]}


def _status(version: Version) -> dict[str, Any]:
    code = "UNKNOWN" if version.error else "OK"
    return {
        "version": str(version.number), "state": version.state,
        "status": {"error_code": code, "error_message": version.error},
    }  # fmt: skip


def _metadata(model: str, version: Version) -> dict[str, Any]:
    def told(tensors: dict[str, Any]) -> dict[str, Any]:
        return {
            name: {"dtype": f"DT_{each.type.upper()}", "name": f"{name}:0", "tensor_shape": {
                "dim": [{"size": str(size), "name": ""} for size in each.shape or ()],
                "unknown_rank": each.shape is None}}
            for name, each in tensors.items()
        }  # fmt: skip

    own = {"inputs": told(version.signature.inputs), "outputs": told(version.signature.outputs),
           "method_name": version.signature.method}  # fmt: skip
    return {
        "model_spec": {"name": model, "signature_name": "", "version": str(version.number)},
        "metadata": {"signature_def": {"signature_def": {"serving_default": own}}},
    }


class Calls:
    """The gRPC interface."""

    def __init__(self, core: Core) -> None:
        self.core = core

    def predict(self, asked: Any) -> Any:
        version = self._version(asked)
        inputs = {name: from_tensor(each) for name, each in asked.inputs.items()}
        answer = message("PredictResponse")()
        answer.model_spec.version.value = version.number
        for name, values in version.score(inputs).items():
            dtype = version.signature.outputs[name].type
            answer.outputs[name].CopyFrom(to_tensor(dtype, values))
        self.core.count(asked.model_spec.name, "OK")
        return answer

    def classify(self, asked: Any) -> Any:
        answer = message("ClassificationResponse")()
        for value in self._of_examples(asked):
            row = answer.result.classifications.add()
            row.classes.add(label="0", score=1 - value)
            row.classes.add(label="1", score=value)
        return answer

    def regress(self, asked: Any) -> Any:
        answer = message("RegressionResponse")()
        for value in self._of_examples(asked):
            answer.result.regressions.add(value=value)
        return answer

    def metadata(self, asked: Any) -> Any:
        version = self._version(asked)
        answer, found = message("GetModelMetadataResponse")(), message("SignatureDefMap")()
        own = found.signature_def["serving_default"]
        own.method_name = version.signature.method
        numbers = {name: number for number, name in TYPES.items()}
        for into, tensors in ((own.inputs, version.signature.inputs),
                              (own.outputs, version.signature.outputs)):  # fmt: skip
            for name, each in tensors.items():
                into[name].dtype = numbers[each.type]
                for size in each.shape or ():
                    into[name].tensor_shape.dim.add(size=size)
        answer.metadata["signature_def"].Pack(found)
        return answer

    def status(self, asked: Any) -> Any:
        answer = message("GetModelStatusResponse")()
        for each in self.core.states(asked.model_spec.name, _target(asked.model_spec)):
            row = answer.model_version_status.add(version=each.number, state=NUMBERS[each.state])
            row.status.error_code = CODES["UNKNOWN"] if each.error else 0
            row.status.error_message = each.error
        return answer

    def reload(self, asked: Any) -> Any:
        from google.protobuf import text_format

        answer = message("ReloadConfigResponse")()
        try:
            self.core.follow(read_models(text_format.MessageToString(asked.config)))
        except Wrong as error:
            answer.status.error_code = CODES[error.code]
            answer.status.error_message = error.text
        return answer

    def _version(self, asked: Any) -> Version:
        return self.core.find(asked.model_spec.name, _target(asked.model_spec))

    def _of_examples(self, asked: Any) -> list[float]:
        version, inputs = self._version(asked), {}
        for name in version.signature.inputs:
            rows = [each.features.feature[name] for each in asked.input.example_list.examples]
            inputs[name] = [
                (row.float_list.value or row.int64_list.value or row.bytes_list.value)[0]
                for row in rows
            ]
        scores: list[float] = next(iter(version.score(inputs).values()))
        return scores


def _target(spec: Any) -> int | str:
    return int(spec.version.value) if spec.HasField("version") else str(spec.version_label)


def serve_grpc(core: Core, address: str) -> tuple[Any, int]:
    """Listen for gRPC; give the server and its port."""
    calls = Calls(core)
    names = {
        "tensorflow.serving.PredictionService": {
            "Predict": (calls.predict, "PredictRequest"),
            "Classify": (calls.classify, "ClassificationRequest"),
            "Regress": (calls.regress, "RegressionRequest"),
            "GetModelMetadata": (calls.metadata, "GetModelMetadataRequest"),
        },
        "tensorflow.serving.ModelService": {
            "GetModelStatus": (calls.status, "GetModelStatusRequest"),
            "HandleReloadConfigRequest": (calls.reload, "ReloadConfigRequest"),
        },
    }
    server = grpc.server(ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)])
    for service, methods in names.items():
        made = {name: _method(call, kind) for name, (call, kind) in methods.items()}
        handler = grpc.method_handlers_generic_handler(service, made)
        server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port(address)
    server.start()
    return server, port


def _method(call: Any, kind: str) -> Any:
    def answer(asked: Any, context: Any) -> Any:
        try:
            return call(asked)
        except Wrong as error:
            context.abort(getattr(grpc.StatusCode, error.code), error.text)

    return grpc.unary_unary_rpc_method_handler(
        answer,
        request_deserializer=message(kind).FromString,
        response_serializer=lambda each: each.SerializeToString(),
    )


class Server:
    """Both interfaces on loopback, in this process: for tests of the clients."""

    def __init__(self, models: list[ServedModel], *, monitoring: bool = True) -> None:
        self.core = Core(early_labels=True)
        self.core.follow(models, wait=True)
        own = type("Own", (Handler,), {"core": self.core, "monitoring": monitoring})
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), own)
        self.http.daemon_threads = True
        self.grpc, port = serve_grpc(self.core, "127.0.0.1:0")
        self.address, self.url = f"127.0.0.1:{port}", f"http://127.0.0.1:{self.http.server_port}"
        self._thread = threading.Thread(target=self.http.serve_forever, args=(0.02,))
        self._thread.start()

    def stop(self) -> None:
        """End both."""
        self.http.shutdown()
        self.http.server_close()
        self.grpc.stop(None).wait()
        self._thread.join()


def main() -> int:
    """Serve as `tensorflow_model_server` would; of its flags those that Waystage gives."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for name, default in (("port", 8500), ("rest_api_port", 8501),
                          ("model_config_file_poll_wait_seconds", 0)):  # fmt: skip
        parser.add_argument(f"--{name}", type=int, default=default)
    for name in ("model_name", "model_base_path", "model_config_file", "monitoring_config_file",
                 "allow_version_labels_for_unavailable_models", "max_num_load_retries",
                 "rest_api_timeout_in_ms"):  # fmt: skip
        parser.add_argument(f"--{name}", default="")
    asked = parser.parse_args()
    if crash := os.environ.get("TEST_CRASH"):
        print(crash, flush=True)
        return 1
    core = Core(early_labels=asked.allow_version_labels_for_unavailable_models == "true")
    core.follow(_configured(asked), wait=True)
    if broken := [v.error for each in core.versions.values() for v in each.values() if v.error]:
        # as the real one: a server whose configuration cannot be served does not start
        print(f"Failed to start server. Error: {broken[0]}", flush=True)
        return 1
    Handler.core, Handler.monitoring = core, bool(asked.monitoring_config_file)
    _, port = serve_grpc(core, f"0.0.0.0:{asked.port}")
    print(f"Running gRPC ModelServer at 0.0.0.0:{port} ...", flush=True)
    http = ThreadingHTTPServer(("0.0.0.0", asked.rest_api_port), Handler)
    http.daemon_threads = True
    if asked.model_config_file and asked.model_config_file_poll_wait_seconds:
        threading.Thread(target=_poll, args=(core, asked), daemon=True).start()
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    print(f"Exporting HTTP/REST API at:localhost:{asked.rest_api_port} ...", flush=True)
    http.serve_forever()
    return 0


def _configured(asked: argparse.Namespace) -> list[ServedModel]:
    if asked.model_config_file:
        return read_models(Path(asked.model_config_file).read_text())
    name = asked.model_name or os.environ.get("MODEL_NAME", "model")
    base = asked.model_base_path or f"{os.environ.get('MODEL_BASE_PATH', '/models')}/{name}"
    return [ServedModel(name=name, base_path=base)]


def _poll(core: Core, asked: argparse.Namespace) -> None:
    while True:
        time.sleep(asked.model_config_file_poll_wait_seconds)
        try:
            if Path(asked.model_config_file).read_text().strip():  # an empty one is passed over
                core.follow(_configured(asked))
        except (Wrong, ValueError, OSError) as error:
            print(f"the configuration is not taken: {error}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
