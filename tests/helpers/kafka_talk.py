"""How tests of Kafka scorers deploy them, ask them, and read what came."""

from __future__ import annotations

import json
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from kafka_cluster import KafkaCluster

from waystage.plugin import DeploySpec, Handle, JsonObject
from waystage.testing import FakeContext
from waystage.testing.runtime_contracts import wait_until_ready
from waystage_plugins.runtimes import KafkaScorer

ROW: JsonObject = {"income": 1.0, "children": 2, "purpose": "car"}
YES = pytest.approx(0.98201, abs=1e-5)
NO = pytest.approx(1 - 0.98201, abs=1e-5)
LOG = {"use": "scoring_log.sqlite", "with": {"path": "scores.db"}}
REQUESTS, ANSWERS, REFUSED = "credit-risk.requests", "credit-risk.answers", "credit-risk.refused"
GROUP = "waystage.DEV.credit-risk"

Release = Callable[..., DeploySpec]


def scorer(cluster: KafkaCluster, **more: Any) -> KafkaScorer:
    told = {"brokers": cluster.brokers, "session": timedelta(seconds=1)} | more
    return KafkaScorer.model_validate(told)


def deployed(ctx: FakeContext, runtime: KafkaScorer, spec: DeploySpec) -> Handle:
    """Deploy under a key of the version's own and wait."""
    ctx.key = f"run/{spec.snapshot.id}/{spec.role}"
    handle = runtime.apply(ctx, spec)
    wait_until_ready(runtime, ctx, handle)
    return handle


def until(holds: Callable[[], Any], otherwise: str = "it never comes") -> Any:
    deadline = time.monotonic() + 120
    while not (found := holds()):
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.02)
    return found


def asked(name: str, row: JsonObject = ROW) -> bytes:
    return json.dumps(row | {"request_id": name}).encode()


def told(message: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(message.value())
    return found


def headers(message: Any) -> dict[str, str]:
    return {name: value.decode() for name, value in message.headers() or []}


def no_probe(messages: list[Any]) -> list[Any]:
    return [message for message in messages if "X-Waystage-Probe" not in headers(message)]


def answers(cluster: KafkaCluster, count: int) -> list[Any]:
    return no_probe(cluster.read(ANSWERS, lambda found: len(no_probe(found)) >= count))


def answered(cluster: KafkaCluster, names: set[str]) -> list[Any]:
    def enough(found: list[Any]) -> bool:
        return names <= {told(message)["request_id"] for message in found}

    return no_probe(cluster.read(ANSWERS, enough))


def logged(ctx: FakeContext) -> Counter[str]:
    connection = sqlite3.connect(ctx.project / "scores.db")
    try:
        return Counter(row[0] for row in connection.execute("SELECT request_id FROM scored"))
    finally:
        connection.close()


def troubled(runtime: KafkaScorer, ctx: FakeContext, handle: Handle, reason: str) -> Any:
    seen = runtime.observe(ctx, handle)
    return seen if seen.reason == reason else None
