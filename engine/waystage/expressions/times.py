"""Timestamps and durations: reading, writing, and their parts."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Any

from waystage.expressions.errors import Failed

_TIMESTAMP = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII
)
_GO_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(h|ms|m|s|us|µs|ns)", re.ASCII)
_GO = re.compile(rf"([+-]?)((?:(?:{_GO_PART.pattern})+)|0)", re.ASCII)
_ISO = re.compile(
    r"P(?=.)(?:(\d+)W)?(?:(\d+)D)?(?:T(?=.)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?", re.ASCII
)
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_LONGEST = timedelta(seconds=315_576_000_000)  # ten thousand years, as CEL has it
_OFFSET = re.compile(r"([+-]?)(\d\d):(\d\d)", re.ASCII)


def read_timestamp(text: str) -> datetime:
    """Read an RFC 3339 instant; digits below a microsecond are cut off."""
    if not _TIMESTAMP.fullmatch(text):
        raise Failed(f"{text[:60]!r} is no instant such as 2026-12-20T00:00:00Z")
    cut = re.sub(r"(\.\d{6})\d+", r"\1", text.upper())
    try:
        return datetime.fromisoformat(cut).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Failed(f"{text[:60]!r} is no instant of the calendar") from None


def read_duration(text: str) -> timedelta:
    """Read a span as CEL writes it (`90s`, `1h30m`) or in ISO 8601 (`P7D`, `PT30S`)."""
    try:
        if match := _ISO.fullmatch(text):
            weeks, days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
            span = timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
            return within(span)
        if match := _GO.fullmatch(text):
            parts = _GO_PART.findall(text)
            span = sum((timedelta(seconds=float(n) * _SECONDS[u]) for n, u in parts), timedelta())
            return within(-span if match[1] == "-" else span)
    except OverflowError:
        raise Failed(f"{text[:60]!r} is longer than the calendar") from None
    raise Failed(f"{text[:60]!r} is no duration such as P7D, PT30S or 90s")


def within(span: timedelta) -> timedelta:
    """Give the span back; more than ten thousand years is an error."""
    if abs(span) > _LONGEST:
        raise Failed("the result is longer than ten thousand years")
    return span


def write_timestamp(value: datetime) -> str:
    """Write an instant in UTC as RFC 3339."""
    text = (value.astimezone(UTC) if value.tzinfo else value).isoformat()
    return text.replace("+00:00", "Z")


def write_seconds(value: timedelta) -> str:
    """Write a span as CEL does: `5400s`, `0.25s`."""
    whole, micro = divmod(abs(value) // timedelta(microseconds=1), 1_000_000)
    sign = "-" if value < timedelta() else ""
    fraction = f".{micro:06d}".rstrip("0") if micro else ""
    return f"{sign}{whole}{fraction}s"


def write_duration(value: timedelta) -> str:
    """Write a span in ISO 8601, as the rest of the language has it: `P1DT2H`."""
    whole, micro = divmod(abs(value) // timedelta(microseconds=1), 1_000_000)
    days, rest = divmod(whole, 86400)
    hours, rest = divmod(rest, 3600)
    minutes, seconds = divmod(rest, 60)
    second = f"{seconds}.{micro:06d}".rstrip("0").rstrip(".") if micro else str(seconds)
    clock = "".join(
        f"{number}{unit}"
        for number, unit in ((hours, "H"), (minutes, "M"), (second, "S"))
        if str(number) != "0"
    )
    text = f"P{days}D" if days else "P"
    sign = "-" if value < timedelta() else ""
    return sign + text + (f"T{clock}" if clock else "") if days or clock else "PT0S"


TIMESTAMP_PARTS: dict[str, Callable[[datetime], int]] = {
    "getFullYear": lambda t: t.year,
    "getMonth": lambda t: t.month - 1,
    "getDate": lambda t: t.day,
    "getDayOfMonth": lambda t: t.day - 1,
    "getDayOfWeek": lambda t: t.isoweekday() % 7,
    "getDayOfYear": lambda t: t.timetuple().tm_yday - 1,
    "getHours": lambda t: t.hour,
    "getMinutes": lambda t: t.minute,
    "getSeconds": lambda t: t.second,
    "getMilliseconds": lambda t: t.microsecond // 1000,
}
_UNITS = {
    "getHours": timedelta(hours=1),
    "getMinutes": timedelta(minutes=1),
    "getSeconds": timedelta(seconds=1),
}


def part(name: str, value: Any, zone: str = "UTC") -> int:
    """Answer `value.getHours()` and its like; a span answers in whole units."""
    if isinstance(value, datetime):
        try:
            return TIMESTAMP_PARTS[name](value.astimezone(_zone(zone)))
        except OverflowError:
            raise Failed("the result is beyond the calendar") from None
    if name == "getMilliseconds":
        return int(abs(value).microseconds // 1000) * (-1 if value < timedelta() else 1)
    quotient = abs(value) // _UNITS[name]
    return int(-quotient if value < timedelta() else quotient)


@lru_cache(maxsize=64)
def _zone(name: str) -> tzinfo:
    from zoneinfo import ZoneInfo

    if match := _OFFSET.fullmatch(name):
        span = timedelta(hours=int(match[2]), minutes=int(match[3]))
        if span < timedelta(days=1):
            return timezone(-span if match[1] == "-" else span)
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        raise Failed(f"{name[:60]!r} is not an IANA time zone such as Europe/Berlin") from None
