"""Runs and lifecycles that a person has paused until a person lets them go on."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, insert, select, update

from waystage.store import schema as t
from waystage.store.work import HELD

EVERY = 0  # the run number of a pause of a whole lifecycle


def keep_pause(
    connection: Connection, run: int, lifecycle: str, by: str, reason: str, at: int
) -> None:
    """Keep who paused a run, or with `EVERY` a lifecycle, why, and since when."""
    row = {"run": run, "lifecycle": lifecycle, "by": by, "reason": reason, "since": at}
    connection.execute(insert(t.pauses).values(row))


def end_pause(connection: Connection, run: int, lifecycle: str, by: str, at: int) -> int:
    """End the pause of a run, or with `EVERY` of a lifecycle; answers how many there were."""
    p = t.pauses.c
    mine = (p.run == run) & (p.lifecycle == lifecycle) & p.ended_at.is_(None)
    ended = update(t.pauses).where(mine).values(ended_at=at, ended_by=by)
    return connection.execute(ended).rowcount


def pause_of(connection: Connection, lifecycle: str) -> Any:
    """Give who paused a lifecycle and why; None if nobody did."""
    p = t.pauses.c
    mine = (p.run == EVERY) & (p.lifecycle == lifecycle) & p.ended_at.is_(None)
    return connection.execute(select(p.by, p.reason).where(mine)).first()


def hold_work(connection: Connection, run: int) -> None:
    """Have no step of the run be due."""
    w = t.work.c
    mine = (w.run == run) & (w.due_at < HELD)
    connection.execute(update(t.work).where(mine).values(due_at=w.due_at + HELD))


def let_work_go(connection: Connection, run: int) -> None:
    """Have the run's steps be due when they were."""
    w = t.work.c
    mine = (w.run == run) & (w.due_at >= HELD)
    connection.execute(update(t.work).where(mine).values(due_at=w.due_at - HELD))


def open_runs_of(connection: Connection, lifecycle: str, after: int, limit: int) -> list[int]:
    """Give the numbers of a lifecycle's open runs, those behind a number, in order."""
    r = t.runs.c
    mine = (r.lifecycle == lifecycle) & (r.status == "open") & (r.no > after)
    query = select(r.no).where(mine).order_by(r.no).limit(limit)
    return list(connection.execute(query).scalars())


def paused_runs_of(connection: Connection, lifecycle: str, after: int, limit: int) -> list[int]:
    """Give the numbers of a lifecycle's paused runs, those behind a number, in order."""
    p = t.pauses.c
    mine = (p.lifecycle == lifecycle) & p.ended_at.is_(None) & (p.run > after)
    query = select(p.run).where(mine).order_by(p.run).limit(limit)
    return list(connection.execute(query).scalars())
