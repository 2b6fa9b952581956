"""Scales of plots: ends, ticks, and how numbers, shares and times are written at them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil, floor, log10

from waystage.plugin import Axis

TICKS = 5
MOST = 200  # ticks that are tried at the most
CLOCK, DATE = "%H:%M", "%-d %b"
SPANS = ((CLOCK, timedelta(hours=1)), (CLOCK, timedelta(hours=6)), (DATE, timedelta(days=1)),
         (DATE, timedelta(days=7)))  # fmt: skip
MONTHS = (1, 3, 6, 12, 24, 60, 120)


@dataclass(frozen=True, slots=True)
class Scale:
    """From values to pixels, and the ticks with their texts."""

    low: float
    high: float
    start: float
    end: float
    ticks: tuple[tuple[float, str], ...]

    def at(self, value: float) -> float:
        """Give the pixel of a value; what lies outside is put at the nearest end."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    @property
    def unit(self) -> float:
        """Give how many pixels a step of 1 takes."""
        return abs(self.end - self.start) / (self.high - self.low)


def scale(axis: Axis, values: Iterable[float], start: float, end: float) -> Scale:
    """Make the scale of an axis; ends that it does not name follow from the values."""
    if axis.labels:
        places = tuple((float(place), label) for place, label in enumerate(axis.labels))
        return Scale(-0.5, len(axis.labels) - 0.5, start, end, places)
    low, high = _ends(axis, list(values))
    if axis.unit == "time":
        return Scale(low, high, start, end, tuple(_times(low, high)))
    step = _step(high - low)
    if axis.low is None:
        low = floor(low / step + 1e-9) * step
    if axis.high is None:
        high = ceil(high / step - 1e-9) * step
    return Scale(low, high, start, end, tuple(_ticks(low, high, step, axis.unit)))


def written(value: float, unit: str, step: float) -> str:
    """Write a number at a tick with as many places as its step needs."""
    if unit == "share":
        value, step = value * 100, step * 100
    places = max(0, -floor(log10(step) + 1e-9)) if step > 0 else 0
    text = f"{value:,.{places}f}" if 1e-4 <= abs(value) < 1e15 or value == 0 else f"{value:.2g}"
    text = text if float(text.replace(",", "")) != 0 else "0"  # never -0
    return f"{text}%" if unit == "share" else text


def _ends(axis: Axis, values: list[float]) -> tuple[float, float]:
    low = axis.low if axis.low is not None else min(values, default=0.0)
    high = axis.high if axis.high is not None else max(values, default=1.0)
    if not high > low:
        reach = abs(low) / 10 or 0.5
        low, high = (low if axis.low is not None else low - reach), high + reach
    return low, high


def _step(reach: float) -> float:
    raw = reach / TICKS
    power = 10.0 ** floor(log10(raw))
    return next(power * each for each in (1, 2, 5, 10) if power * each >= raw * (1 - 1e-9))


def _ticks(low: float, high: float, step: float, unit: str) -> Iterable[tuple[float, str]]:
    first = ceil(low / step - 1e-9)
    for number in range(first, first + MOST):
        value = number * step
        if value > high + step * 1e-9:
            return
        yield value, written(value, unit, step)


def _times(low: float, high: float) -> Iterable[tuple[float, str]]:
    reach = timedelta(seconds=high - low)
    for form, step in SPANS:
        if reach / step <= TICKS + 2:
            yield from _even(low, high, step.total_seconds(), form)
            return
    yield from _months(low, high, reach)


def _even(low: float, high: float, step: float, form: str) -> Iterable[tuple[float, str]]:
    at = ceil(low / step) * step
    while at <= high:
        yield at, _date(at, form)
        at += step


def _months(low: float, high: float, reach: timedelta) -> Iterable[tuple[float, str]]:
    months = reach / timedelta(days=30)
    step = next((each for each in MONTHS if months / each <= TICKS + 1), MONTHS[-1])
    at = datetime.fromtimestamp(low, UTC)
    number = ceil((at.year * 12 + at.month - 1 + (at.day > 1)) / step) * step
    while number // 12 <= 9999:
        seconds = datetime(number // 12, number % 12 + 1, 1, tzinfo=UTC).timestamp()
        if seconds > high:
            return
        yield seconds, _date(seconds, "%Y" if step >= 12 else "%b %Y")
        number += step


def _date(seconds: float, form: str) -> str:
    at = datetime.fromtimestamp(seconds, UTC)
    return at.strftime(form.replace("%-d", str(at.day)))
