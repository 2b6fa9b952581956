"""Timers that can never fire, or fire on another day than is meant.

- E-CRON: the line is no cron line of five fields, or names a day that no month has.
- W-CRON-WEEKDAY: weekdays are numbers, which count from 0 for Monday here and from 0 for
  Sunday elsewhere.
- E-TIMER-NEVER: another timer of the state, or of one around it, always leads out before this
  one is due; or the task is decided by its deadline before.

Why it hurts: the run would wait for ever, come on the wrong day, or never go the way that was
meant. To mend it, write five fields, minute hour day month weekday, and weekdays as names
(`MON`); give the timer that comes first a guard, or take the later one away.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from waystage.check.cron import read_cron
from waystage.check.flow import Raised
from waystage.check.places import Place, YamlPath
from waystage.check.subject import Subject
from waystage.errors import Problem


def check(subject: Subject) -> Iterator[Problem]:
    """Read every cron line and hold timers against each other."""
    yield from _lines(subject)
    if not subject.skeleton.nowhere:
        yield from _late(subject)


def _lines(subject: Subject) -> Iterator[Problem]:
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


def _late(subject: Subject) -> Iterator[Problem]:
    """Find timers that begin no sooner than one that always leads out before them."""
    nodes, leaving = subject.skeleton.definition.nodes, _leaving(subject)
    told: set[YamlPath] = set()
    timers = {(r.owner, r.event) for r in subject.flow.raised if r.kind == "timer"}
    for owner, event in sorted(timers):
        place = subject.skeleton.places[owner]
        path, span = place.at("timers", event), _span(place, event)
        for (other, first_event), first in leaving.items():
            around = f"{owner}.".startswith(f"{other}.")
            same = nodes[other].region == nodes[owner].region
            if span is not None and around and same and first < span and path not in told:
                told.add(path)
                text = f"never fires: {first_event!r} leads out of {other} before"
                yield subject.problem("E-TIMER-NEVER", path, text)


def _leaving(subject: Subject) -> dict[tuple[str, str], timedelta]:
    """Give the events that come after a known time and then always lead out of their state."""
    found: dict[tuple[str, str], timedelta] = {}
    staying: set[tuple[str, str]] = set()
    for raised in subject.flow.raised:
        key, place = (raised.owner, raised.event), subject.skeleton.places[raised.owner]
        span = _span(place, raised.event) if raised.kind == "timer" else _due(place, raised)
        if span is not None:
            found[key] = span
            targets = subject.flow.targets(raised)
            if not targets or any(f"{t}.".startswith(f"{raised.owner}.") for t in targets):
                staying.add(key)
    return {key: span for key, span in found.items() if key not in staying}


def _span(place: Place, name: str) -> timedelta | None:
    """Give how long after its state is entered a timer first fires, if that is known."""
    timer = place.spec.timers.get(name)
    if timer is None:
        return None
    return timer.after if timer.after is not None else timer.every


def _due(place: Place, raised: Raised) -> timedelta | None:
    """Give how long after its state is entered a deadline decides a task."""
    task = place.spec.task
    return task.due if task and task.on_timeout == raised.event else None
