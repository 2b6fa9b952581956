"""Real scoring requests by TensorFlow Serving's REST protocol, through whatever way there is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Any

from waystage.errors import Hopeless, Retryable
from waystage.plugin import Json, JsonObject, Services
from waystage_plugins.runtimes.kubernetes.api import Api

if TYPE_CHECKING:
    import httpx

PROBE_HEADER = "X-Waystage-Probe"
SECONDS = 30.0
Send = Callable[[str, bytes], tuple[int, str]]  # path and body in, status and text out


def predict(send: Send, model: str, rows: list[JsonObject]) -> list[JsonObject]:
    """Score rows; one answer with a `score` per row."""
    path = f"/v1/models/{model}:predict"
    status, text = send(path, json.dumps({"instances": rows}).encode())
    if status != 200:
        # 404 and the like may pass while the model loads; the request itself being wrong does not
        kind = Hopeless if status == 400 else Retryable
        raise kind(f"{path}: HTTP {status}: {text[:500]}")
    try:
        found = json.loads(text)["predictions"]
        return [{"score": score_in(each)} for each in found]
    except (ValueError, KeyError, TypeError) as error:
        raise Hopeless(f"{path}: not an answer of a model server: {text[:200]}") from error


def score_in(prediction: Json) -> Json:
    """Give the score of one prediction: a number, the last of a list, the one output of a dict."""
    if isinstance(prediction, dict):
        if "score" in prediction:
            return score_in(prediction["score"])
        if len(prediction) != 1:
            raise Hopeless(
                f"the model answers {', '.join(sorted(prediction))}: which is the score?"
            )
        return score_in(next(iter(prediction.values())))
    if isinstance(prediction, list):
        return score_in(prediction[-1]) if prediction else None
    return prediction


@contextmanager
def over_http(ctx: Services, base: str, ca: str) -> Iterator[Send]:
    """Ask at an address, trusting the authorities of the file `ca` if one is named."""
    import httpx

    client = _trusting(str(ctx.project / ca)) if ca else ctx.http

    def send(path: str, body: bytes) -> tuple[int, str]:
        headers = {PROBE_HEADER: "1", "Content-Type": "application/json"}
        try:
            answer = client.post(base + path, content=body, headers=headers)
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

    return httpx.Client(
        verify=ssl.create_default_context(cafile=ca), timeout=SECONDS, trust_env=False
    )


@contextmanager
def over_port_forward(api: Api, pod: str, port: int) -> Iterator[Send]:
    """Ask a pod through the cluster's API."""

    def send(path: str, body: bytes) -> tuple[int, str]:
        forwarded = _forward(api, pod, port)
        line = HTTPConnection("model")
        line.sock = forwarded.socket(port)
        line.sock.settimeout(SECONDS)
        # kept alive: when the other end hangs up, the library drops what it has not passed on
        headers = {"Content-Type": "application/json", PROBE_HEADER: "1"}
        try:
            line.request("POST", path, body, headers)
            answer = line.getresponse()
            return answer.status, answer.read().decode(errors="replace")
        except (OSError, HTTPException) as error:
            told = forwarded.error(port) or error or type(error).__name__
            raise Retryable(f"pod {pod}, port {port}: {str(told)[:300]}") from error
        finally:
            line.close()
            forwarded.close()

    yield send


def _forward(api: Api, pod: str, port: int) -> Any:
    from kubernetes.client import CoreV1Api
    from kubernetes.client.exceptions import ApiException
    from kubernetes.stream import portforward
    from websocket import WebSocketException

    connect = CoreV1Api(api.client).connect_get_namespaced_pod_portforward
    try:
        return portforward(connect, pod, api.namespace, ports=str(port))
    except (ApiException, WebSocketException, OSError) as error:
        raise Retryable(
            f"pod {pod} cannot be reached through the API: {str(error)[:300]}"
        ) from error
