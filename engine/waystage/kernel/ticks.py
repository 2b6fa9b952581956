"""Timers that fire again and again: missed ticks, ticks while the work goes on, the next tick."""

from __future__ import annotations

from datetime import datetime, timedelta

from waystage.kernel.commands import SetTimer
from waystage.kernel.definition import Way
from waystage.kernel.events import Event
from waystage.kernel.macrostep import Macrostep
from waystage.spec.lifecycle import Timer

LATE = timedelta(minutes=1)  # later than this a tick was missed: no daemon was there


def tick(m: Macrostep, event: Event) -> None:
    """Raise the timer's event, unless the tick was missed and is not to be made up for."""
    timer = timer_of(m, event.state, event.name)
    late = m.now - _due(m, event)
    if timer is not None and timer.misfire == "skip" and late > LATE:
        m.record("missed", event.state, event.name, f"due at {event.data['due']}")
        return
    m.raise_(event.state, event.name, {"timer": event.name})


def overlaps(m: Macrostep, state: str, name: str, way: Way) -> bool:
    """Whether a tick leads to where the work of an earlier one is still going on."""
    timer = timer_of(m, state, name)
    if timer is None or not timer.recurs or m.event.kind != "timer":
        return False
    busy = {s for s, activity in m.run.activities.items() if activity} | m.run.waiting.keys()
    return any(s == way.target or s.startswith(f"{way.target}.") for s in busy)


def rearm(m: Macrostep, event: Event) -> None:
    """Set a recurring timer for its next tick, as long as its state lasts."""
    timer = timer_of(m, event.state, event.name)
    if timer is None or not timer.recurs or not m.current(event.state, event.entry):
        return
    due = None
    if timer.every is not None:  # counted from tick to tick, so that delays do not add up
        last = _due(m, event)
        due = last + timer.every * ((m.now - last) // timer.every + 1)
    m.order(SetTimer(event.state, event.entry, event.name, timer, due))


def timer_of(m: Macrostep, state: str, name: str) -> Timer | None:
    """Give the timer that a state has by that name."""
    return m.node(state).spec.timers.get(name)


def _due(m: Macrostep, event: Event) -> datetime:
    due = event.data.get("due")
    return datetime.fromisoformat(due) if due else m.now
