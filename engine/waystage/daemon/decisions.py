"""What people do to tasks and incidents: checked and done in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from waystage.daemon.delivery import Delivery
from waystage.daemon.pausing import need_open, refuse_paused
from waystage.errors import Conflict, Forbidden, NotFound
from waystage.kernel import events
from waystage.people import (
    Caller,
    check_answer,
    may_answer,
    may_delegate,
    may_release,
    need_right,
    roles_of,
    same_answer,
)
from waystage.spec.fields import misfit
from waystage.spec.lifecycle import FieldSpec
from waystage.store.codec import load_row
from waystage.store.inside import incident_row, runs_named, set_claim, task_row
from waystage.store.signals import keep_signal, signal_sent

if TYPE_CHECKING:
    from waystage.daemon.daemon import Daemon
    from waystage.daemon.transaction import Transaction


def complete(
    daemon: Daemon, task: int, caller: Caller, outcome: str, form: dict[str, Any], comment: str,
    shown: str = "",
) -> dict[str, Any]:  # fmt: skip
    """Answer a task; the same answer twice is harmless. A refused attempt is recorded."""
    return _recorded(daemon, task, caller, lambda tx: _complete(
        daemon, tx, task, caller, outcome, form, comment, shown))  # fmt: skip


def claim(daemon: Daemon, task: int, caller: Caller) -> dict[str, Any]:
    """Say that one is at it; someone else's claim stands until it is released."""
    return _recorded(daemon, task, caller, lambda tx: _claim(daemon, tx, task, caller))


def delegate(daemon: Daemon, task: int, caller: Caller, to: str) -> dict[str, Any]:
    """Hand a task to someone who could answer it; it is as if they had claimed it."""
    return _recorded(daemon, task, caller, lambda tx: _delegate(daemon, tx, task, caller, to))


def release(daemon: Daemon, task: int, caller: Caller) -> dict[str, Any]:
    """Give a claim back."""

    def act(tx: Transaction) -> dict[str, Any]:
        row = _open_task(tx, task)
        may_release(load_row(row.body)["title"], caller.person, row.claimed_by or "")
        set_claim(tx.connection, row.id, "")
        _note(tx, row, "released", f"task {task}", caller)
        return {"task": task, "claimed_by": ""}

    return _recorded(daemon, task, caller, act)


def repair(
    daemon: Daemon, incident: int, kind: str, caller: Caller, data: dict[str, Any]
) -> dict[str, Any]:
    """Mend an incident: retry, skip, goto, set or abort."""
    need_right(daemon.files.project.spec, caller.person, "operate")
    if kind != "retry" and not str(data.get("reason", "")).strip():
        raise Conflict(f"{kind} needs a reason")
    return daemon.engine.act(repairing(incident, kind, caller, data)).result(timeout=60)


def repairing(
    incident: int, kind: str, caller: Caller, data: dict[str, Any], *, resumed: bool = False
) -> Callable[[Transaction], dict[str, Any]]:
    """Give what mends an incident in a transaction; rights and reason are known to be there.

    With `resumed`, nothing is done (`did` is empty) to one that is being tried again already.
    """

    def act(tx: Transaction) -> dict[str, Any]:
        row = incident_row(tx.connection, incident)
        if row.closed_at is not None:
            raise Conflict(f"incident {incident} is closed: {row.how} by {row.closed_by}")
        if resumed and kind == "retry" and _is_retried(tx, row):
            return {"incident": incident, "run": tx.touched[row.run].hot.run.id, "did": ""}
        _mendable(tx, row, kind, str(data.get("to", "")), data.get("values") or {})
        event = events.repair(kind, row.state, data, caller.person).by_means_of(caller.via)
        tx.deliver([Delivery(row.run, event)])
        return {"incident": incident, "run": tx.touched[row.run].hot.run.id, "did": kind}

    return act


def _is_retried(tx: Transaction, row: Any) -> bool:
    tx.load([row.run])
    return bool((tx.touched[row.run].hot.run.incidents.get(row.state) or {}).get("retrying"))


