"""TensorFlow Serving's REST interface, through whatever way there is to a server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from waystage.errors import Hopeless, NotFound, Retryable, WaystageError
from waystage.plugin import Json, JsonObject, Services
from waystage_plugins.steps.savedmodel import SIGNATURE, Signature, Tensor
from waystage_plugins.tfserving.rows import inputs_of, instances, score_in

if TYPE_CHECKING:
    import httpx

PROBE_HEADER = "X-Waystage-Probe"
SECONDS = 30.0
METRICS = "/monitoring/prometheus/metrics"
# path and body in, status and text out; without a body it is a GET
Send = Callable[[str, bytes | None], tuple[int, str]]


class VersionState(NamedTuple):
    """How far a version is: `AVAILABLE`, `LOADING`, `END`, …, and what went wrong with it."""

    state: str
    error: str = ""


class Rest:
    """One model of a server. `target` chooses a version: `/versions/3`, `/labels/champion`."""

    def __init__(self, send: Send, model: str) -> None:
        self._send, self._path = send, f"/v1/models/{model}"

    def status(self, target: str = "") -> dict[int, VersionState]:
        """Give the state of the versions; raises `NotFound` when there are none."""
        told = self._ask(f"{self._path}{target}", None)
        try:
            rows = told["model_version_status"]
            return {int(row["version"]): _state(row) for row in rows}
        except (KeyError, TypeError, ValueError, AttributeError):
            raise Hopeless(f"{self._path}{target}: not an answer of a model server") from None

    def metadata(self, target: str = "") -> dict[str, Signature]:
        """Give the signatures of a version."""
        path = f"{self._path}{target}/metadata"
        told = self._ask(path, None)
        try:
            found = told["metadata"]["signature_def"]["signature_def"]
            return {name: _signature(each) for name, each in found.items()}
        except (KeyError, TypeError, ValueError, AttributeError):
            raise Hopeless(f"{path}: not an answer of a model server") from None

    def signature(self, target: str = "") -> Signature:
        """Give the signature that is served by default; raises `Hopeless` when there is none."""
        found = self.metadata(target)
        if SIGNATURE not in found:
            raise Hopeless(f'{self._path}{target}: signature "{SIGNATURE}" not found in the model')
        return found[SIGNATURE]

    def predict(self, instances: Sequence[Json], target: str = "", signature: str = "") -> Any:
        """Score instances, one prediction each, or raise in one line why not."""
        body = {"instances": list(instances)} | _named(signature)
        return self._answer(f"{self._path}{target}:predict", body, "predictions")

    def classify(
        self, examples: Sequence[JsonObject], target: str = "", signature: str = ""
    ) -> list[list[tuple[str, float]]]:
        """Give the classes of each example with their scores."""
        body = {"examples": list(examples)} | _named(signature)
        found = self._answer(f"{self._path}{target}:classify", body, "results")
        return [[(str(label), float(score)) for label, score in each] for each in found]

    def regress(
        self, examples: Sequence[JsonObject], target: str = "", signature: str = ""
    ) -> list[float]:
        """Give one number for each example."""
        body = {"examples": list(examples)} | _named(signature)
        found = self._answer(f"{self._path}{target}:regress", body, "results")
        return [float(each) for each in found]

    def metrics(self, path: str = METRICS) -> str:
        """Give what the server tells Prometheus."""
        status, text = self._send(path, None)
        if status != 200:
            raise _refusal(path, status, text)
        return text

    def _answer(self, path: str, body: Mapping[str, Any], field: str) -> Any:
        told = self._ask(path, json.dumps(body).encode())
        if field not in told:
            raise Hopeless(f"{path}: not an answer of a model server: {str(told)[:200]}")
        return told[field]

    def _ask(self, path: str, body: bytes | None) -> dict[str, Any]:
        status, text = self._send(path, body)
        if status != 200:
            raise _refusal(path, status, text)
        try:
            told = json.loads(text)
        except ValueError:
            told = None
        if not isinstance(told, dict):
            raise Hopeless(f"{path}: not an answer of a model server: {text[:200]}")
        return told


def predict(
    send: Send, model: str, rows: Sequence[JsonObject], columns: Sequence[str], target: str = ""
) -> list[JsonObject]:
    """Score rows in the shape of the model's signature; one answer with a `score` per row.

    `columns` are those of the manifest, in its order; without any, those of the first row.
    """
    server = Rest(send, model)
    try:
        shaped = instances(inputs_of(server.signature(target), rows, columns))
        found = server.predict(shaped, target)
    except NotFound as error:
        raise Retryable(str(error)) from None  # it may be there once the model is loaded
    if not isinstance(found, list):
        raise Hopeless(f"{model}: not an answer of a model server: {str(found)[:200]}")
    return [{"score": score_in(each)} for each in found]


@contextmanager
def over_http(ctx: Services, base: str, ca: str = "") -> Iterator[Send]:
    """Ask at an address, trusting the authorities of the file `ca` too if one is named.

    The file is that of a cluster's API. Its router may have a certificate of another authority.
    """
    import httpx

    client = _trusting(str(ctx.project / ca)) if ca else ctx.http

    def send(path: str, body: bytes | None) -> tuple[int, str]:
        headers = {PROBE_HEADER: "1", "Content-Type": "application/json"}
        method = "GET" if body is None else "POST"
        try:
            answer = client.request(method, base + path, content=body, headers=headers)
        except httpx.TransportError as error:
            raise Retryable(f"{base}{path}: {error or type(error).__name__}") from error
        return answer.status_code, answer.text

    try:
        yield send
    finally:
        if ca:
            client.close()


def _trusting(ca: str) -> httpx.Client:
    import ssl

    import httpx

    trusted = ssl.create_default_context()
    trusted.load_verify_locations(cafile=ca)
    return httpx.Client(verify=trusted, timeout=SECONDS, trust_env=False)


def _refusal(path: str, status: int, text: str) -> WaystageError:
    try:
        said = str(json.loads(text)["error"])
    except (ValueError, KeyError, TypeError):
        said = text
    line = f"{path}: HTTP {status}: {' '.join(said.split())[:500]}"
    if status == 404:
        return NotFound(line)
    return Hopeless(line) if status == 400 else Retryable(line)


def _named(signature: str) -> dict[str, str]:
    return {"signature_name": signature} if signature else {}


def _state(row: Mapping[str, Any]) -> VersionState:
    told = row.get("status") or {}
    fine = str(told.get("error_code", "OK")) in ("OK", "0")
    return VersionState(str(row["state"]), "" if fine else str(told.get("error_message", "")))


def _signature(told: Mapping[str, Any]) -> Signature:
    return Signature(
        str(told.get("method_name", "")),
        {name: _tensor(each) for name, each in (told.get("inputs") or {}).items()},
        {name: _tensor(each) for name, each in (told.get("outputs") or {}).items()},
    )


def _tensor(told: Mapping[str, Any]) -> Tensor:
    shape = told.get("tensor_shape") or {}
    sizes = tuple(int(dim["size"]) for dim in shape.get("dim") or ())
    kind = str(told["dtype"]).removeprefix("DT_").lower()
    return Tensor(kind, None if shape.get("unknown_rank") else sizes)
