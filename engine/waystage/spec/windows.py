"""When a stage may be changed, as written: freezes and openings, once or every week."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import (
    Field,
    PlainSerializer,
    PlainValidator,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from waystage.spec.values import Spec, Zone

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
WEEK = timedelta(days=7)
_WEEKLY = re.compile(r"(?i)^(mon|tue|wed|thu|fri|sat|sun) ([01]\d|2[0-3]):([0-5]\d)$")
_INSTANT = TypeAdapter(datetime)


@dataclass(frozen=True, slots=True)
class WeekTime:
    """A time of every week, as the clocks of some zone show it; Monday is day 0."""

    day: int
    time: time

    def __str__(self) -> str:
        return f"{DAYS[self.day]} {self.time:%H:%M}"

    def after(self, other: WeekTime) -> timedelta:
        """Give how long after another one it is shown next: more than nothing, a week at most."""
        day = datetime.min + timedelta(days=self.day)
        before = datetime.min + timedelta(days=other.day)
        span = datetime.combine(day, self.time) - datetime.combine(before, other.time)
        return span if span > timedelta() else span + WEEK


def _moment(value: Any) -> datetime | WeekTime:
    if isinstance(value, WeekTime):
        return value
    found = _WEEKLY.match(value) if isinstance(value, str) else None
    if found:
        day = DAYS.index(found[1].capitalize())
        return WeekTime(day, time(int(found[2]), int(found[3])))
    try:
        return _INSTANT.validate_python(value)
    except ValidationError:
        text = "needs a time such as 2026-12-20T00:00, or one of the week such as Fri 18:00, not "
        raise ValueError(f"{text}{value!r:.60}") from None


Moment = Annotated[
    datetime | WeekTime,
    PlainValidator(_moment),
    PlainSerializer(lambda v: str(v) if isinstance(v, WeekTime) else v, return_type=datetime | str),
    WithJsonSchema({"anyOf": [
        {"type": "string", "format": "date-time"},
        {"type": "string", "pattern": "^[A-Za-z]{3} [0-2][0-9]:[0-5][0-9]$"},
    ]}),
]  # fmt: skip


class Span(Spec):
    """A half-open span of time, and why it is one; once, or every week (`Fri 18:00`).

    What `zone` says holds where no offset is. A local time that is skipped is the first instant
    after the change of the hour; one that is shown twice is the first of the two.
    """

    from_: Moment = Field(alias="from")
    to: Moment
    zone: Zone = "UTC"
    why: str = ""

    @model_validator(mode="after")
    def _forward(self) -> Span:
        if isinstance(self.from_, datetime) and isinstance(self.to, datetime):
            if (self.from_.tzinfo is None) != (self.to.tzinfo is None):
                raise ValueError("from: and to: both say an offset, or both leave it to zone:")
            if self.to <= self.from_:
                raise ValueError("to: is later than from:")
        elif type(self.from_) is not type(self.to):
            raise ValueError("from: and to: are both of one day, or both of every week")
        elif self.from_ == self.to:
            raise ValueError("to: is another time than from:")
        return self

    @property
    def weekly(self) -> bool:
        """Whether it comes every week."""
        return isinstance(self.from_, WeekTime)

    def holds(self, at: datetime) -> bool:
        """Whether an instant lies in it."""
        return any(start <= at < end for start, end in self._near(at))

    def next_edge(self, after: datetime) -> datetime | None:
        """Give the first instant after `after` at which it begins or ends, in UTC."""
        return min((edge for span in self._near(after) for edge in span if edge > after),
                   default=None)  # fmt: skip

    def _near(self, at: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Give its spans around an instant, the next that begins after it among them."""
        if isinstance(self.from_, datetime) and isinstance(self.to, datetime):
            yield self._instant(self.from_), self._instant(self.to)
        elif isinstance(self.from_, WeekTime) and isinstance(self.to, WeekTime):
            shown = at.astimezone(ZoneInfo(self.zone)).replace(tzinfo=None)
            monday = datetime.combine(shown.date() - timedelta(days=shown.weekday()), time())
            begin = datetime.combine(monday + timedelta(days=self.from_.day), self.from_.time)
            for week in (-1, 0, 1, 2):
                start = begin + week * WEEK
                yield self._instant(start), self._instant(start + self.to.after(self.from_))

    def _instant(self, given: datetime) -> datetime:
        if given.tzinfo is not None:
            return given.astimezone(UTC)
        local = given.replace(tzinfo=ZoneInfo(self.zone))
        instant = local.astimezone(UTC)
        shown = instant.astimezone(local.tzinfo).replace(tzinfo=None)
        return instant if shown == given else _change(local)


def _change(skipped: datetime) -> datetime:
    """Give the instant at which a zone's clocks skip a local time."""
    zone = skipped.tzinfo
    late = skipped.replace(fold=0).astimezone(UTC)  # reckoned with the offset before the change
    early = skipped.replace(fold=1).astimezone(UTC)
    after = late.astimezone(zone).utcoffset()
    while late - early > timedelta(seconds=1):
        middle = early + (late - early) / 2
        if middle.astimezone(zone).utcoffset() == after:
            late = middle
        else:
            early = middle
    return late.replace(microsecond=0)


class Freeze(Span):
    """A span in which nothing may change; a strict one holds for going back too."""

    strict: bool = False


class ChangeWindow(Spec):
    """A freeze (`deny`) or an opening (`allow`)."""

    deny: Freeze | None = None
    allow: Span | None = None

    @model_validator(mode="after")
    def _one(self) -> ChangeWindow:
        if (self.deny is None) == (self.allow is None):
            raise ValueError("says exactly one of deny, allow")
        return self

    @property
    def span(self) -> Span:
        """The span that it says, whichever it is."""
        found = self.deny or self.allow
        assert found
        return found
