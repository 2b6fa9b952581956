"""Questions to the store; each is one indexed query."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Select, exists, func, or_, select

from waystage.store import rows as r
from waystage.store import schema as t
from waystage.store.codec import instant, load_row, micros
from waystage.store.database import connect
from waystage.store.shared import answering


class Reader:
    """Reads of runs, history, tasks, incidents, placements and measurements."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def close(self) -> None:
        """Let go of the database."""
        self.engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection whose transaction only reads."""
        with self.engine.connect().execution_options(reads=True) as connection:
            yield connection

    def runs(
        self, *, service: str | None = None, status: str | None = None, limit: int = 200
    ) -> list[r.RunRow]:
        """Give runs, the newest first."""
        query = select(t.runs).order_by(t.runs.c.no.desc()).limit(limit)
        if service:
            query = query.where(t.runs.c.service == service)
        if status:
            query = query.where(t.runs.c.status == status)
        return [_run(row) for row in self._all(query)]

    def run(self, run: str) -> r.RunRow | None:
        """Give one run by its id."""
        return next(
            (_run(row) for row in self._all(select(t.runs).where(t.runs.c.id == run))), None
        )

    def children(self, run: str) -> list[r.RunRow]:
        """Give the runs that a run called, the oldest first."""
        mine = t.runs.c.opened_by.startswith(f"child/{run}/", autoescape=True)
        return [_run(row) for row in self._all(select(t.runs).where(mine).order_by(t.runs.c.no))]

    def waits(self, run: str | None = None) -> list[tuple[str, r.TimerRow]]:
        """Give what waits for its stage to be open: the run's id, and a timer that says why."""
        query = select(t.timers, t.runs.c.id.label("run_id")).join(
            t.runs, t.runs.c.no == t.timers.c.run
        )
        query = query.where(t.timers.c.name == "@window").order_by(t.timers.c.due_at)
        if run:
            query = query.where(t.runs.c.id == run)
        return [(row.run_id, timer_of(row)) for row in self._all(query)]

    def stops(self) -> list[dict[str, Any]]:
        """Give the stages that a person has closed, the oldest first."""
        s = t.stops.c
        query = select(s.stage, s.by, s.reason, s.strict, s.since).where(s.ended_at.is_(None))
        return [
            {"stage": row.stage, "by": row.by, "reason": row.reason, "strict": bool(row.strict),
             "since": instant(row.since)}
            for row in self._all(query.order_by(s.id))
        ]  # fmt: skip

    def pauses(self) -> list[dict[str, Any]]:
        """Give what a person has paused: runs, and lifecycles as a whole (`run` is empty)."""
        p = t.pauses.c
        query = select(t.pauses, t.runs.c.id.label("run_id")).where(p.ended_at.is_(None))
        query = query.join(t.runs, t.runs.c.no == p.run, isouter=True).order_by(p.id)
        return [
            {"run": row.run_id or "", "lifecycle": row.lifecycle, "by": row.by,
             "reason": row.reason, "since": instant(row.since)}
            for row in self._all(query)
        ]  # fmt: skip

    def run_body(self, run: str) -> dict[str, Any] | None:
        """Give the whole value of one run."""
        found = self._all(select(t.runs.c.body).where(t.runs.c.id == run))
        return load_row(found[0].body) if found else None

    def history(self, run: str, *, after: int = 0, limit: int = 10_000) -> list[r.HistoryRow]:
        """Give a run's history, the oldest first."""
        query = (
            select(t.history)
            .join(t.runs, t.runs.c.no == t.history.c.run)
            .where(t.runs.c.id == run, t.history.c.seq > after)
            .order_by(t.history.c.seq)
            .limit(limit)
        )
        return [_history(run, row) for row in self._all(query)]

    def tasks(
        self, *, open_only: bool = True, run: str | None = None, limit: int = 500
    ) -> list[r.TaskRow]:
        """Give tasks, the oldest first."""
        query = _with_run(t.tasks).order_by(t.tasks.c.opened_at).limit(limit)
        if open_only:
            query = query.where(t.tasks.c.status == "open")
        if run:
            query = query.where(t.runs.c.id == run)
        return [_task(row) for row in self._all(query)]

    def task(self, task: int) -> r.TaskRow | None:
        """Give one task."""
        return next(
            (_task(x) for x in self._all(_with_run(t.tasks).where(t.tasks.c.id == task))), None
        )

    def incidents(
        self, chosen: r.Chosen = r.ALL, *, open_only: bool = True, run: str | None = None,
        after: int = 0, limit: int = 500,
    ) -> list[r.IncidentRow]:  # fmt: skip
        """Give incidents, the oldest first, those behind a number."""
        query = _with_run(t.incidents).where(*_fit(chosen, open_only), t.incidents.c.id > after)
        query = query.order_by(t.incidents.c.id).limit(limit)
        if run:
            query = query.where(t.runs.c.id == run)
        return [_incident(row) for row in self._all(query)]

    def count_incidents(self, chosen: r.Chosen, *, open_only: bool = True) -> int:
        """Count incidents."""
        counted = select(func.count()).select_from(t.incidents)
        counted = counted.join(t.runs, t.runs.c.no == t.incidents.c.run)
        return int(self._all(counted.where(*_fit(chosen, open_only)))[0][0])

    def incident(self, incident: int) -> r.IncidentRow | None:
        """Give one incident."""
        query = _with_run(t.incidents).where(t.incidents.c.id == incident)
        return next((_incident(row) for row in self._all(query)), None)

    def placements(
        self, *, service: str | None = None, at: datetime | None = None, history: bool = False,
        drifted: bool = False, place: tuple[str, str] | None = None,
    ) -> list[r.PlacementRow]:  # fmt: skip
        """Give where snapshots run now, or ran at an instant, or ever.

        With `drifted` only what is not as it should be, or cannot be looked at; with `place` (stage
        and runtime) only what is online there. At an instant the roles are those of then, and how
        it went is not told: only the last look is kept.
        """
        p = t.placements.c
        query = select(t.placements, t.runs.c.id.label("run_id")).join(t.runs, t.runs.c.no == p.run)
        if service:
            query = query.where(p.service == service)
        if place is not None:
            query = query.where(p.stage == place[0], p.runtime == place[1], p.mode == "online")
        if drifted:
            query = query.where(p.state.not_in(("", "ok")))
        if at is not None:
            when = micros(at)
            query = query.where(p.since <= when, (p.until.is_(None)) | (p.until > when))
        elif not history:
            query = query.where(p.until.is_(None))
        found = [_placement(row) for row in self._all(query.order_by(p.since.desc(), p.id.desc()))]
        return found if at is None else _as_of_then(found)

    def measurements(
        self, *, service: str | None = None, monitor: str | None = None, limit: int = 500
    ) -> list[r.MeasurementRow]:
        """Give the newest measurements, the oldest of them first."""
        m = t.measurements.c
        query = select(t.measurements, t.runs.c.id.label("run_id")).join(
            t.runs, t.runs.c.no == m.run
        )
        if service:
            query = query.where(m.service == service)
        if monitor:
            query = query.where(m.monitor == monitor)
        found = self._all(query.order_by(m.id.desc()).limit(limit))
        return [_measurement(row) for row in reversed(found)]

    def timers_of(self, run: str) -> list[r.TimerRow]:
        """Give the timers that a run waits for, the earliest first."""
        query = (
            select(t.timers)
            .join(t.runs, t.runs.c.no == t.timers.c.run)
            .where(t.runs.c.id == run)
            .order_by(t.timers.c.due_at)
        )
        return [timer_of(row) for row in self._all(query)]

    def at_work(self, run: str) -> list[dict[str, Any]]:
        """Give the steps of a run that are called or wait to be: state, use, attempt, said.

        `said` is what the step left for people with its last `Waiting`, as `said` of its memo.
        """
        query = (
            select(t.work.c.body, t.work.c.memo)
            .join(t.runs, t.runs.c.no == t.work.c.run)
            .where(t.runs.c.id == run)
            .order_by(t.work.c.slot)
        )
        found = []
        for row in self._all(query):
            order, memo = load_row(row.body), load_row(row.memo) or {}
            told = {name: order.get(name) for name in ("state", "use", "attempt")}
            found.append(told | {"said": str(memo.get("said") or "")})
        return found

    def keys_at_work(self, of: Collection[str] = ()) -> frozenset[str]:
        """Give the keys of steps that are called or wait to be, for the runs of these keys.

        A step's key begins with its run's id and a slash. Without keys, of all runs: then every
        order is read.
        """
        query = select(t.work.c.body)
        if of:
            runs = sorted({key.partition("/")[0] for key in of})
            query = query.join(t.runs, t.runs.c.no == t.work.c.run).where(t.runs.c.id.in_(runs))
        return frozenset(load_row(row.body)["key"] for row in self._all(query))

    def snapshots(self) -> list[dict[str, Any]]:
        """Give every snapshot that a repository has shown."""
        return [
            load_row(row.body)
            for row in self._all(select(t.snapshots.c.body).order_by(t.snapshots.c.at))
        ]

    def cursor(self, repository: str) -> dict[str, Any] | None:
        """Give how far a repository was looked at; None before the first look."""
        query = select(t.cursors.c.body).where(t.cursors.c.repository == repository)
        found = self._all(query)
        return load_row(found[0].body) if found else None

    def due_messages(self, now: int, limit: int) -> list[Any]:
        """Give the messages of the outbox that are due, the oldest first.

        What a run says waits for what it said before, which may be due again only later.
        """
        o, before = t.outbox.c, t.outbox.alias()
        earlier = exists().where(
            before.c.run == o.run, before.c.sent_at.is_(None), before.c.id < o.id,
            before.c.due_at > now,
        )  # fmt: skip
        due = select(t.outbox).where(o.sent_at.is_(None), o.due_at <= now)
        query = due.where(or_(o.run == "", ~earlier)).order_by(o.id)
        return self._all(query.limit(limit))

    def definition(self, digest: str) -> dict[str, Any] | None:
        """Give a lifecycle as it was when runs were pinned to it."""
        found = self._all(select(t.definitions.c.body).where(t.definitions.c.hash == digest))
        return load_row(found[0].body) if found else None

    def newest_definition(self, lifecycle: str) -> str | None:
        """Give the hash of the newest text of the lifecycle that a run has followed."""
        d = t.definitions.c
        query = select(d.hash).where(d.lifecycle == lifecycle).order_by(d.at.desc()).limit(1)
        found = self._all(query)
        return str(found[0].hash) if found else None

    def definitions_of(self, lifecycle: str) -> list[str]:
        """Give the hashes of all texts of the lifecycle that runs have followed."""
        d = t.definitions.c
        return [row.hash for row in self._all(select(d.hash).where(d.lifecycle == lifecycle))]

    def open_lifecycles(self) -> dict[str, int]:
        """Count the open runs of each lifecycle."""
        r = t.runs.c
        counted = select(r.lifecycle, func.count().label("runs")).where(r.status == "open")
        return {row.lifecycle: row.runs for row in self._all(counted.group_by(r.lifecycle))}

    def open_runs(self, lifecycle: str) -> list[dict[str, Any]]:
        """Give the whole values of a lifecycle's open runs, the oldest first."""
        r = t.runs.c
        query = select(r.body).where(r.lifecycle == lifecycle, r.status == "open")
        return [load_row(row.body) for row in self._all(query.order_by(r.no))]

    def _all(self, query: Select[Any]) -> list[Any]:
        with answering(), self.reading() as connection:
            return list(connection.execute(query))


