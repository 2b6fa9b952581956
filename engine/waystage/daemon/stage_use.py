"""Who changes a service's place in a stage: a run that deploys or a restore, never both at once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

from waystage.daemon.drift import Kept
from waystage.errors import WaystageError
from waystage.store.drift import at_work, drifts_in

if TYPE_CHECKING:
    from waystage.daemon.transaction import Transaction

UNDER_WAY = timedelta(minutes=1)  # after which a restore whose daemon died holds nobody up


def deploying(tx: Transaction, service: str, stage: str) -> str:
    """Name the run that is changing the stage for the service; empty if none is.

    No such run begins before this transaction ends.
    """
    tx.store.alone(tx.connection, f"{service} in {stage}")
    return next(_changing(tx, service, stage), "")


def restoring(tx: Transaction, service: str, stage: str) -> str:
    """Name the snapshot that is being restored there; empty if none is.

    No restore begins before this transaction ends.
    """
    tx.store.alone(tx.connection, f"{service} in {stage}")
    for snapshot, drift in drifts_in(tx.connection, service, stage):
        begun = Kept.model_validate(drift).begun
        if begun is not None and tx.now - begun < UNDER_WAY:
            return snapshot
    return ""


def taking_out(tx: Transaction, service: str, stage: str) -> bool:
    """Whether a step is at work that may have taken away what the inventory still has."""
    uses = [o["use"] for o, _ in at_work(tx.connection, service) if o["stage"] == stage]
    return any(tx.definitions.changes(use) == "back" for use in uses)


def _changing(tx: Transaction, service: str, stage: str) -> Iterator[str]:
    mine = [each for each in tx.touched.values() if each.hot.run.service == service]
    for touched in mine:  # what this very transaction has ordered
        ordered = [each.state for each in touched.work.values() if each and each.stage == stage]
        if any(touched.definition.nodes[state].change != "none" for state in ordered):
            yield touched.hot.run.id
    for order, digest in at_work(tx.connection, service):
        if order["stage"] == stage and _changes(tx, digest, order["state"]):
            yield str(order["key"]).partition("/")[0]


def _changes(tx: Transaction, digest: str, state: str) -> bool:
    try:
        return tx.definitions.by_hash(digest).nodes[state].change != "none"
    except WaystageError:  # only a newer daemon can read it: rather wait
        return True
