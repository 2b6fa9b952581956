"""From a measurement to a verdict: thresholds, M of N, hysteresis, cooldown; windows from the time.

What is remembered of windows stands in the order of their times, not of their arrival, so that
the same windows lead to the same memory in whatever order they are measured.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Any, Literal

from waystage.errors import ExpressionError
from waystage.expressions import compile_template
from waystage.spec.lifecycle import Monitor, Threshold, WindowSpec

ORDER = ("ok", "warn", "insufficient", "breach", "error")
KEPT = ("value", "low", "high", "level", "method", "counts", "notes", "insufficient", "noise")
PRIVATE = (
    "recent",
    "base",
    "told",
    "kept",
    "sound",
)  # parts of the memory that are no part of a record
MEMORY = 100  # windows remembered per monitor, the largest `of:`
STALE_WINDOWS = 3  # lengths of the window without a verdict, unless `stale_after` says otherwise

Memory = dict[str, Any]


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
    measurement: Memory,
    before: Memory | None,
    window: list[str],
    environment: Memory,
    now: datetime,
) -> Memory:
    """Give the monitor's new memory: the measurement, its verdict, and the levels seen.

    The same window counts once, however often it is measured: what is measured last holds, and
    a breach that it has told already is not told again.
    """
    memory = before or {}
    shown = {key: measurement[key] for key in KEPT if measurement.get(key) is not None}
    try:
        level, reason = _level(spec, measurement, environment)
        holds = _holds(spec, shown, environment) if level in ("ok", "warn") else []
    except ExpressionError as error:
        level, reason, holds = "error", str(error), []
    if level == "error":
        shown.pop("value", None)  # what is no number is not kept as one
    mine = {"window": window, "level": level} | ({"holds": holds} if holds else {})
    others = [each for each in memory.get("recent", []) if each["window"] != window]
    recent = sorted([*others, mine], key=_time)
    verdict, _ = _played(spec, memory.get("base", "ok"), recent, recent.index(mine))
    why, told = "", _told(memory, recent)
    if verdict == "breach":
        if why := _unsaid(spec, memory, window, recent, now):
            verdict = "warn"
        else:
            told = {"breached": now.isoformat()}
    answer = shown | {"verdict": verdict, "reason": why or reason, "window": window} | told
    answer |= _remembered(spec, memory, recent)
    if (keep := measurement.get("keep") or memory.get("kept")) is not None:
        answer["kept"] = keep
    return answer


def is_stale(spec: Monitor, memory: Memory) -> bool:
    """Say whether there has been no ok, warn or breach for too long, by the windows measured."""
    recent: list[Memory] = memory.get("recent", [])
    if not recent or recent[-1]["level"] not in ("insufficient", "error"):
        return False
    sound = [each["window"][1] for each in recent if each["level"] in ("ok", "warn", "breach")]
    since, until = sound[-1] if sound else recent[0]["window"][0], recent[-1]["window"][1]
    limit = spec.stale_after or STALE_WINDOWS * spec.window.length
    try:
        return datetime.fromisoformat(until) - datetime.fromisoformat(since) > limit
    except ValueError:  # a window that a scenario made up has no time
        return False


def _told(memory: Memory, recent: list[Memory]) -> Memory:
    """Give what is remembered of breaches: when the last one was told, and of which window.

    The window is remembered while it is the newest one: no other can breach.
    """
    found = {"breached": memory["breached"]} if "breached" in memory else {}
    told = _told_window(memory)
    return found | ({"told": told} if told == recent[-1]["window"] else {})


def _told_window(memory: Memory) -> Any:
    return memory["window"] if memory.get("verdict") == "breach" else memory.get("told")


def _unsaid(
    spec: Monitor, memory: Memory, window: list[str], recent: list[Memory], now: datetime
) -> str:
    """Say why a breach is only a warning; empty when it is one."""
    if _told_window(memory) == window:  # late labels may have taken it back meanwhile
        return "the breach of this window was told already"
    if recent[-1]["window"] != window:
        return "breach of a window that is older than the newest one measured"
    breached = memory.get("breached")
    if spec.cooldown and breached and now - datetime.fromisoformat(breached) < spec.cooldown:
        return "breach within the cooldown of the last one"
    return ""


def _remembered(spec: Monitor, memory: Memory, recent: list[Memory]) -> Memory:
    """Give the newest windows, and the alarm that those before them left on."""
    base, over = memory.get("base", "ok"), len(recent) - MEMORY
    clears = any(
        level is not None and level.clear is not None for level in (spec.warn, spec.breach)
    )
    if over > 0 and clears:
        _, base = _played(spec, base, recent, over - 1)
    return {"recent": recent[-MEMORY:]} | ({"base": base} if base != "ok" else {})


def _level(spec: Monitor, measurement: Memory, environment: Memory) -> tuple[str, str]:
    if "error" in measurement:
        return "error", str(measurement["error"])
    if measurement.get("insufficient"):
        return "insufficient", str(measurement["insufficient"])
    value = measurement.get("value")
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        return "error", f"the measured value {value!r} is no finite number"
    if why := _drowned(spec, measurement.get("noise"), environment):
        return "insufficient", why
    for name in ("breach", "warn"):
        threshold: Threshold | None = getattr(spec, name)
        if threshold is not None and _beyond(threshold, measurement, environment):
            return name, f"{value:.6g} is beyond the {name} threshold"
    return "ok", ""


def _drowned(spec: Monitor, noise: Any, environment: Memory) -> str:
    """Say that a threshold lies where the value may be though nothing has changed; else empty."""
    threshold = spec.warn or spec.breach
    if noise is None or threshold is None or threshold.above is None:
        return ""
    limit = _number(threshold.above, environment)
    if noise <= limit:
        return ""
    return (
        f"with this few data the value is up to {noise:.4g} in 95 of 100 windows in which nothing "
        f"has changed, and {'warn' if spec.warn else 'breach'} begins at {limit:.4g}; "
        "lengthen the window"
    )


def _beyond(
    threshold: Threshold,
    measurement: Memory,
    environment: Memory,
    said: Literal["limit", "clear"] = "limit",
) -> bool:
    below = threshold.below is not None
    at = threshold.clear if said == "clear" else threshold.below if below else threshold.above
    limit = _number(at, environment)
    value = measurement["value"]
    if threshold.confidence == "upper95":
        # bad only when the whole interval is: its better end is what is compared
        value = measurement.get("high" if below else "low")
        if value is None:
            raise ExpressionError("confidence: upper95 needs an interval, and there is none")
    return bool(value < limit if below else value > limit)


def _number(said: Any, environment: Memory) -> float:
    limit = compile_template(said).render(environment)
    if isinstance(limit, bool) or not isinstance(limit, int | float) or not isfinite(limit):
        raise ExpressionError(f"threshold {limit!r} is no finite number")
    return limit


def _holds(spec: Monitor, measurement: Memory, environment: Memory) -> list[str]:
    """Give the levels that the value does not reach, and does not clear either."""
    found = []
    for name in ("breach", "warn"):
        threshold: Threshold | None = getattr(spec, name)
        holds = threshold is not None and threshold.clear is not None
        if threshold and holds and _beyond(threshold, measurement, environment, "clear"):
            found.append(name)
    return found


def _played(spec: Monitor, on: str, recent: list[Memory], last: int) -> tuple[str, str]:
    """Give the verdict of the window at `last`, and the alarm that is on after it."""
    verdict = on
    for number in range(last + 1):
        verdict = _verdict(spec, recent[: number + 1], on)
        on = on if verdict in ("insufficient", "error") else verdict
    return verdict, on


def _verdict(spec: Monitor, recent: list[Memory], on: str) -> str:
    """Give the verdict of the last window; an alarm that is on stays while the value holds it."""
    level, holds = str(recent[-1]["level"]), recent[-1].get("holds", ())
    if level in ("error", "insufficient"):
        return level
    verdict = _counted(spec, recent, level)
    for held in ("breach", "warn"):
        if held in holds and ORDER.index(on) >= ORDER.index(held):
            return max(verdict, held, key=ORDER.index)
    return verdict


def _counted(spec: Monitor, recent: list[Memory], level: str) -> str:
    if level == "ok":
        return level
    if level == "breach" and spec.breach and _often(spec.breach, recent, ("breach",)):
        return "breach"
    if spec.warn is None:
        return "warn" if level == "breach" else "ok"
    return "warn" if _often(spec.warn, recent, ("warn", "breach")) else "ok"


def _often(threshold: Threshold, recent: list[Memory], levels: tuple[str, ...]) -> bool:
    last = recent[-(threshold.of or threshold.datapoints) :]
    return sum(seen["level"] in levels for seen in last) >= threshold.datapoints


def _time(seen: Memory) -> tuple[str, str]:
    """Order windows by their end, then their start; both are ISO 8601 in UTC."""
    start, end = seen["window"]
    return end, start
