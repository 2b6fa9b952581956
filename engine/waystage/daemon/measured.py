"""What is kept of a measurement beside its numbers: the question that was asked, and the limits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from waystage.errors import WaystageError
from waystage.expressions import compile_template
from waystage.kernel import Run
from waystage.spec.lifecycle import Monitor, Threshold


@dataclass(frozen=True, slots=True)
class Question:
    """Which monitor was asked about which snapshot, where and when."""

    monitor: str
    service: str
    stage: str
    snapshot: str
    window: tuple[str, str]


def told_of(spec: Monitor, run: Run, monitor: str, order: Mapping[str, Any]) -> dict[str, Any]:
    """Give what is kept of what a run has measured: `query` and `limits`."""
    window, snapshot = order["config"]["window"], run.snapshot
    name = f"{snapshot.get('name', '')}/{snapshot.get('version', '')}"
    asked = Question(monitor, run.service, order["stage"], name, (window["start"], window["end"]))
    names = {"params": run.params, "data": run.data, "snapshot": snapshot, "steps": run.steps,
             "tasks": run.tasks, "service": run.service, "stage": order["stage"]}  # fmt: skip
    return {"query": query_of(spec, asked), "limits": limits_of(spec, names)}


def query_of(spec: Monitor, asked: Question) -> dict[str, Any]:
    """Give the question that a measurement answers, with its digest: the same one, the same."""
    query: dict[str, Any] = {
        "use": spec.use,
        "with": spec.with_,
        "minimum": spec.minimum.model_dump(mode="json"),
        "service": asked.service,
        "stage": asked.stage,
        "snapshot": asked.snapshot,
        "window": list(asked.window),
    }
    text = json.dumps(query, sort_keys=True, separators=(",", ":"), default=str)
    return query | {"digest": f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"}


def limits_of(spec: Monitor, names: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Give the thresholds as numbers: `{"warn": {"below": 0.3}}`; what gives none is left out."""
    found = {}
    for level in ("warn", "breach"):
        threshold: Threshold | None = getattr(spec, level)
        if threshold is not None and (limit := _limit(threshold, names)) is not None:
            found[level] = {"above" if threshold.below is None else "below": limit}
    return found


def _limit(threshold: Threshold, names: Mapping[str, Any]) -> float | None:
    said = threshold.above if threshold.below is None else threshold.below
    try:
        value = compile_template(said).render(dict(names))
    except WaystageError:
        return None
    usable = isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
    return float(value) if usable else None
