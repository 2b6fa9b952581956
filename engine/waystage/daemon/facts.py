"""What steps tell about the world becomes the inventory, in the same transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import insert, select, update

from waystage.kernel import events
from waystage.plugin import Championed, Deployed, Fact, Undeployed, Verified
from waystage.store import schema as t
from waystage.store.codec import dump, micros

if TYPE_CHECKING:
    from waystage.daemon.transaction import Touched, Transaction


def apply_fact(tx: Transaction, touched: Touched, fact: Fact) -> None:
    """Write one fact."""
    if isinstance(fact, Deployed):
        _deployed(tx, touched, fact)
    elif isinstance(fact, Undeployed):
        _undeployed(tx, touched, fact)
    elif isinstance(fact, Verified):
        _verified(tx, touched, fact)
    elif isinstance(fact, Championed):
        _championed(tx, touched)


def _deployed(tx: Transaction, touched: Touched, fact: Deployed) -> None:
    run, p = touched.hot.run, t.placements.c
    snapshot = f"{run.snapshot['name']}/{run.snapshot['version']}"
    here = (p.service == run.service) & (p.stage == fact.stage) & p.until.is_(None)
    same = here & (p.runtime == fact.runtime) & (p.snapshot == snapshot)
    now = micros(tx.now)
    tx.batch.rest.append(update(t.placements).where(same).values(until=now))
    others = here & (p.role == fact.role) & (p.snapshot != snapshot) & (p.mode == fact.mode)
    # a batch runtime has no process that stays: the older one is simply no longer current
    change = {"until": now} if fact.mode == "batch" else {"role": "previous"}
    if fact.role == "champion":
        tx.batch.rest.append(update(t.placements).where(others).values(**change))
    row = {
        "service": run.service, "stage": fact.stage, "runtime": fact.runtime, "mode": fact.mode,
        "role": fact.role, "snapshot": snapshot, "digest": run.snapshot.get("digest", ""),
        "run": touched.hot.no, "since": now,
        "body": dump({"deployed": fact.model_dump(mode="json"), "snapshot": run.snapshot}),
    }  # fmt: skip
    tx.batch.rest.append(insert(t.placements).values(row))


def _undeployed(tx: Transaction, touched: Touched, fact: Undeployed) -> None:
    run, p = touched.hot.run, t.placements.c
    snapshot = f"{run.snapshot['name']}/{run.snapshot['version']}"
    gone = (p.service == run.service) & (p.stage == fact.stage) & (p.runtime == fact.runtime)
    gone &= (p.snapshot == snapshot) & p.until.is_(None)
    tx.batch.rest.append(update(t.placements).where(gone).values(until=micros(tx.now)))


def _verified(tx: Transaction, touched: Touched, fact: Verified) -> None:
    p = t.placements.c
    here = (p.run == touched.hot.no) & (p.stage == fact.stage) & p.until.is_(None)
    tx.batch.rest.append(update(t.placements).where(here).values(verified_at=micros(tx.now)))


def _championed(tx: Transaction, touched: Touched) -> None:
    run = touched.hot.run
    others = select(t.runs.c.no).where(
        t.runs.c.service == run.service, t.runs.c.status == "open", t.runs.c.no < touched.hot.no
    )
    by = f"{run.snapshot['name']}/{run.snapshot['version']}"
    for row in tx.connection.execute(others):
        event = events.signal("snapshot.superseded", {"by": by, "run": run.id}, run.id)
        values = {"run": row.no, "actor": run.id, "body": dump(event.to_json())}
        tx.batch.rest.append(insert(t.inbox).values(values))
    tx.rings_at(micros(tx.now))
