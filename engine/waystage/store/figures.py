"""Figures about all runs, each by one query over an index: for metrics and readiness."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

from sqlalchemy import Connection, Select, func, select

from waystage.store import schema as t
from waystage.store.drift import count_states
from waystage.store.reads import Reader
from waystage.store.shared import answering
from waystage.store.work import HELD

LEAD_DAYS = 30
DAY = 86_400_000_000
Labelled: TypeAlias = dict[tuple[str, ...], float]


@dataclass(slots=True)
class Figures:
    """Gauges by their labels; ages and spans are seconds."""

    runs: Labelled = field(default_factory=dict)  # lifecycle, status
    paused: Labelled = field(default_factory=dict)  # lifecycle
    state_runs: Labelled = field(default_factory=dict)  # lifecycle, places
    state_oldest: Labelled = field(default_factory=dict)
    incidents: Labelled = field(default_factory=dict)  # lifecycle, kind
    tasks: Labelled = field(default_factory=dict)  # lifecycle
    task_oldest: Labelled = field(default_factory=dict)
    queued: Labelled = field(default_factory=dict)  # what: steps, timers, messages
    queue_oldest: Labelled = field(default_factory=dict)
    deployed: Labelled = field(default_factory=dict)  # stage, state
    leads: Labelled = field(default_factory=dict)  # stage: promotions of the last 30 days
    lead_seconds: Labelled = field(default_factory=dict)


def figures(reader: Reader, now: int) -> Figures:
    """Read all figures; `now` is the lifecycle's time in microseconds."""
    found = Figures()
    with answering(), reader.reading() as connection:
        _runs(connection, found, now)
        _people(connection, found, now)
        _queues(connection, found, now)
        _leads(connection, found, now)
        found.deployed = count_states(connection)
    return found


def lag(reader: Reader, now: int) -> float:
    """Give for how many seconds the oldest due step or timer waits to be taken."""
    found = Figures()
    with answering(), reader.reading() as connection:
        _queues(connection, found, now)
    return max(found.queue_oldest[("steps",)], found.queue_oldest[("timers",)])


def _runs(connection: Connection, found: Figures, now: int) -> None:
    r, p = t.runs.c, t.pauses.c
    counted = select(r.lifecycle, r.status, func.count()).group_by(r.lifecycle, r.status)
    found.runs = _by_labels(connection, counted)
    query = select(r.lifecycle, r.places, func.count(), func.min(r.there_since))
    query = query.where(r.status == "open").group_by(r.lifecycle, r.places)
    for lifecycle, places, count, oldest in connection.execute(query):
        found.state_runs[lifecycle, places] = count
        found.state_oldest[lifecycle, places] = _age(now, oldest)
    held = select(p.lifecycle, func.count()).where(p.ended_at.is_(None), p.run > 0)
    found.paused = _by_labels(connection, held.group_by(p.lifecycle))


def _people(connection: Connection, found: Figures, now: int) -> None:
    r, i, k = t.runs.c, t.incidents.c, t.tasks.c
    counted = select(r.lifecycle, i.kind, func.count()).join(t.incidents, i.run == r.no)
    counted = counted.where(i.closed_at.is_(None)).group_by(r.lifecycle, i.kind)
    found.incidents = _by_labels(connection, counted)
    query = select(r.lifecycle, func.count(), func.min(k.opened_at)).join(t.tasks, k.run == r.no)
    query = query.where(k.status == "open").group_by(r.lifecycle)
    for lifecycle, count, oldest in connection.execute(query):
        found.tasks[(lifecycle,)] = count
        found.task_oldest[(lifecycle,)] = _age(now, oldest)


def _queues(connection: Connection, found: Figures, now: int) -> None:
    w, x, o = t.work.c, t.timers.c, t.outbox.c
    due = {
        "steps": select(func.count(), func.min(w.due_at)).where(
            w.owner.is_(None), w.due_at <= now, w.due_at < HELD),
        "timers": select(func.count(), func.min(x.due_at)).where(x.due_at <= now),
        "messages": select(func.count(), func.min(o.due_at)).where(
            o.sent_at.is_(None), o.due_at <= now),
    }  # fmt: skip
    for name, query in due.items():
        count, oldest = connection.execute(query).one()
        found.queued[(name,)] = count
        found.queue_oldest[(name,)] = _age(now, oldest)


def _leads(connection: Connection, found: Figures, now: int) -> None:
    r, p = t.runs.c, t.placements.c
    query = select(p.stage, func.count(), func.sum(p.since - r.opened_at))
    query = query.join(t.runs, r.no == p.run).where(p.role.in_(("champion", "previous")))
    query = query.where(p.since >= now - LEAD_DAYS * DAY).group_by(p.stage)
    for stage, count, total in connection.execute(query):
        found.leads[(stage,)] = count
        found.lead_seconds[(stage,)] = float(total) / 1e6


def _by_labels(connection: Connection, query: Select[Any]) -> Labelled:
    return {tuple(map(str, row[:-1])): float(row[-1]) for row in connection.execute(query)}


def _age(now: int, then: int | None) -> float:
    return 0.0 if then is None else max(0.0, (now - then) / 1e6)
