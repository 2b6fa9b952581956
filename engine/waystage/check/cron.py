"""Cron lines: five fields with numbers, names, ranges, steps and lists."""

from __future__ import annotations

import re
from dataclasses import dataclass

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
PART = re.compile(r"(?:(\*)|(\w+)(?:-(\w+))?)(?:/(\d+))?", re.ASCII)


@dataclass(frozen=True)
class Field:
    """One field of a line: its values run from `low` to `high`; names count from `low`."""

    title: str
    low: int
    high: int
    names: tuple[str, ...] = ()


FIELDS = (
    Field("minute", 0, 59),
    Field("hour", 0, 23),
    Field("day of month", 1, 31),
    Field("month", 1, 12, MONTHS),
    Field("day of week", 0, 6, WEEKDAYS),
)


@dataclass(frozen=True)
class Cron:
    """A line that was read: the values of its fields."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    numbered_weekday: bool

    @property
    def possible(self) -> bool:
        """Whether one of the months has one of the days."""
        return any(min(self.days) <= LONGEST[month - 1] for month in self.months)


def read_cron(line: str) -> Cron:
    """Read a line; raises `ValueError` naming the field and what is wrong with it."""
    words = line.split()
    if len(words) != len(FIELDS):
        raise ValueError(f"has {len(words)} fields, not 5: minute hour day month weekday")
    minutes, hours, days, months, weekdays = (
        _values(word, field) for word, field in zip(words, FIELDS, strict=True)
    )
    numbered = any(letter.isdigit() for letter in words[4].partition("/")[0])
    return Cron(minutes, hours, days, months, weekdays, numbered)


def _values(word: str, field: Field) -> frozenset[int]:
    return frozenset().union(*(_part(part, field) for part in word.split(",")))


def _part(part: str, field: Field) -> range:
    match = PART.fullmatch(part)
    if match is None:
        raise ValueError(f"{field.title}: {part!r} is no number, range or *")
    star, first, last, step = match.groups()
    if step is not None and int(step) == 0:
        raise ValueError(f"{field.title}: a step of 0 never ends")
    if step is not None and not star and last is None:
        raise ValueError(f"{field.title}: {part!r}: a step needs a range or *, as in */{step}")
    low = field.low if star else _number(first, field)
    high = field.high if star else _number(last or first, field)
    if low > high:
        raise ValueError(f"{field.title}: {part!r} runs backwards")
    if step is not None and int(step) > max(high - low, 1):
        raise ValueError(f"{field.title}: {part!r}: the step is longer than the range")
    return range(low, high + 1, int(step or 1))


def _number(word: str, field: Field) -> int:
    if word.lower() in field.names:
        return field.low + field.names.index(word.lower())
    if not word.isdigit() or not field.low <= int(word) <= field.high:
        names = f" or {field.names[0]}…{field.names[-1]}" if field.names else ""
        raise ValueError(f"{field.title}: {word!r} is not from {field.low} to {field.high}{names}")
    return int(word)
