"""What steps tell about the world becomes the inventory, in the same transaction."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from waystage.kernel import Event, events
from waystage.plugin import (
    Championed,
    Deployed,
    Fact,
    Mirrored,
    Shared,
    Signalled,
    Signed,
    Undeployed,
    Verified,
)
from waystage.store import Connection, rare
from waystage.store.codec import micros
from waystage.store.drift import keep_copies, keep_share
from waystage.store.inside import open_runs_beside, superseded_open_runs

if TYPE_CHECKING:
    from waystage.daemon.delivery import Touched
    from waystage.daemon.transaction import Transaction

Which: TypeAlias = Callable[[Connection, str, int, str], list[int]]


def apply_fact(tx: Transaction, touched: Touched, fact: Fact) -> None:
    """Write one fact."""
    if isinstance(fact, Deployed):
        _deployed(tx, touched, fact)
    elif isinstance(fact, Shared):
        keep_share(tx.connection, _there(touched, fact), _name(touched), fact.percent)
    elif isinstance(fact, Mirrored):
        keep_copies(tx.connection, _there(touched, fact), _name(touched), fact.percent)
    elif isinstance(fact, Undeployed):
        _undeployed(tx, touched, fact)
    elif isinstance(fact, Verified):
        _verified(tx, touched, fact)
    elif isinstance(fact, Signed):
        _signed(tx, touched, fact)
    elif isinstance(fact, Championed):
        _championed(tx, touched)
    elif isinstance(fact, Signalled):
        _signalled(tx, touched, fact)


def _deployed(tx: Transaction, touched: Touched, fact: Deployed) -> None:
    run = touched.hot.run
    row = {
        "service": run.service, "stage": fact.stage, "runtime": fact.runtime, "mode": fact.mode,
        "role": fact.role, "snapshot": _name(touched), "digest": run.snapshot.get("digest", ""),
        "run": touched.hot.no, "since": micros(tx.now),
    }  # fmt: skip
    body = {"deployed": fact.model_dump(mode="json"), "snapshot": run.snapshot}
    tx.batch.rest.extend(rare.place(row, body))
    if fact.role == "champion":  # it gets all requests until they are shared anew
        keep_share(tx.connection, _there(touched, fact))


def _undeployed(tx: Transaction, touched: Touched, fact: Undeployed) -> None:
    where = (touched.hot.run.service, fact.stage, fact.runtime, _name(touched))
    tx.batch.rest.extend(rare.displace(*where, micros(tx.now)))
    keep_share(tx.connection, _there(touched, fact))


def _verified(tx: Transaction, touched: Touched, fact: Verified) -> None:
    tx.batch.rest.append(rare.verify(touched.hot.no, fact.stage, micros(tx.now)))


def _signed(tx: Transaction, touched: Touched, fact: Signed) -> None:
    row = {"snapshot": _name(touched), "digest": touched.hot.run.snapshot.get("digest", ""),
           "signer": fact.by, "mark": fact.mark, "run": touched.hot.no}  # fmt: skip
    tx.batch.rest.append(rare.keep_signature(micros(tx.now), **row))


def _championed(tx: Transaction, touched: Touched) -> None:
    run = touched.hot.run
    event = events.signal("snapshot.superseded", {"by": _name(touched), "run": run.id}, run.id)
    _tell(tx, touched, event, superseded_open_runs)


def _signalled(tx: Transaction, touched: Touched, fact: Signalled) -> None:
    run = touched.hot.run
    event = events.signal(fact.name, fact.payload | {"run": run.id}, run.id)
    _tell(tx, touched, event, open_runs_beside)


def _tell(tx: Transaction, touched: Touched, event: Event, which: Which) -> None:
    run = touched.hot.run
    for no in which(tx.connection, run.service, touched.hot.no, _name(touched)):
        tx.batch.rest.append(rare.tell_run(no, run.id, event.to_json()))
    tx.rings_at(micros(tx.now))


def _there(
    touched: Touched, fact: Deployed | Shared | Mirrored | Undeployed
) -> tuple[str, str, str]:
    return touched.hot.run.service, fact.stage, fact.runtime


def _name(touched: Touched) -> str:
    snapshot = touched.hot.run.snapshot
    return f"{snapshot['name']}/{snapshot['version']}"
