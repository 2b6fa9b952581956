"""What looks at deployments showed, and what was done about it: columns of the inventory."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, func, select, update

from waystage.errors import NotFound
from waystage.store import schema as t
from waystage.store.codec import dump, load_row
from waystage.store.work import HELD


def places_online(connection: Connection) -> list[tuple[str, str]]:
    """Give stage and runtime wherever something is online, in order."""
    p = t.placements.c
    query = select(p.stage, p.runtime).where(p.until.is_(None), p.mode == "online").distinct()
    return [
        (row.stage, row.runtime) for row in connection.execute(query.order_by(p.stage, p.runtime))
    ]


def drift_of(connection: Connection, placement: int) -> dict[str, Any] | None:
    """Give what is kept of a deployment's drift; None if it runs there no longer."""
    p = t.placements.c
    query = select(p.id, p.drift).where(p.id == placement, p.until.is_(None))
    row = connection.execute(query.with_for_update()).first()
    return None if row is None else load_row(row.drift) or {}


def keep_look(connection: Connection, placement: int, **values: Any) -> None:
    """Write what a look showed; `drift` is JSON."""
    if "drift" in values:
        values["drift"] = dump(values["drift"])
    mine = (t.placements.c.id == placement) & t.placements.c.until.is_(None)
    connection.execute(update(t.placements).where(mine).values(**values))


def keep_deployed(connection: Connection, placement: int, **changed: Any) -> None:
    """Write what a deployment is found by from now on; raises `NotFound`."""
    p = t.placements.c
    query = select(p.body).where(p.id == placement).with_for_update()
    found = connection.execute(query).scalar()
    if found is None:
        raise NotFound(f"there is no entry {placement} in the inventory")
    body = load_row(found)
    body["deployed"] |= changed
    connection.execute(update(t.placements).where(p.id == placement).values(body=dump(body)))


def keep_share(
    connection: Connection, there: tuple[str, str, str], snapshot: str = "",
    percent: int | None = None,
) -> None:  # fmt: skip
    """Write the share of requests that a challenger gets in a service's stage and runtime.

    Without a snapshot none there has a share any more.
    """
    p = t.placements.c
    here = (p.service == there[0]) & (p.stage == there[1]) & (p.runtime == there[2])
    query = select(p.id, p.snapshot, p.body).where(here, p.until.is_(None), p.role == "challenger")
    for row in connection.execute(query.with_for_update()).all():
        told = load_row(row.body)["deployed"].get("percent")
        wanted = percent if row.snapshot == snapshot else told if snapshot else None
        if told != wanted:
            keep_deployed(connection, row.id, percent=wanted)


def keep_copies(
    connection: Connection, there: tuple[str, str, str], snapshot: str, percent: int
) -> None:
    """Write of which share of the requests a challenger gets copies in a stage and runtime."""
    p = t.placements.c
    here = (p.service == there[0]) & (p.stage == there[1]) & (p.runtime == there[2])
    query = select(p.id).where(here, p.until.is_(None), p.role == "challenger")
    for (placement,) in connection.execute(query.where(p.snapshot == snapshot)).all():
        keep_deployed(connection, placement, copies=percent)


def at_work(connection: Connection, service: str) -> list[tuple[dict[str, Any], str]]:
    """Give the orders that are called or due for runs of a service, with their definitions."""
    w, r = t.work.c, t.runs.c
    query = select(w.body, r.definition).join(t.runs, r.no == w.run)
    query = query.where(r.service == service, w.due_at < HELD)
    return [(load_row(row.body), row.definition) for row in connection.execute(query)]


def drifts_in(connection: Connection, service: str, stage: str) -> list[tuple[str, dict[str, Any]]]:
    """Give what differs of a service's deployments in a stage: snapshot and what is kept."""
    p = t.placements.c
    here = (p.service == service) & (p.stage == stage) & p.until.is_(None) & p.drift.is_not(None)
    query = select(p.snapshot, p.drift).where(here)
    return [(row.snapshot, load_row(row.drift)) for row in connection.execute(query)]


def count_states(connection: Connection) -> dict[tuple[str, ...], float]:
    """Count what runs now, by stage and state."""
    p = t.placements.c
    query = select(p.stage, p.state, func.count()).where(p.until.is_(None), p.mode == "online")
    counted = connection.execute(query.group_by(p.stage, p.state))
    return {(stage, state or "new"): float(count) for stage, state, count in counted}


def astray(connection: Connection) -> list[tuple[str, str, str, str]]:
    """Give service, snapshot, stage and state of what does not run as it should."""
    p = t.placements.c
    query = select(p.service, p.snapshot, p.stage, p.state)
    query = query.where(p.until.is_(None), p.state.not_in(("", "ok"))).order_by(p.id)
    return [(row.service, row.snapshot, row.stage, row.state) for row in connection.execute(query)]
