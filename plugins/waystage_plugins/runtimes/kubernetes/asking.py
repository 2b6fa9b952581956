"""Requests to a pod through the cluster's API."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from typing import Any

from waystage.errors import Retryable
from waystage_plugins.runtimes.kubernetes.api import Api
from waystage_plugins.tfserving.rest import PROBE_HEADER, SECONDS, Send


@contextmanager
def over_port_forward(api: Api, pod: str, port: int) -> Iterator[Send]:
    """Ask a pod through the cluster's API."""

    def send(path: str, body: bytes | None) -> tuple[int, str]:
        forwarded = _forward(api, pod, port)
        line = HTTPConnection("model")
        line.sock = forwarded.socket(port)
        line.sock.settimeout(SECONDS)
        # kept alive: when the other end hangs up, the library drops what it has not passed on
        headers = {"Content-Type": "application/json", PROBE_HEADER: "1"}
        try:
            line.request("GET" if body is None else "POST", path, body, headers)
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
