"""Windows of time as people write them: `2026-01-01/2026-02-01`, `30d`, `2026-Q1`, `last-month`."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from waystage.errors import WaystageError
from waystage.spec.values import parse_duration

Span = tuple[datetime, datetime]
DAY = timedelta(days=1)
# a year that was mistyped would squeeze every plot of time
FIRST, LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
UNITS = {"min": timedelta(minutes=1), "h": timedelta(hours=1), "d": DAY, "w": 7 * DAY}
WAYS = "2026-01-01/2026-02-01, 2026-01-01/P30D, P30D, 30d, 12h, 2026-Q1, 2026-03, last-month"


class WindowUnfit(WaystageError):
    """A window that is no span of time."""

    code = "E-WINDOW"


def parse_span(text: str, now: datetime, *, delay: timedelta = timedelta()) -> Span:
    """Read a window; it is half-open and in UTC.

    A length alone ends at `now - delay`, at the midnight or (below a day) the minute before it, as
    windows of monitors do. Calendar words are whole days of UTC, as seen at `now`. Raises
    `WindowUnfit`.
    """
    said = text.strip()
    try:
        span = (
            _interval(said) if "/" in said else _calendar(said, now) or _length(said, now - delay)
        )
    except (ValueError, OverflowError) as error:
        raise WindowUnfit(f"window {text!r}: {error}; write it as in {WAYS}") from error
    if span is None:
        raise WindowUnfit(f"window {text!r} is not understood; write it as in {WAYS}")
    if span[0] >= span[1]:
        raise WindowUnfit(f"window {text!r} ends before it begins, or as it does")
    if span[0] < FIRST or span[1] > LAST:
        raise WindowUnfit(f"window {text!r} is not between {FIRST:%Y} and {LAST:%Y}")
    return span


def _interval(said: str) -> Span:
    first, _, last = said.partition("/")
    if first.startswith("P"):
        end = _instant(last)
        return end - parse_duration(first), end
    start = _instant(first)
    return start, start + parse_duration(last) if last.startswith("P") else _instant(last)


def _instant(said: str) -> datetime:
    at = datetime.fromisoformat(said)
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _length(said: str, end: datetime) -> Span | None:
    if said.startswith("P"):
        length = parse_duration(said)
    elif found := re.fullmatch(r"(\d{1,6})(min|h|d|w)", said):
        length = int(found[1]) * UNITS[found[2]]
    else:
        return None
    end = end.astimezone(UTC).replace(second=0, microsecond=0)
    if length >= DAY:
        end = end.replace(hour=0, minute=0)
    return end - length, end


def _calendar(said: str, now: datetime) -> Span | None:
    if found := re.fullmatch(r"(this|last)-(week|month|quarter|year)", said):
        begin, step = STARTS[found[2]], -1 if found[1] == "last" else 0
        start = begin(_midnight(now), step)
        return start, begin(start, 1)
    if said in ("today", "yesterday"):
        start = _midnight(now) - DAY * (said == "yesterday")
        return start, start + DAY
    return _named(said)


def _named(said: str) -> Span | None:
    """Read a year, quarter, month, week or day by its name."""
    if found := re.fullmatch(r"(\d{4})-W(\d{2})", said):
        start = datetime.fromisocalendar(int(found[1]), int(found[2]), 1).replace(tzinfo=UTC)
        return start, start + 7 * DAY
    if found := re.fullmatch(r"(\d{4})-Q([1-4])", said):
        start = datetime(int(found[1]), 3 * int(found[2]) - 2, 1, tzinfo=UTC)
        return start, _quarter(start, 1)
    if found := re.fullmatch(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?", said):
        year, month, day = (int(part) if part else 0 for part in found.groups())
        start = datetime(year, month or 1, day or 1, tzinfo=UTC)
        return start, start + DAY if day else (_month if month else _year)(start, 1)
    return None


def _midnight(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _week(at: datetime, step: int) -> datetime:
    return at - at.weekday() * DAY + step * 7 * DAY


def _month(at: datetime, step: int) -> datetime:
    months = at.year * 12 + at.month - 1 + step
    return at.replace(year=months // 12, month=months % 12 + 1, day=1)


def _quarter(at: datetime, step: int) -> datetime:
    return _month(at, 3 * step - (at.month - 1) % 3)


def _year(at: datetime, step: int) -> datetime:
    return at.replace(year=at.year + step, month=1, day=1)


STARTS: dict[str, Callable[[datetime, int], datetime]] = {
    "week": _week, "month": _month, "quarter": _quarter, "year": _year,
}  # fmt: skip