def _mendable(tx: Transaction, row: Any, kind: str, target: str, values: Mapping[str, Any]) -> None:
    """Raise `Conflict` where the kernel would have nothing to do; batched cures are seen too."""
    tx.load([row.run])
    touched = tx.touched[row.run]
    if kind not in ("set", "abort"):
        refuse_paused(touched.hot.run)
    found = touched.hot.run.incidents.get(row.state)
    if found is None:
        raise Conflict(f"incident {row.id} was mended by someone else at the same moment")
    if kind == "retry" and found.get("retrying"):
        raise Conflict(f"incident {row.id} is being tried again already")
    if kind == "skip" and found.get("resume") != "step":
        raise Conflict(f"incident {row.id} has no step to skip; retry, goto or abort it")
    if kind == "set":
        _settable(touched.definition.spec.data, values)
    nodes = touched.definition.nodes
    beside = [n.path for n in nodes.values() if n.region == nodes[row.state].region]
    if kind == "goto" and target not in beside:
        raise Conflict(f"there is no state {target!r} to go to; there is {', '.join(beside)}")


def _settable(fields: Mapping[str, FieldSpec], values: Mapping[str, Any]) -> None:
    """Raise `Conflict` unless the values are those of variables that the lifecycle declares."""
    for name, value in values.items():
        known = ", ".join(fields) or "none"
        wrong = misfit(fields[name], value) if name in fields else f"is no variable; it has {known}"
        if wrong:
            raise Conflict(f"{name}: {wrong}")


def send_signal(
    daemon: Daemon,
    name: str,
    payload: dict[str, Any],
    caller: Caller,
    run: str = "",
    service: str = "",
    key: str = "",
) -> dict[str, Any]:
    """Send a signal to one run or to all open runs of a service; once per key, if it has one.

    Raises `Conflict` when another signal was sent under the key, or the run has ended.
    """
    need_right(daemon.files.project.spec, caller.person, "operate")
    if bool(run) == bool(service):
        raise Conflict("a signal goes to a run or to the open runs of a service: say one of them")
    event = events.signal(name, payload, caller.person).by_means_of(caller.via)
    said = {"name": name, "payload": payload, "run": run, "service": service}

    def act(tx: Transaction) -> dict[str, Any]:
        if key and (before := signal_sent(tx.connection, key)) is not None:
            return _sent_before(key, before, said)
        numbers = runs_named(tx.connection, run, service)
        if not numbers:
            raise NotFound(f"there is no run {run!r}" if run else
                           f"there is no open run of {service!r}")  # fmt: skip
        if run:
            need_open(tx, numbers[0].no)
        tx.deliver([Delivery(row.no, event) for row in numbers])
        found = {"signal": name, "runs": [row.id for row in numbers]}
        if key:
            keep_signal(tx.connection, key, {"said": said, "found": found}, tx.at)
        return found

    return daemon.engine.act(act).result(timeout=60)


