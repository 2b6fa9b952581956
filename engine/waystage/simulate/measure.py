"""From an assessment in a scenario to what a monitor would have measured.

A verdict word needs a value, and a memory of earlier windows, that the kernel judges so: both
are searched for among the thresholds' own limits, with the kernel's own judge.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from typing import Any

from waystage.errors import ExpressionError
from waystage.expressions import compile_template
from waystage.kernel.judge import judge
from waystage.spec.lifecycle import Monitor
from waystage.spec.scenario import Assessed

Memory = dict[str, Any] | None


def measured(assessed: Assessed) -> dict[str, Any]:
    """Give the measurement of a value; what is not said of its interval is the value itself."""
    value = assessed.value
    low = value if assessed.low is None else assessed.low
    high = value if assessed.high is None else assessed.high
    return {"value": value, "low": low, "high": high}


def judged_so(
    monitor: Monitor, word: str, memory: Memory, environment: dict[str, Any], now: datetime
) -> tuple[dict[str, Any], Memory] | None:
    """Give a measurement and a memory that lead to the verdict; None when nothing does."""
    if word in ("insufficient", "error"):
        return {word: "as the scenario says"}, memory
    for before in _memories(monitor, memory, now):
        for value in _values(monitor, environment):
            found = {"value": value, "low": value, "high": value}
            verdict = judge(monitor, found, before, ["", "~"], environment, now)["verdict"]
            if verdict == word:
                return found, before
    return None


def _memories(monitor: Monitor, memory: Memory, now: datetime) -> Iterator[dict[str, Any]]:
    kept = dict(memory or {})
    fresh = {k: v for k, v in kept.items() if k not in ("breached", "told")}
    for level in ("", "warn", "breach"):
        count = max((t.datapoints for t in (monitor.warn, monitor.breach) if t), default=1) - 1
        numbers = range(count if level else 0)
        recent = [{"window": ["", f"0{n:03}"], "level": level} for n in numbers]
        yield fresh | {"recent": recent}
    if monitor.cooldown is not None:  # a breach that only warns needs one before it
        yield fresh | {"recent": [], "breached": now.isoformat()}


def _values(monitor: Monitor, environment: dict[str, Any]) -> list[float]:
    """Give values on all sides of the limits, the plainest first."""
    limits = sorted({each for each in map(_Limit(environment), (monitor.warn, monitor.breach))
                     if each is not None})  # fmt: skip
    if not limits:
        return [0.0]
    margin = max(abs(limits[-1] - limits[0]), abs(limits[-1]) / 10, 0.01)
    between = [(a + b) / 2 for a, b in pairwise(limits)]
    return [round(v, 6) for v in (*between, limits[-1] + margin, limits[0] - margin)]


class _Limit:
    """The number that a threshold compares with, where it can be told."""

    def __init__(self, environment: dict[str, Any]) -> None:
        self._environment = environment

    def __call__(self, threshold: Any) -> float | None:
        if threshold is None:
            return None
        given = threshold.below if threshold.below is not None else threshold.above
        try:
            limit = compile_template(given).render(self._environment)
        except ExpressionError:
            return None
        good = isinstance(limit, int | float) and not isinstance(limit, bool)
        return float(limit) if good else None
