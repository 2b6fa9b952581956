"""What a stage's answer goes by: its stops, and what was verified of a snapshot."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, insert, select, update

from waystage.store import schema as t


def stop_stage(connection: Connection, **row: Any) -> None:
    """Keep who closed a stage, why, and since when."""
    connection.execute(insert(t.stops).values(**row))


def open_stage(connection: Connection, stage: str, by: str, at: int) -> int:
    """End every stop of a stage; answers how many there were."""
    s = t.stops.c
    mine = (s.stage == stage) & s.ended_at.is_(None)
    return connection.execute(update(t.stops).where(mine).values(ended_at=at, ended_by=by)).rowcount


def stops_of(connection: Connection, stage: str) -> list[Any]:
    """Give the stops of a stage that hold, the oldest first.

    They stay as they are until the transaction ends: a run that waits for one is seen by
    whoever ends it.
    """
    s = t.stops.c
    query = select(t.stops).where(s.stage == stage, s.ended_at.is_(None)).order_by(s.id)
    return list(connection.execute(query.with_for_update(read=True)))


def waiting_for_stages(connection: Connection, timer: str) -> list[Any]:
    """Give run, state and entry of everything that waits for its stage to be open."""
    w = t.timers.c
    return list(connection.execute(select(w.run, w.state, w.entry).where(w.name == timer)))


def was_verified(connection: Connection, service: str, stage: str, snapshot: str) -> bool:
    """Whether a snapshot passed its checks in a stage at any time."""
    p = t.placements.c
    here = (p.service == service) & (p.stage == stage) & (p.snapshot == snapshot)
    query = select(p.id).where(here, p.verified_at.is_not(None)).limit(1)
    return connection.execute(query).first() is not None


def signatures_of(connection: Connection, snapshot: str, signer: str) -> set[tuple[str, str]]:
    """Give digest and keys' mark of every signature of a signer that was verified."""
    s = t.signatures.c
    query = select(s.digest, s.mark).where(s.snapshot == snapshot, s.signer == signer)
    return {(row.digest, row.mark) for row in connection.execute(query)}
