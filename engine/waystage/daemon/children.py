"""Child runs: opened, ended and aborted in the transaction of what moves their parent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from waystage.daemon.delivery import Delivery, Touched
from waystage.daemon.opening import Opening, enlist
from waystage.errors import Conflict, WaystageError
from waystage.kernel import commands as c
from waystage.kernel import events
from waystage.kernel.calling import cannot_open
from waystage.store.inside import run_number_opened_by

if TYPE_CHECKING:
    from waystage.daemon.transaction import Transaction

CHILD = "child/"  # what the keys of child runs begin with; nobody else's may


def key_of(parent: str, entry: int) -> str:
    """Give what opens a child once: the calling run and its visit of the calling state."""
    return f"{CHILD}{parent}/{entry}"


def open_child(tx: Transaction, touched: Touched, command: c.StartChild) -> None:
    """Open the child on the parent's snapshot, pinned to its lifecycle's present text."""
    run = touched.hot.run
    try:
        definition = tx.definitions.by_name(command.lifecycle)
        if why := cannot_open(definition.spec, run.service, command.params):
            raise Conflict(why)
        params = tx.definitions.params_of(definition, run.service) | command.params
        opening = Opening(
            definition, run.service, run.snapshot, key_of(run.id, command.entry), run.id, params,
            run.starter, {"run": run.id, "no": touched.hot.no, "state": command.state,
                          "entry": command.entry},
        )  # fmt: skip
        enlist(tx, opening)
    except WaystageError as error:
        lost = events.child_lost(command.state, command.entry, str(error))
        tx.queue.append(Delivery(touched.hot.no, lost))


def abort_child(tx: Transaction, touched: Touched, command: c.AbortChild) -> None:
    """End the child because the state that called it is left."""
    run = touched.hot.run
    child = run_number_opened_by(tx.connection, key_of(run.id, command.entry))
    if child is not None:
        why = {"reason": f"{run.id} has left {command.state}"}
        tx.queue.append(Delivery(child, events.repair("abort", "", why, run.id)))


def tell_parent(tx: Transaction, touched: Touched, command: c.EndRun) -> None:
    """Tell the calling state how the child ended, unless its leaving was what ended it.

    The parent is not looked at: what is held of it may be older than what another daemon wrote.
    """
    run, parent = touched.hot.run, touched.hot.run.parent
    if not parent or command.aborted == parent["run"]:
        return
    state, entry = parent["state"], parent["entry"]
    if command.aborted:
        event = events.child_lost(state, entry, f"the child run {run.id} was aborted", run.id)
    else:
        told = {"run": run.id, "outcome": command.outcome, "data": run.data}
        event = events.child_ended(state, entry, command.outcome, told)
    tx.queue.append(Delivery(parent["no"], event))
