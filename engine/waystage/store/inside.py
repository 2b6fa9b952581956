"""Questions and writes inside a transaction: what an act must see before it decides."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, insert, select, update

from waystage.errors import NotFound
from waystage.store import schema as t
from waystage.store.codec import dump


def task_row(connection: Connection, task: int) -> Any:
    """Give a task's row; raises `NotFound`."""
    row = connection.execute(select(t.tasks).where(t.tasks.c.id == task)).first()
    if row is None:
        raise NotFound(f"there is no task {task}")
    return row


def incident_row(connection: Connection, incident: int) -> Any:
    """Give an incident's row; raises `NotFound`."""
    row = connection.execute(select(t.incidents).where(t.incidents.c.id == incident)).first()
    if row is None:
        raise NotFound(f"there is no incident {incident}")
    return row


def set_claim(connection: Connection, task: int, person: str) -> None:
    """Write who is at a task."""
    connection.execute(update(t.tasks).where(t.tasks.c.id == task).values(claimed_by=person))


def runs_named(connection: Connection, run: str, service: str) -> list[Any]:
    """Give number and id of one run, or of the open runs of a service."""
    r = t.runs.c
    where = r.id == run if run else (r.service == service) & (r.status == "open")
    return list(connection.execute(select(r.no, r.id).where(where)))


def superseded_open_runs(connection: Connection, service: str, no: int, snapshot: str) -> list[int]:
    """Give the service's open runs on snapshots that had a run before this snapshot's run.

    A review that was opened late is on an old snapshot all the same; a newer candidate is not.
    """
    r = t.runs.c
    older = select(r.snapshot).where((r.service == service) & (r.no < no))
    where = (r.service == service) & (r.status == "open") & (r.snapshot != snapshot)
    found = connection.execute(select(r.no).where(where & r.snapshot.in_(older)))
    return [row.no for row in found]


def open_runs_beside(connection: Connection, service: str, no: int, snapshot: str) -> list[int]:
    """Give the other open runs of the service on the same snapshot."""
    r = t.runs.c
    where = (r.service == service) & (r.status == "open") & (r.no != no) & (r.snapshot == snapshot)
    return [row.no for row in connection.execute(select(r.no).where(where))]


def open_runs_after(connection: Connection, lifecycle: str, no: int, limit: int) -> list[Any]:
    """Give number and definition of a lifecycle's open runs, those behind a number, in order."""
    r = t.runs.c
    mine = (r.lifecycle == lifecycle) & (r.status == "open") & (r.no > no)
    query = select(r.no, r.definition).where(mine).order_by(r.no).limit(limit)
    return list(connection.execute(query))


def run_number_opened_by(connection: Connection, key: str) -> int | None:
    """Give the number of the run that this key opened."""
    query = select(t.runs.c.no).where(t.runs.c.opened_by == key)
    found: int | None = connection.execute(query).scalar()
    return found


def keep_cursor(connection: Connection, repository: str, cursor: Any) -> None:
    """Write how far a repository was looked at."""
    where = t.cursors.c.repository == repository
    kept = connection.execute(update(t.cursors).where(where).values(body=dump(cursor))).rowcount
    if not kept:
        connection.execute(insert(t.cursors).values(repository=repository, body=dump(cursor)))


def keep_snapshot(connection: Connection, repository: str, body: dict[str, Any], at: int) -> bool:
    """Keep a snapshot's manifest; answers whether it is new."""
    s = t.snapshots.c
    name, version = body["name"], body["version"]
    same = (s.repository == repository) & (s.name == name) & (s.version == version)
    if connection.execute(select(s.digest).where(same)).first():
        return False
    row = {"repository": repository, "name": name, "version": version, "digest": body["digest"],
           "body": dump(body), "at": at}  # fmt: skip
    connection.execute(insert(t.snapshots).values(row))
    return True
