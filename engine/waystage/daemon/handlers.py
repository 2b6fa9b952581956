"""What each command of the kernel writes, or sets off, in the transaction of its event."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from waystage.daemon.children import abort_child, open_child, tell_parent
from waystage.daemon.delivery import Delivery, Touched
from waystage.daemon.pausing import hold, let_go
from waystage.kernel import commands as c
from waystage.kernel import events
from waystage.store import rare
from waystage.store.codec import dump, micros
from waystage.store.leases import free_lease, take_lease
from waystage.timers import next_fire

if TYPE_CHECKING:
    from waystage.daemon.transaction import Transaction


def _start_step(tx: Transaction, touched: Touched, command: c.StartStep) -> None:
    if tx.allowing is not None and tx.allowing.refuses(tx, touched, command):
        return
    touched.work[touched.definition.nodes[command.state].region] = command


def _drop_work(tx: Transaction, touched: Touched, command: c.DropWork) -> None:
    node = touched.definition.nodes[command.state]
    touched.work[node.region] = None
    if tx.allowing is not None:
        tx.allowing.over(tx, touched, node)


def _open_task(tx: Transaction, touched: Touched, command: c.OpenTask) -> None:
    no, at = touched.hot.no, tx.at
    tx.batch.rest.append(
        rare.open_task(no, command.state, command.entry, command.stage, command.body, at)
    )


def _update_task(tx: Transaction, touched: Touched, command: c.UpdateTask) -> None:
    no = touched.hot.no
    tx.batch.rest.append(rare.update_task(no, command.state, command.entry, command.body))


def _close_task(tx: Transaction, touched: Touched, command: c.CloseTask) -> None:
    where = (touched.hot.no, command.state, command.entry)
    tx.batch.rest.append(rare.close_task(*where, command.outcome, command.by, tx.at))


def _set_timer(tx: Transaction, touched: Touched, command: c.SetTimer) -> None:
    due = command.due or (next_fire(command.spec, tx.now) if command.spec else None)
    if due is None:
        return
    kept = command.spec.model_dump(mode="json") if command.spec else command.note
    spec = dump(kept) if kept else None
    row = (touched.hot.no, command.state, command.name, command.entry, micros(due), spec)
    tx.batch.put_timers = [r for r in tx.batch.put_timers if r[:3] != row[:3]]
    tx.batch.put_timers.append(row)
    tx.rings_at(micros(due))


def _cancel_timers(tx: Transaction, touched: Touched, command: c.CancelTimers) -> None:
    gone: tuple[int, str] | tuple[int, str, str] = (touched.hot.no, command.state)
    if command.name:
        gone = (*gone, command.name)
        tx.batch.put_timers = [row for row in tx.batch.put_timers if row[:3] != gone]
        tx.batch.rest.append(rare.drop_timer(*gone))
        return
    tx.batch.put_timers = [row for row in tx.batch.put_timers if row[:2] != gone]
    tx.batch.drop_timers.append(gone)


def _ask_stage(tx: Transaction, touched: Touched, command: c.AskStage) -> None:
    tx.asked.append((touched, command))


def _take_lease(tx: Transaction, touched: Touched, command: c.TakeLease) -> None:
    no, state, entry = touched.hot.no, command.state, command.entry
    if take_lease(tx.connection, command.name, no, state, entry):
        tx.queue.append(Delivery(no, events.lease_granted(state, entry)))


def _free_lease(tx: Transaction, touched: Touched, command: c.FreeLease) -> None:
    holder = free_lease(tx.connection, touched.hot.no, command.state)
    if holder is not None:
        tx.queue.append(Delivery(holder.run, events.lease_granted(holder.state, holder.entry)))


def _notify(tx: Transaction, touched: Touched, command: c.Notify) -> None:
    body = asdict(command) | {"run": touched.hot.run.id, "service": touched.hot.run.service,
                              "at": tx.now.isoformat()}  # fmt: skip
    tx.batch.rest.append(rare.send_message(command.key, body, tx.at))
    tx.rings_at(tx.at)


def _adopt(tx: Transaction, touched: Touched, command: c.Adopt) -> None:
    touched.definition = tx.definitions.by_hash(command.definition)
    tx.batch.rest.append(rare.adopt(touched.hot.no, command.definition))


def _open_incident(tx: Transaction, touched: Touched, command: c.OpenIncident) -> None:
    run, at = touched.hot.run, tx.at
    where = (touched.hot.no, command.state)
    # a retry that failed ends the incident that it was for: one is open per state
    tx.batch.rest.append(rare.close_incident(*where, "failed again", "engine", "", at))
    tx.batch.rest.append(rare.open_incident(*where, command.kind, command.message, at))
    text = f"{run.id} is parked in {command.state}: {command.message}"
    key = f"{run.id}/{run.revision}/incident/{command.state}"
    _notify(tx, touched, c.Notify(command.state, f"Incident in {run.id}", text, "alarm", key))


def _close_incident(tx: Transaction, touched: Touched, command: c.CloseIncident) -> None:
    how = (command.how, command.by, command.reason, tx.at)
    tx.batch.rest.append(rare.close_incident(touched.hot.no, command.state, *how))


HANDLERS: dict[type[Any], Any] = {
    c.StartStep: _start_step,
    c.DropWork: _drop_work,
    c.OpenTask: _open_task,
    c.UpdateTask: _update_task,
    c.CloseTask: _close_task,
    c.SetTimer: _set_timer,
    c.CancelTimers: _cancel_timers,
    c.AskStage: _ask_stage,
    c.TakeLease: _take_lease,
    c.FreeLease: _free_lease,
    c.StartChild: open_child,
    c.AbortChild: abort_child,
    c.Notify: _notify,
    c.OpenIncident: _open_incident,
    c.CloseIncident: _close_incident,
    c.Adopt: _adopt,
    c.HoldWork: hold,
    c.LetWorkGo: let_go,
    c.EndRun: tell_parent,
}