def _sent_before(key: str, before: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
    if before["said"] != said:
        raise Conflict(f"another signal was sent under the key {key!r}: {before['said']['name']}")
    found: dict[str, Any] = before["found"]
    return found | {"repeated": True}


def _recorded(daemon: Daemon, task: int, caller: Caller, act: Any) -> dict[str, Any]:
    try:
        result: dict[str, Any] = daemon.engine.act(act).result(timeout=60)
    except Forbidden as error:
        text = str(error)
        daemon.engine.act(lambda tx: _refused(tx, task, caller, text)).result(timeout=60)
        raise
    return result


def _refused(tx: Transaction, task: int, caller: Caller, text: str) -> None:
    _note(tx, task_row(tx.connection, task), "refused", text, caller)


def _complete(
    daemon: Daemon, tx: Transaction, task: int, caller: Caller, outcome: str,
    form: dict[str, Any], comment: str, shown: str,
) -> dict[str, Any]:  # fmt: skip
    tx.write_rest()  # an answer of this very transaction may have closed the task
    project, row = daemon.files.project.spec, task_row(tx.connection, task)
    body, person = load_row(row.body), caller.person
    if row.status != "open":
        return _closed(row, body, person, outcome)
    _allowed(daemon, tx, row, body, person)
    body = _live(tx, row)
    refuse_paused(tx.touched[row.run].hot.run)
    _free_for(row, person)
    if shown and shown != body["shown"]:
        raise Conflict("what the task shows has changed since you looked; look again")
    if same_answer(body, person, outcome):
        return {"task": task, "outcome": outcome, "repeated": True}
    check_answer(body, outcome, form, comment)
    decision = {"roles": list(roles_of(project, person)), "form": form, "comment": comment,
                "shown": body["shown"]}  # fmt: skip
    event = events.vote(row.state, row.entry, outcome, decision, person).by_means_of(caller.via)
    tx.deliver([Delivery(row.run, event)])
    if row.claimed_by:  # who has answered is done: a quorum's other people go on
        set_claim(tx.connection, row.id, "")
    return {"task": task, "outcome": outcome, "run": tx.touched[row.run].hot.run.id}


def _live(tx: Transaction, row: Any) -> dict[str, Any]:
    """Give the task as this very transaction sees it: another answer may be in it already."""
    run = tx.touched[row.run].hot.run
    activity = run.activities.get(row.state, {})
    if run.entered.get(row.state) != row.entry or "body" not in activity:
        raise Conflict(f"task {row.id} was answered by someone else at the same moment")
    body: dict[str, Any] = activity["body"]
    return body


def _closed(row: Any, body: dict[str, Any], person: str, outcome: str) -> dict[str, Any]:
    if row.status == "left":
        raise Conflict(f"task {row.id} is closed: the run went on without an answer")
    given = [vote["outcome"] for vote in body["votes"] if vote["by"] == person]
    if outcome == (row.outcome if row.closed_by == person else next(iter(given), None)):
        return {"task": row.id, "outcome": outcome, "repeated": True}
    raise Conflict(f"task {row.id} is closed: {row.closed_by} answered {row.outcome!r}")


def _allowed(daemon: Daemon, tx: Transaction, row: Any, body: dict[str, Any], person: str) -> None:
    tx.load([row.run])
    run = tx.touched[row.run].hot.run
    deciders = {name: done.get("people", []) for name, done in run.tasks.items()}
    may_answer(
        daemon.files.project.spec, body, person, starter=run.starter,
        author=str(run.snapshot.get("author", "")), deciders=deciders,
    )  # fmt: skip


def _claim(daemon: Daemon, tx: Transaction, task: int, caller: Caller) -> dict[str, Any]:
    row, person = _open_task(tx, task), caller.person
    _allowed(daemon, tx, row, load_row(row.body), person)
    _free_for(row, person)
    if not row.claimed_by:
        set_claim(tx.connection, row.id, person)
        _note(tx, row, "claimed", f"task {task}", caller)
    return {"task": task, "claimed_by": person}


def _delegate(
    daemon: Daemon, tx: Transaction, task: int, caller: Caller, to: str
) -> dict[str, Any]:
    row = _open_task(tx, task)
    body = load_row(row.body)
    own = _objection(daemon, tx, row, body, caller.person)
    project, title = daemon.files.project.spec, body["title"]
    may_delegate(project, title, caller.person, row.claimed_by or "", own)
    theirs = _objection(daemon, tx, row, body, to)
    if theirs is not None:
        raise Forbidden(f"task {task} cannot be delegated to {to}: {theirs}")
    earlier = [vote["outcome"] for vote in _live(tx, row)["votes"] if vote["by"] == to]
    if earlier:
        raise Conflict(f"task {task} cannot be delegated to {to}, who answered {earlier[0]!r}")
    if row.claimed_by != to:
        set_claim(tx.connection, row.id, to)
        _note(tx, row, "delegated", f"task {task} to {to}", caller)
    return {"task": task, "claimed_by": to}


def _objection(
    daemon: Daemon, tx: Transaction, row: Any, body: dict[str, Any], person: str
) -> Forbidden | None:
    try:
        _allowed(daemon, tx, row, body, person)
    except Forbidden as error:
        return error
    return None


def _free_for(row: Any, person: str) -> None:
    if row.claimed_by and row.claimed_by != person:
        raise Conflict(f"task {row.id} is claimed by {row.claimed_by}")


def _open_task(tx: Transaction, task: int) -> Any:
    row = task_row(tx.connection, task)
    if row.status != "open":
        raise Conflict(f"task {task} is closed")
    return row


def _note(tx: Transaction, row: Any, what: str, detail: str, caller: Caller) -> None:
    event = events.noted(row.state, row.entry, what, {"detail": detail}, caller.person)
    tx.deliver([Delivery(row.run, event.by_means_of(caller.via))])
