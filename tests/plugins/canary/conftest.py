"""A canary and a baseline that began together, and a server that tells of both."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_server import Series, StandIn

from waystage.plugin import Deployed, Placement, Snapshot
from waystage.testing import FakeContext
from waystage_plugins.canary.judge import JudgeCanary

CANARY = Snapshot(name="credit", version="4", digest="sha256:" + "4" * 64)
BASELINE = Snapshot(name="credit", version="3", digest="sha256:" + "3" * 64)
LATENCY = 'latency{version="$side"}'
METRICS = {"latency": {"query": LATENCY, "direction": "increase", "critical": True}}


def place(ctx: FakeContext, snapshot: Snapshot, role: Any, ago: timedelta) -> None:
    """Have a snapshot run since so long ago."""
    deployed = Deployed(stage="PROD", runtime="serving", mode="online", role=role)
    ctx.inventory.append(Placement(ctx.service, snapshot, deployed, "r-1", ctx.now - ago))


@pytest.fixture
def ctx(tmp_path: Path) -> FakeContext:
    made = FakeContext(tmp_path, stage="PROD", snapshot=CANARY)
    place(made, BASELINE, "champion", timedelta(hours=2))
    place(made, CANARY, "challenger", timedelta(hours=2))
    return made


@pytest.fixture
def server() -> Iterator[StandIn]:
    made = StandIn()
    yield made
    made.stop()


def normal(seed: int, mean: float = 0.1, spread: float = 0.02) -> Series:
    """Give a series whose value at a time is drawn once and for all."""
    return lambda at: f"{np.random.default_rng([seed, int(at)]).normal(mean, spread):.6f}"


def judge(server: StandIn, metrics: Any = METRICS, **more: Any) -> JudgeCanary:
    """Give the step that asks this server."""
    asked = {"url": server.url, "allow_private": True, **more.pop("prometheus", {})}
    return JudgeCanary.model_validate({"prometheus": asked, "metrics": metrics, **more})


def tell(server: StandIn, canary: Series, baseline: Series, query: str = LATENCY) -> None:
    """Have the server know a query of both sides."""
    server.series[query.replace("$side", CANARY.id)] = canary
    server.series[query.replace("$side", BASELINE.id)] = baseline
