"""The summary in words: what is wrong and what is right, without formulas."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from waystage.plugin import Section
from waystage.report.model import Level, Measured, Said, Watching

LEVELS: dict[str, Level] = {"ok": "ok", "warn": "warn", "breach": "breach"}
WORST = ("breach", "unknown", "warn", "ok")
NAMES = {
    "performance.ks": "The separation of good from bad (KS)",
    "performance.auc": "The ranking (AUC)",
    "performance.gini": "The ranking (Gini)",
    "performance.lift": "The lift at the top",
    "performance.calibration": "The error of the probabilities",
    "performance.brier": "The error of the probabilities (Brier)",
    "drift.psi": "The shift of the population (PSI)",
    "volume": "The number of requests",
    "quality.log": "The share of requests that cannot be used",
}  # fmt: skip  # words for readers; a monitor that is not here goes by its name


def newest(found: Sequence[Measured], snapshot: str) -> dict[str, Measured]:
    """Give the newest measurement of each monitor that the run itself made, by window then time."""
    mine = [each for each in found if each.snapshot == snapshot and not each.by_hand]
    ordered = sorted(mine, key=lambda each: (each.window.end, each.at))
    return {each.monitor: each for each in ordered}


def summary(
    monitors: Sequence[Watching], found: Sequence[Measured], snapshot: str, where: str,
    sections: Sequence[Section] = (),
) -> tuple[Said, ...]:  # fmt: skip
    """Say first how the model stands as a whole, then what each monitor found, the worst first."""
    last = newest(found, snapshot)
    told = [_told(each, last.get(each.name)) for each in monitors]
    told.sort(key=lambda each: WORST.index(each.level))
    return (_whole(told, snapshot, where), *told, *_besides(sections))


def number(value: float) -> str:
    """Write a number as short as it is still to be told from its neighbours."""
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.1f}" if abs(value) >= 1000 else f"{value:.3g}"


def span(start: datetime, end: datetime) -> str:
    """Write a window for people: both days inclusive, or with minutes where it needs them."""
    clocks = {(at.hour, at.minute, at.second) for at in (start, end)}
    if clocks == {(0, 0, 0)}:
        return f"{_day(start)} to {_day(end - timedelta(days=1))}"
    return f"{_day(start)} {start:%H:%M} to {_day(end)} {end:%H:%M} UTC"


def _day(at: datetime) -> str:
    return f"{at.day} {at:%b %Y}"


def _whole(told: Sequence[Said], snapshot: str, where: str) -> Said:
    if not told:
        text = f"No monitor watches {snapshot} in {where}: how well it does is not checked."
        return Said(level="unknown", text=text)
    worst = told[0].level
    bad = sum(each.level == worst for each in told)
    text = {
        "ok": f"{snapshot} in {where} is within all its limits.",
        "warn": f"{snapshot} in {where} needs attention: {_of(bad, told, 'warns', 'warn')}.",
        "breach": f"{snapshot} in {where} is beyond its limits: "
        f"{_of(bad, told, 'tells', 'tell')} a breach.",
        "unknown": f"Whether {snapshot} in {where} does well is not known: "
        f"{_of(bad, told, 'has', 'have')} no verdict.",
    }[worst]
    return Said(level=worst, text=text)


def _of(count: int, told: Sequence[Said], one: str, many: str) -> str:
    if len(told) == 1:
        return f"its one monitor {one}"
    return f"{count} of {len(told)} monitors {one if count == 1 else many}"


def _told(monitor: Watching, last: Measured | None) -> Said:
    name = NAMES.get(monitor.use, monitor.use)
    said = f"{name}, monitor “{monitor.name}”"
    if last is None:
        return Said(level="unknown", text=f"{said}: not measured yet.")
    when = span(last.window.start, last.window.end)
    value = last.number("value")
    reason = str(last.body.get("insufficient") or last.body.get("reason") or "")
    if last.verdict not in LEVELS or value is None:
        why = "it could not be measured" if last.verdict == "error" else "there was too little data"
        text = f"{said}: no verdict for {when}, as {why}"
        return Said(level="unknown", text=f"{text} ({reason})." if reason else f"{text}.")
    text = f"{name} was {number(value)} from {when}{_held(last)}.{_interval(last)}"
    return Said(level=LEVELS[last.verdict], text=f"{text} Monitor “{monitor.name}”.")


def _interval(last: Measured) -> str:
    low, high = last.number("low"), last.number("high")
    if low is None or high is None or low == high:
        return ""
    level = last.number("level") or 0.95
    return f" The data allow for {number(low)} to {number(high)} ({level:.0%} interval)."


def _held(last: Measured) -> str:
    """Say on which side of which limit the value is, and why that is no breach if it is none."""
    level = "breach" if last.verdict == "breach" or "warn" not in last.limits else "warn"
    limit = last.limits.get(level) or last.limits.get("breach")
    value, reason = last.number("value"), str(last.body.get("reason") or "")
    if not limit or value is None:
        return ""
    side, at = next(iter(limit.items()))
    name = "limit" if level == "breach" else "warning limit"
    if not (value < at if side == "below" else value > at):
        return f": within its {name} ({'at least' if side == 'below' else 'at most'} {number(at)})"
    more = f" ({reason})" if reason and "beyond" not in reason else ""
    return f": {side} its {name} of {number(at)}{more}"


def _besides(sections: Sequence[Section]) -> Iterator[Said]:
    """Say of the sections what a reader should know before the curves are believed."""
    for section in sections:
        if section.id == "maturity" and isinstance(share := section.facts.get("coverage"), float):
            level: Level = "ok" if share >= 0.8 else "unknown"
            yield Said(level=level, text=section.about)
        if section.id == "roc" and section.missing:
            yield Said(level="unknown", text=f"No curves: {section.missing}")