def reading_only(url: str) -> Reader:
    """Open a database for reading, whoever is at work on it; its tables are left as they are."""
    return Reader(connect(url, session=False))


def _as_of_then(found: list[r.PlacementRow]) -> list[r.PlacementRow]:
    """Give placements, the newest first, with the roles that they had while all of them stood.

    Of those that ever were champion the newest was it then: it makes the others previous, and its
    end makes the newest of them champion again.
    """
    then, taken = [], set()
    for row in found:
        role, place = row.role, (row.service, row.stage, row.mode)
        if role in ("champion", "previous"):
            role = "previous" if place in taken else "champion"
            taken.add(place)
        then.append(
            replace(row, role=role, seen="", seen_why="", state="", state_since=None, drift={})
        )
    return then


def _with_run(table: Any) -> Select[Any]:
    run = t.runs.c
    return select(table, run.id.label("run_id"), run.service, run.snapshot, run.lifecycle).join(
        t.runs, run.no == table.c.run
    )


def _fit(chosen: r.Chosen, open_only: bool) -> list[Any]:
    i, run = t.incidents.c, t.runs.c
    given = {i.kind: chosen.kind, i.state: chosen.state, run.lifecycle: chosen.lifecycle,
             run.service: chosen.service, run.id: chosen.run}  # fmt: skip
    found = [column == value for column, value in given.items() if value]
    if chosen.since is not None:
        found.append(i.opened_at >= micros(chosen.since))
    return [*found, i.closed_at.is_(None)] if open_only else found


