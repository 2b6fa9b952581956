"""The points of both sides on one interval, asked for once and kept for every attempt."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from waystage.errors import Hopeless, Retryable
from waystage.plugin import Context, Value
from waystage_plugins.canary.prometheus import Grid, series
from waystage_plugins.canary.settings import Metric, Prometheus
from waystage_plugins.monitors.columns import is_finite
from waystage_plugins.repositories.tree import write_durably
from waystage_plugins.steps.data import bring

MOST_ROWS = 1_000_000
LOOK_EVERY = 10_000  # rows between two looks at whether the answer is still wanted


class Points(Value):
    """What both sides had of one metric; `missing` is the share of the times that one lacks.

    A `series` is in the order of its times, so that it tells how alike neighbors are.
    """

    canary: tuple[float, ...]
    baseline: tuple[float, ...]
    missing: float = 0.0
    series: bool = False


class Frozen(Value):
    """All points of a judgement, whose they are (canary and baseline), and of which interval."""

    names: tuple[str, str]
    start: datetime
    end: datetime
    points: dict[str, Points]

    @property
    def digest(self) -> str:
        """The digest of all of it."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def frozen_before(ctx: Context) -> Frozen | None:
    """Give what an earlier attempt of this step was told."""
    place = _place(ctx)
    return Frozen.model_validate_json(place.read_bytes()) if place.exists() else None


def freeze(
    ctx: Context,
    server: Prometheus | None,
    metrics: Mapping[str, Metric],
    names: tuple[str, str],
    grid: Grid,
) -> Frozen:
    """Ask for every metric of both sides, called by `names`, and keep what was told."""
    points = {}
    for name, metric in metrics.items():
        if ctx.cancelled:
            raise Retryable("the judgement was cancelled")
        if metric.query is None:
            points[name] = _of_rows(ctx, name, str(metric.rows), names, grid)
        else:
            points[name] = _of_series(ctx, server, metric.query, names, grid)
    frozen = Frozen(names=names, start=grid.start, end=grid.end, points=points)
    write_durably(_place(ctx), frozen.model_dump_json().encode())
    return frozen


def _place(ctx: Context) -> Path:
    return ctx.scratch / "points.json"


def _of_series(
    ctx: Context, server: Prometheus | None, query: str, names: tuple[str, str], grid: Grid
) -> Points:
    """Keep the times at which both have a value: nothing stands against what one lacks."""
    assert server is not None  # the settings were checked
    canary, baseline = (series(ctx, server, query, name, grid) for name in names)
    both = sorted(canary.keys() & baseline.keys())
    return Points(
        canary=tuple(canary[at] for at in both),
        baseline=tuple(baseline[at] for at in both),
        missing=1 - len(both) / len(grid.times),
        series=True,
    )


def _of_rows(ctx: Context, name: str, address: str, names: tuple[str, str], grid: Grid) -> Points:
    """Read `side`, `at` and `value` of each row; those without a finite value count as missing."""
    found: dict[str, list[float]] = {side: [] for side in names}
    lacking = 0
    place = bring(ctx, name, address).path
    for number, row in _rows(ctx, place, address):
        where = f"{address}: row {number}"
        side, at = _side(row["side"], where), _time(row["at"], where)
        if side not in found or not grid.start <= at < grid.end:
            continue
        value = _number(row["value"], where)
        if value is None:
            lacking += 1
        else:
            found[side].append(value)
    canary, baseline = (tuple(found[side]) for side in names)
    total = lacking + len(canary) + len(baseline)
    return Points(canary=canary, baseline=baseline, missing=lacking / total if total else 0.0)


def _rows(ctx: Context, place: Path, address: str) -> Iterator[tuple[int, dict[str, Any]]]:
    with place.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if number > MOST_ROWS:
                raise Hopeless(f"{address}: has more than {MOST_ROWS:,} rows; have it give fewer")
            if number % LOOK_EVERY == 0 and ctx.cancelled:
                raise Retryable("the judgement was cancelled")
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                raise Hopeless(f"{address}: row {number} is no JSON") from None
            if not isinstance(row, dict) or not {"side", "at", "value"} <= row.keys():
                raise Hopeless(f"{address}: row {number} has no side, at and value")
            yield number, row


def _side(value: object, where: str) -> str:
    """Read the name of a side; null and plain values are other sides, and so left out later."""
    if isinstance(value, list | dict):
        raise Hopeless(f"{where}: side: {str(value)[:60]!r} is no name of a canary or baseline")
    return value if isinstance(value, str) else ""


def _time(value: object, where: str) -> datetime:
    """Read a time as ISO 8601; one without a zone is in UTC."""
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        at = None
    if at is None:
        raise Hopeless(f"{where}: at: {str(value)[:60]!r} is no time as ISO 8601 writes it")
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _number(value: object, where: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Hopeless(f"{where}: value: {str(value)[:60]!r} is no number")
    return float(value) if is_finite(value) else None
