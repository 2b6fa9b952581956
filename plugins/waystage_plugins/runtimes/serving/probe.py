"""Scoring requests to a server, marked as probes, by each of its protocols."""

from __future__ import annotations

import math
from collections.abc import Sequence

from waystage.errors import Hopeless, Retryable
from waystage.plugin import JsonObject, Services
from waystage_plugins.runtimes.serving.config import PROBE_HEADER
from waystage_plugins.runtimes.serving.look import model_url
from waystage_plugins.tfserving.over_grpc import over_grpc
from waystage_plugins.tfserving.rows import inputs_of


def by_rest(
    ctx: Services, port: int, model: str, number: int, rows: Sequence[JsonObject]
) -> list[float | None]:
    """Give the scores of a version by REST; raises `Hopeless` when the rows are refused."""
    import httpx

    url = f"{model_url(port, model)}/versions/{number}:predict"
    try:
        answer = ctx.http.post(url, json={"instances": [*rows]}, headers={PROBE_HEADER: "1"})
    except httpx.TransportError as error:
        raise Retryable(f"{url}: {error or type(error).__name__}") from error
    if answer.status_code != 200:
        # 500: the model fails on these rows, and would again; 503: the version is not there yet
        kind = Hopeless if 400 <= answer.status_code <= 500 else Retryable
        raise kind(f"{url}: HTTP {answer.status_code}: {answer.text[:500]}")
    return [each["score"] for each in answer.json()["predictions"]]


def by_grpc(port: int, model: str, number: int, rows: Sequence[JsonObject]) -> list[float | None]:
    """Give the scores of a version by gRPC; raises `Hopeless` when the rows are refused."""
    with over_grpc(f"127.0.0.1:{port}", ((PROBE_HEADER.lower(), "1"),)) as server:
        signature = server.signature(model, number)
        inputs = inputs_of(signature, rows, tuple(signature.inputs))
        scores = server.predict(model, inputs, signature, number)["score"]
    return [score if math.isfinite(score) else None for score in scores]
