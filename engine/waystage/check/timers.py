"""Timers that can never fire, or fire on another day than is meant.

- E-CRON: the line is no cron line of five fields, or names a day that no month has.
- W-CRON-WEEKDAY: weekdays are numbers, which count from 0 for Monday here and from 0 for
  Sunday elsewhere.

Why it hurts: the run would wait for ever, or come on the wrong day. To mend it, write five
fields, minute hour day month weekday, and weekdays as names (`MON`).
"""

from __future__ import annotations

from collections.abc import Iterator

from waystage.check.cron import read_cron
from waystage.check.subject import Subject
from waystage.errors import Problem


def check(subject: Subject) -> Iterator[Problem]:
    """Read every cron line."""
    for place in subject.places:
        for name, timer in place.spec.timers.items():
            if timer.cron is None:
                continue
            path = place.at("timers", name, "cron")
            try:
                cron = read_cron(timer.cron)
            except ValueError as error:
                yield subject.problem("E-CRON", path, f"{timer.cron!r}: {error}")
                continue
            if not cron.possible:
                text = f"{timer.cron!r}: no month has such a day"
                yield subject.problem("E-CRON", path, text)
            if cron.numbered_weekday:
                text = f"{timer.cron!r}: weekdays as numbers count from 0 for Monday here"
                hint = "write names, as in MON or MON-FRI"
                yield subject.problem("W-CRON-WEEKDAY", path, text, hint)