def _run(row: Any) -> r.RunRow:
    return r.RunRow(
        row.no, row.id, row.lifecycle, row.definition, row.service, row.snapshot, row.status,
        row.outcome, tuple(row.places.split(",")) if row.places else (), row.revision,
        instant(row.opened_at), instant(row.changed_at),
    )  # fmt: skip


def _history(run: str, row: Any) -> r.HistoryRow:
    body = load_row(row.body)
    return r.HistoryRow(
        run,
        row.seq,
        instant(row.at),
        row.actor,
        body["event"],
        body.get("records", []),
        row.hash.hex(),
    )


def _when(micro: int | None) -> datetime | None:
    return None if micro is None else instant(micro)


def _task(row: Any) -> r.TaskRow:
    return r.TaskRow(
        row.id, row.run, row.run_id, row.state, row.entry, row.stage, row.service, row.snapshot,
        row.status, row.outcome, row.closed_by, row.claimed_by, load_row(row.body),
        instant(row.opened_at), _when(row.closed_at),
    )  # fmt: skip


def _incident(row: Any) -> r.IncidentRow:
    return r.IncidentRow(
        row.id, row.run, row.run_id, row.service, row.state, row.kind, row.message,
        instant(row.opened_at), _when(row.closed_at), row.how, row.closed_by, row.reason,
        row.lifecycle,
    )  # fmt: skip


def _placement(row: Any) -> r.PlacementRow:
    return r.PlacementRow(
        row.service, row.stage, row.runtime, row.mode, row.role, row.snapshot, row.digest,
        row.run_id, instant(row.since), _when(row.until), _when(row.verified_at),
        load_row(row.body),
        row.id, row.seen, row.seen_why, row.run, row.state, _when(row.state_since),
        load_row(row.drift) or {},
    )  # fmt: skip


def _measurement(row: Any) -> r.MeasurementRow:
    return r.MeasurementRow(
        row.monitor, row.use, row.service, row.stage, row.snapshot, instant(row.start),
        instant(row.end), row.run_id, row.verdict, load_row(row.body), instant(row.at),
    )  # fmt: skip


def timer_of(row: Any) -> r.TimerRow:
    """Read a row of the timers; raises `Spoiled` for one that was changed from outside."""
    spec = load_row(row.spec, "timer", row.run)
    return r.TimerRow(row.run, row.state, row.name, row.entry, instant(row.due_at), spec)
