"""The statements that a batch writes now and then; each is a row of one table in its own words."""

from __future__ import annotations

from typing import Any

from sqlalchemy import and_, delete, func, insert, literal, select, update
from sqlalchemy.sql import Executable

from waystage.store import schema as t
from waystage.store.codec import dump
from waystage.store.rows import Claim

MEASURED_ONCE = ("run", "monitor", "service", "stage", "snapshot", "start", "end", "number")


def adopt(no: int, definition: str) -> Executable:
    """Pin a run to another version of its lifecycle."""
    return update(t.runs).where(t.runs.c.no == no).values(definition=definition)


def came_late(claim: Claim) -> Executable:
    """Count a call that did end, if too late, no more among those that ended with a daemon.

    Two are left at the least: who claims it next must know that it was called before.
    """
    w = t.work.c
    same = (w.run == claim.no) & (w.slot == claim.slot)
    later = (w.fence > claim.fence) & (w.fence < claim.end) & (w.tries > 2)
    return update(t.work).where(same, later).values(tries=w.tries - 1)


def open_task(run: int, state: str, entry: int, stage: str, body: Any, at: int) -> Executable:
    """Show a task."""
    return insert(t.tasks).values(
        run=run, state=state, entry=entry, stage=stage, status="open", body=dump(body), opened_at=at
    )


def update_task(run: int, state: str, entry: int, body: Any) -> Executable:
    """Write a task's votes and addressees."""
    k = t.tasks.c
    mine = (k.run == run) & (k.state == state) & (k.entry == entry)
    return update(t.tasks).where(mine).values(body=dump(body))


def close_task(run: int, state: str, entry: int, outcome: str, by: str, at: int) -> Executable:
    """Take a task away; without an outcome the run left it."""
    k = t.tasks.c
    mine = (k.run == run) & (k.state == state) & (k.entry == entry) & (k.status == "open")
    status = "closed" if outcome else "left"
    return (
        update(t.tasks)
        .where(mine)
        .values(status=status, outcome=outcome, closed_by=by, closed_at=at)
    )


def drop_timer(run: int, state: str, name: str) -> Executable:
    """Forget one timer of a state."""
    w = t.timers.c
    return delete(t.timers).where(w.run == run, w.state == state, w.name == name)


def open_incident(run: int, state: str, kind: str, message: str, at: int) -> Executable:
    """Keep why a run is parked."""
    return insert(t.incidents).values(
        run=run, state=state, kind=kind, message=message, opened_at=at
    )


def close_incident(run: int, state: str, how: str, by: str, reason: str, at: int) -> Executable:
    """Keep how the run goes on."""
    i = t.incidents.c
    mine = (i.run == run) & (i.state == state) & i.closed_at.is_(None)
    return (
        update(t.incidents).where(mine).values(closed_at=at, how=how, closed_by=by, reason=reason)
    )


def send_message(key: str, body: Any, at: int) -> Executable:
    """Put a message into the outbox; those of one run are sent in the order of their writing."""
    return insert(t.outbox).values(key=key, run=body["run"], body=dump(body), due_at=at)


def note_message(number: int, **values: Any) -> Executable:
    """Keep how the sending of a message went."""
    return update(t.outbox).where(t.outbox.c.id == number).values(**values)


def rest_messages(until: int) -> Executable:
    """Have nothing sent before that, as the receiver asks."""
    o = t.outbox.c
    waiting = update(t.outbox).where(o.sent_at.is_(None), o.due_at < until)
    return waiting.values(due_at=until)


def keep_signature(at: int, **row: Any) -> Executable:
    """Keep that a snapshot's signature was verified, and by which keys."""
    return insert(t.signatures).values(at=at, **row)


def tell_run(run: int, actor: str, event: Any) -> Executable:
    """Put an event for another run into the inbox."""
    return insert(t.inbox).values(run=run, actor=actor, body=dump(event))


def keep_measurement(body: Any, **row: Any) -> Executable:
    """Keep a measurement with its verdict, unless the same one is kept already."""
    row |= {"body": dump(body)}
    m = t.measurements.c
    once = [m[name] == row[name] for name in MEASURED_ONCE]
    known = select(t.measurements).where(and_(*once)).exists()
    fresh = select(*(literal(value, m[name].type) for name, value in row.items())).where(~known)
    return insert(t.measurements).from_select(list(row), fresh)


def place(row: dict[str, Any], body: Any) -> list[Executable]:
    """Write that a snapshot runs somewhere from now on, and what that means for the others.

    The same snapshot at the same place is replaced. Another champion there is `previous` as
    long as its process stays; in a batch runtime, where none does, it is gone. A champion that
    is placed anew in another role leaves its own to the one before it.
    """
    p, now = t.placements.c, row["since"]
    here = (p.service == row["service"]) & (p.stage == row["stage"]) & p.until.is_(None)
    same = here & (p.runtime == row["runtime"]) & (p.snapshot == row["snapshot"])
    statements: list[Executable] = [update(t.placements).where(same).values(until=now)]
    if row["role"] == "champion":
        others = here & (p.role == "champion") & (p.mode == row["mode"])
        others &= p.snapshot != row["snapshot"]
        change = {"until": now} if row["mode"] == "batch" else {"role": "previous"}
        statements.append(update(t.placements).where(others).values(**change))
    else:
        statements.append(_champion_again(row["service"], row["stage"], row["runtime"]))
    return [*statements, insert(t.placements).values(body=dump(body), **row)]


def displace(service: str, stage: str, runtime: str, snapshot: str, at: int) -> list[Executable]:
    """Write that a snapshot runs there no longer.

    Where that leaves no champion, the newest one before it, whose process stayed, is it again.
    """
    p = t.placements.c
    gone = (p.service == service) & (p.stage == stage) & (p.runtime == runtime)
    gone &= (p.snapshot == snapshot) & p.until.is_(None)
    return [update(t.placements).where(gone).values(until=at),
            _champion_again(service, stage, runtime)]  # fmt: skip


def _champion_again(service: str, stage: str, runtime: str) -> Executable:
    p, o = t.placements.c, t.placements.alias().c
    here = (o.service == service) & (o.stage == stage) & (o.runtime == runtime) & o.until.is_(None)
    newest = select(func.max(o.id)).where(here & (o.role == "previous")).scalar_subquery()
    none = ~select(o.id).where(here & (o.role == "champion")).exists()
    return update(t.placements).where((p.id == newest) & none).values(role="champion")


def verify(run: int, stage: str, at: int) -> Executable:
    """Write that the run's snapshot passed its checks in the stage."""
    p = t.placements.c
    here = (p.run == run) & (p.stage == stage) & p.until.is_(None)
    return update(t.placements).where(here).values(verified_at=at)
