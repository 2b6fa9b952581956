"""Each monitor over time: values with their intervals and verdicts, the limits, the versions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise

from waystage.plugin import Axis, Figure, Mark, Section, Series, Table
from waystage.plugin.describing import Tone
from waystage.report.model import Measured, Report
from waystage.report.words import number, span

TONES: dict[str, Tone] = {"ok": "ok", "warn": "warn", "breach": "breach"}
WORDS = {"ok": "ok", "warn": "warning", "breach": "breach"}
MOST = 400  # windows of one monitor that are drawn, the newest
TITLE = "Monitors over time"


def history(report: Report) -> Section:
    """Give one figure and one table for each monitor that was ever measured in the stage."""
    names = dict.fromkeys(
        [each.name for each in report.monitors] + [each.monitor for each in report.measurements]
    )
    figures, tables = [], []
    for name in names:
        found = [each for each in report.measurements if each.monitor == name][-MOST:]
        if any(each.number("value") is not None for each in found):
            figures.append(_figure(name, found))
        if found:
            tables.append(_table(name, found))
    missing = "" if figures else f"No monitor has measured a value in {report.stage} yet."
    about = (
        "Every window that was measured, at its end, with its interval. Dashed lines are the "
        "limits of then; the shape and color of a point is its verdict."
    )
    if not names:
        missing = "The lifecycle watches nothing here."
    return Section(id="history", title=TITLE, about="" if missing else about, missing=missing,
                   figures=tuple(figures), tables=tuple(tables))  # fmt: skip


def _figure(name: str, found: Sequence[Measured]) -> Figure:
    known = [each for each in found if each.number("value") is not None]
    low, high = _ends(known)
    return Figure(
        title=f"{name} ({known[-1].use})",
        about=_about(name, found),
        x=Axis(title="end of the window (UTC)", unit="time", low=low, high=high),
        y=Axis(title=name),
        series=(*_limits(known), *_lines(known), *_verdicts(known)),
        marks=tuple(_changes(known)),
    )


def _ends(known: Sequence[Measured]) -> tuple[float, float]:
    """Leave some room beside the first and the last point."""
    first, last = _at(known[0]), _at(known[-1])
    beside = (last - first) / 30 or 86_400.0 * 15
    return first - beside, last + beside


def _about(name: str, found: Sequence[Measured]) -> str:
    counted = {word: sum(each.verdict == verdict for each in found)
               for verdict, word in WORDS.items()}  # fmt: skip
    none = len(found) - sum(counted.values())
    parts = [f"{count} {word}" for word, count in counted.items() if count]
    parts += [f"{none} without a verdict"] if none else []
    last = found[-1]
    value = last.number("value")
    newest = f"; the newest is {number(value)} ({last.verdict})" if value is not None else ""
    return f"{len(found)} windows of {name}: {', '.join(parts)}{newest}."


def _lines(known: Sequence[Measured]) -> Iterator[Series]:
    """Join what one version was measured at; what was made by hand joins nothing."""
    own = [each for each in known if not each.by_hand]
    for snapshot, group in groupby(own, key=lambda each: each.snapshot):
        mine = list(group)
        if len(mine) > 1:
            values, label = tuple(_value(each) for each in mine), (snapshot,) * len(mine)
            yield Series(name="", x=tuple(map(_at, mine)), y=values, label=label)


def _verdicts(known: Sequence[Measured]) -> Iterator[Series]:
    for verdict in ("ok", "warn", "breach", ""):
        mine = [each for each in known if not each.by_hand and _known(each) == verdict]
        if mine:
            yield _points(WORDS.get(verdict, "no verdict"), TONES.get(verdict, "unknown"), mine)
    if by_hand := [each for each in known if each.by_hand]:
        yield _points("by hand", "other", by_hand)


def _known(each: Measured) -> str:
    return each.verdict if each.verdict in TONES else ""


def _points(name: str, tone: Tone, found: Sequence[Measured]) -> Series:
    values = [_value(each) for each in found]
    ends = [(each.number("low"), each.number("high")) for each in found]
    low = tuple(value if end is None else end for value, (end, _) in zip(values, ends, strict=True))
    high = tuple(
        value if end is None else end for value, (_, end) in zip(values, ends, strict=True)
    )
    label = tuple(
        f"{span(each.window.start, each.window.end)}: {number(value)} ({each.verdict}), "
        f"{each.snapshot}{', by hand' if each.by_hand else ''}"
        for each, value in zip(found, values, strict=True)
    )
    return Series(name=name, form="points", tone=tone, x=tuple(map(_at, found)), y=tuple(values),
                  low=low, high=high, label=label)  # fmt: skip


def _limits(known: Sequence[Measured]) -> Iterator[Series]:
    """Draw each limit as it was at each window; it begins and ends with the plot."""
    low, high = _ends(known)
    for level, tone in (("warn", "warn"), ("breach", "breach")):
        places = [(_at(each), value) for each in known
                  for value in each.limits.get(level, {}).values()]  # fmt: skip
        if places:
            side = next(iter(next(e.limits[level] for e in known if level in e.limits)))
            x = (low, *(at for at, _ in places[1:]), high)
            y = (*(value for _, value in places), places[-1][1])
            yield Series(name=f"{WORDS[level]} {side}", form="steps", tone=_limit_tone(tone),
                         x=x, y=y)  # fmt: skip


def _limit_tone(tone: str) -> Tone:
    return "warn" if tone == "warn" else "breach"


def _changes(known: Sequence[Measured]) -> Iterator[Mark]:
    """Mark where another version begins."""
    ends = [(_value(each), each.number("low"), each.number("high")) for each in known]
    values = [end for three in ends for end in three if end is not None]
    for before, after in pairwise(known):
        if before.snapshot != after.snapshot:
            at = (_at(before) + _at(after)) / 2
            yield Mark(start=(at, max(values)), end=(at, min(values)), text=after.snapshot,
                       tone="reference")  # fmt: skip


def _table(name: str, found: Sequence[Measured]) -> Table:
    rows = tuple(
        (span(each.window.start, each.window.end), each.snapshot, each.number("value"),
         each.number("low"), each.number("high"), each.verdict, _counts(each),
         str(each.body.get("method", "")),
         f"by hand, {each.by_hand}" if each.by_hand else "run",
         str(each.body.get("reason") or each.body.get("insufficient") or ""))
        for each in reversed(found)
    )  # fmt: skip
    names = ("window", "version", "value", "low", "high", "verdict", "counts", "method",
             "measured by", "why")  # fmt: skip
    return Table(title=f"{name}: every window, the newest first", columns=names, rows=rows)


def _counts(each: Measured) -> str:
    found = each.body.get("counts") or {}
    return ", ".join(f"{name} {count:,}" for name, count in found.items())


def _at(each: Measured) -> float:
    return each.window.end.timestamp()


def _value(each: Measured) -> float:
    return each.number("value") or 0.0
