"""Recorded events of a run played through another text: where it would have gone differently.

The changed lifecycle keeps its own timers by its own delays. A lease is granted and a stage
opens when it did in the history, or at once if the history never asked for it. An answer that
the history does not have is not made up: the run waits for it, and later events that it has no
use for are counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from waystage.kernel import Definition, Event, Run, advance, events
from waystage.kernel import commands as c
from waystage.kernel.migration import MIGRATED
from waystage.planning.carry import carried
from waystage.spec.lifecycle import Timer

# the replay has its own timers, and is never paused
OWN = frozenset({"timer", "note", MIGRATED, "pause", "resume"})
NextFire = Callable[[Timer, datetime], datetime | None]


@dataclass(frozen=True, slots=True)
class Recorded:
    """One row of a history."""

    seq: int
    at: datetime
    event: Event


@dataclass(frozen=True, slots=True)
class Row:
    """Where the run was after a recorded event, and where it would have been."""

    seq: int
    at: datetime
    event: str
    was: tuple[str, ...]
    now: tuple[str, ...]
    used: bool  # whether the changed text had a use for the event

    @property
    def differs(self) -> bool:
        """Whether the places are others."""
        return self.was != self.now


@dataclass
class Rerun:
    """What a replay came to."""

    rows: list[Row] = field(default_factory=list)
    waits: list[str] = field(default_factory=list)

    @property
    def first(self) -> Row | None:
        """The first row at which the ways part."""
        return next((row for row in self.rows if row.differs), None)

    @property
    def unused(self) -> int:
        """How many recorded events the changed text had no use for."""
        return sum(not row.used for row in self.rows)


def rerun(
    old: Callable[[str], Definition],
    new: Definition,
    history: Iterable[Recorded],
    next_fire: NextFire,
) -> Rerun:
    """Play a whole history; `old` gives definitions by hash. Nothing outside is touched."""
    found, known = Rerun(), list(history)
    opened = Run.from_json(known[0].event.data["opened"])
    definition, was = old(opened.definition), opened
    now = _Player(new, _reopened(definition, new, opened), next_fire)
    for each in known:
        if each.event.kind == MIGRATED:
            target = old(each.event.data["to"])
            was = advance(target, was, each.event, each.at).run
            definition = target if was.definition == target.hash else definition
        else:
            before = was
            was = advance(definition, was, each.event, each.at).run
            used = now.take(each, definition, before, was)
            row = Row(each.seq, each.at, said(each.event), _places(was), _places(now.run), used)
            found.rows.append(row)
    found.waits = now.waits()
    return found


def _reopened(old: Definition, new: Definition, opened: Run) -> Run:
    values = carried(old.spec, new.spec, opened.params, opened.data, {})
    params, data = opened.params | values.params, opened.data | values.data
    return replace(opened.fork(), definition=new.hash, params=params, data=data)


def _places(run: Run) -> tuple[str, ...]:
    return tuple(run.places) if run.status == "open" else (f"ended: {run.outcome}",)


class _Player:
    """The run under the changed text, with its own timers."""

    def __init__(self, definition: Definition, run: Run, next_fire: NextFire) -> None:
        self._definition, self.run, self._next_fire = definition, run, next_fire
        self._timers: dict[tuple[str, str], tuple[datetime, int]] = {}
        self._recorded = run

    def take(self, each: Recorded, old: Definition, before: Run, after: Run) -> bool:
        """Let the time pass until the event, then play it if there is a use for it."""
        self._recorded = after
        self._until(each.at)
        if each.event.kind in OWN:
            return True
        event = self._translated(each.event, old, before)
        if event is None or self.run.status == "ended":
            return False
        self._play(event, each.at)
        return True

    def waits(self) -> list[str]:
        """Say what the run waits for at the end."""
        found = []
        for state, activity in self.run.activities.items():
            if activity.get("busy"):
                node = self._definition.nodes[state]
                names = node.spec.verify or tuple(work.spec.use for work in node.works)
                found.append(f"{state}: the answer of {names[activity['index']]}")
            elif activity.get("task"):
                found.append(f"{state}: the task “{activity['body']['title']}”")
        for (state, name), (due, _) in self._timers.items():
            if not name.startswith("@"):
                found.append(f"{state}: timer {name} at {due.isoformat(timespec='minutes')}")
        return found + [f"{s}: parked, {i['message']}" for s, i in self.run.incidents.items()]

    def _until(self, at: datetime) -> None:
        while self.run.status == "open" and self._timers:
            (state, name), (due, entry) = min(self._timers.items(), key=lambda item: item[1][0])
            if due > at:
                return
            del self._timers[state, name]
            self._play(events.timer_fired(state, entry, name, due.isoformat()), due)

    def _play(self, event: Event, at: datetime) -> None:
        todo = [event]
        while todo:
            step = advance(self._definition, self.run, todo.pop(0), at)
            self.run = step.run
            for command in step.commands:
                todo += self._carry_out(command, at)

    def _carry_out(self, command: c.Command, at: datetime) -> Sequence[Event]:
        if isinstance(command, c.TakeLease):
            waits = command.state in self._recorded.waiting  # then the history has the answer
            return () if waits else [events.lease_granted(command.state, command.entry)]
        if isinstance(command, c.AskStage):
            asks = self._recorded.activities.get(command.state, {}).get("asks")
            state, entry = command.state, command.entry
            return () if asks else [events.stage_answered(state, entry, "open")]
        if isinstance(command, c.SetTimer):
            due = command.due or (self._next_fire(command.spec, at) if command.spec else None)
            if due is not None:
                self._timers[command.state, command.name] = (due, command.entry)
        elif isinstance(command, c.CancelTimers):
            gone = [key for key in self._timers if key[0] == command.state]
            for key in gone:
                del self._timers[key]
        return ()

    def _translated(self, event: Event, old: Definition, before: Run) -> Event | None:
        """Address the event to the same work of the same state, if that waits for it here."""
        if event.kind in ("start", "signal") or event.kind == "incident.abort":
            return event
        state = event.state
        if before.entered.get(state) != event.entry and not event.kind.startswith("incident."):
            return None  # it was too late then, too
        entry, activity = self.run.entered.get(state), self.run.activities.get(state, {})
        if entry is None:
            return None
        if event.kind.startswith("incident."):
            return event if state in self.run.incidents else None
        if event.kind.startswith("step."):
            index = self._index(old, state, int(event.name))
            fits = activity.get("busy") and activity["index"] == index
            return replace(event, entry=entry, name=str(index)) if fits else None
        if event.kind == "vote":
            body = activity.get("body", {})
            return replace(event, entry=entry) if event.name in body.get("outcomes", ()) else None
        awaited = {"lease": state in self.run.waiting, "stage": bool(activity.get("asks"))}
        fits = awaited.get(event.kind, bool(activity.get("child")))
        return replace(event, entry=entry) if fits else None

    def _index(self, old: Definition, state: str, index: int) -> int | None:
        """Find the same step, by id or plugin, or the same monitor in the changed text."""
        was, now = old.nodes[state], self._definition.nodes[state]
        if was.spec.verify and now.spec.verify:
            name = was.spec.verify[index]
            return now.spec.verify.index(name) if name in now.spec.verify else None
        if not was.works or not now.works:
            return None
        key = _key(was.works[index].spec)
        same = [work.index for work in was.works if _key(work.spec) == key].index(index)
        found = [work.index for work in now.works if _key(work.spec) == key]
        return found[same] if same < len(found) else None


def _key(step: object) -> tuple[object, object]:
    return getattr(step, "use", ""), getattr(step, "id", None)


def said(event: Event) -> str:
    """Say in few words what happened."""
    where = f" in {event.state}" if event.state else ""
    name = event.name if not event.kind.startswith("step.") else ""
    return f"{event.kind} {name}".rstrip() + where
