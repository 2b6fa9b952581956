"""From a measurement to a verdict: thresholds, M of N, cooldown; windows from the time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Any

from waystage.errors import ExpressionError
from waystage.expressions import compile_template
from waystage.spec.lifecycle import Monitor, Threshold, WindowSpec

ORDER = ("ok", "warn", "insufficient", "breach", "error")
KEPT = ("value", "low", "high", "level", "method", "counts", "notes", "insufficient")
MEMORY = 100  # windows remembered per monitor, the largest `of:`


def window_at(spec: WindowSpec, now: datetime) -> tuple[datetime, datetime]:
    """Give the newest closed window at `now`: half-open, UTC.

    It ends at `now - label_delay - grace`, floored to the day, or to the minute for windows
    shorter than a day.
    """
    end = (now - spec.label_delay - spec.grace).astimezone(UTC)
    floor = {"second": 0, "microsecond": 0}
    if spec.length >= timedelta(days=1):
        floor |= {"hour": 0, "minute": 0}
    end = end.replace(**floor)  # type: ignore[arg-type]  # the keys are those of replace()
    return end - spec.length, end


def worst(verdicts: Iterable[str]) -> str:
    """Give the worst verdict: ok < warn < insufficient < breach < error."""
    return max(verdicts, key=ORDER.index)


def judge(
    spec: Monitor,
    measurement: dict[str, Any],
    before: dict[str, Any] | None,
    window: list[str],
    environment: dict[str, Any],
    now: datetime,
) -> dict[str, Any]:
    """Give the monitor's new memory: the measurement, its verdict, and the levels seen.

    The same window counts once, however often it is measured.
    """
    shown = {key: measurement[key] for key in KEPT if measurement.get(key) is not None}
    recent = [seen for seen in (before or {}).get("recent", []) if seen["window"] != window]
    try:
        level, reason = _level(spec, measurement, environment)
    except ExpressionError as error:
        level, reason = "error", str(error)
    recent = [*recent, {"window": window, "level": level}][-MEMORY:]
    verdict = _verdict(spec, recent, level)
    breached = (before or {}).get("breached")
    if verdict == "breach" and _cooling(spec, breached, now):
        verdict, reason = "warn", "breach within the cooldown of the last one"
    elif verdict == "breach":
        breached = now.isoformat()
    memory = {"verdict": verdict, "reason": reason, "window": window, "recent": recent}
    if level == "error":
        shown.pop("value", None)  # what is no number is not kept as one
    return shown | memory | ({"breached": breached} if breached else {})


def _level(
    spec: Monitor, measurement: dict[str, Any], environment: dict[str, Any]
) -> tuple[str, str]:
    if "error" in measurement:
        return "error", str(measurement["error"])
    if measurement.get("insufficient"):
        return "insufficient", str(measurement["insufficient"])
    value = measurement.get("value")
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        return "error", f"the measured value {value!r} is no finite number"
    for name in ("breach", "warn"):
        threshold: Threshold | None = getattr(spec, name)
        if threshold is not None and _beyond(threshold, measurement, environment):
            return name, f"{value:.6g} is beyond the {name} threshold"
    return "ok", ""


def _beyond(threshold: Threshold, measurement: dict[str, Any], environment: dict[str, Any]) -> bool:
    below = threshold.below is not None
    limit = compile_template(threshold.below if below else threshold.above).render(environment)
    if isinstance(limit, bool) or not isinstance(limit, int | float) or not isfinite(limit):
        raise ExpressionError(f"threshold {limit!r} is no finite number")
    value = measurement["value"]
    if threshold.confidence == "upper95":
        # bad only when the whole interval is: its better end is what is compared
        value = measurement.get("high" if below else "low")
        if value is None:
            raise ExpressionError("confidence: upper95 needs an interval, and there is none")
    return bool(value < limit if below else value > limit)


def _verdict(spec: Monitor, recent: list[dict[str, Any]], level: str) -> str:
    if level in ("error", "insufficient", "ok"):
        return level
    if level == "breach" and spec.breach and _often(spec.breach, recent, ("breach",)):
        return "breach"
    if spec.warn is None:
        return "warn" if level == "breach" else "ok"
    return "warn" if _often(spec.warn, recent, ("warn", "breach")) else "ok"


def _often(threshold: Threshold, recent: list[dict[str, Any]], levels: tuple[str, ...]) -> bool:
    last = recent[-(threshold.of or threshold.datapoints) :]
    return sum(seen["level"] in levels for seen in last) >= threshold.datapoints


def _cooling(spec: Monitor, breached: str | None, now: datetime) -> bool:
    if spec.cooldown is None or breached is None:
        return False
    return now - datetime.fromisoformat(breached) < spec.cooldown
