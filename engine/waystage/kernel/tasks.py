"""Tasks: opened with the digest of what is shown, decided by votes, closed with the state."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from waystage.errors import ExpressionError
from waystage.kernel.commands import CloseTask, Notify, OpenTask, SetTimer, UpdateTask
from waystage.kernel.definition import Node
from waystage.kernel.macrostep import Macrostep
from waystage.spec.lifecycle import Task

DUE, ESCALATE, REMIND = "@due", "@escalate", "@remind"


def open_task(m: Macrostep, node: Node) -> None:
    """Show the task to people and set its reminders, due time and escalation."""
    assert node.task is not None
    assert node.spec.task is not None
    try:
        body = node.task.render(m.environment(node))
    except ExpressionError as error:
        m.park(node.path, "expression", f"task: {error}", resume="work")
        return
    spec, entry = node.spec.task, m.run.entered[node.path]
    if spec.due:
        body["due"] = (m.now + spec.due).isoformat()
    body |= {"shown": shown_digest(m, node), "votes": []}
    m.run.activities[node.path] = {"task": True, "body": body}
    m.order(OpenTask(node.path, entry, node.stage, body))
    m.record("task", node.path, "opened", body["title"])
    for name, after in _alarms(node).items():
        m.order(SetTimer(node.path, entry, name, None, m.now + after))


def shown_digest(m: Macrostep, node: Node) -> str:
    """Give the digest that a vote binds to: definition, artefact, parameters, target, gates."""
    run = m.run
    shown = [run.definition, run.snapshot.get("digest"), run.params, node.path, node.stage,
             run.steps, run.monitors]  # fmt: skip
    text = json.dumps(shown, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def vote(m: Macrostep, node: Node, outcome: str, decision: dict[str, Any], by: str) -> None:
    """Count a decision; approvals need the quorum, anything else ends the task at once."""
    body = m.run.activities[node.path]["body"]
    cast = {"by": by, "outcome": outcome, "at": m.now.isoformat(), **decision}
    votes = [v for v in body["votes"] if v["by"] != by] + [cast]
    body = body | {"votes": votes}
    m.run.activities[node.path] = {"task": True, "body": body}
    m.record("vote", node.path, outcome, f"{by}: {decision.get('comment', '')}".rstrip(": "))
    if outcome in body["approvals"] and not _enough(body, outcome):
        m.order(UpdateTask(node.path, m.run.entered[node.path], body))
        return
    form: dict[str, Any] = {}
    for each in votes:
        form |= each.get("form") or {}
    result = {"outcome": outcome, "by": by, "at": cast["at"], "form": form,
              "comment": decision.get("comment", ""), "shown": body["shown"],
              "people": [v["by"] for v in votes]}  # fmt: skip
    _close(m, node, outcome, by, result)


def void_votes(m: Macrostep) -> None:
    """Void the votes for what has changed since: another branch may have brought new facts."""
    for state, activity in m.run.activities.items():
        if not activity.get("task"):
            continue
        shown, body = shown_digest(m, m.node(state)), activity["body"]
        if shown == body["shown"]:
            continue
        if body["votes"]:
            m.record("task", state, "void", f"{len(body['votes'])} votes were for what was before")
        body = body | {"shown": shown, "votes": []}
        m.run.activities[state] = activity | {"body": body}
        m.order(UpdateTask(state, m.run.entered[state], body))


def alarm(m: Macrostep, node: Node, name: str) -> None:
    """A reminder, the due time or the escalation of a task came."""
    spec = node.spec.task
    assert spec is not None
    body = m.run.activities[node.path]["body"]
    if spec.escalate and _escalates(spec, name):
        wider = [who for who in spec.escalate.to if who not in body["for"]]
        body = body | {"for": [*body["for"], *wider]}
        m.run.activities[node.path] = {"task": True, "body": body}
        m.order(UpdateTask(node.path, m.run.entered[node.path], body))
    m.record("task", node.path, name.lstrip("@"), body["title"])
    if name == DUE and spec.on_timeout and spec.on_timeout != "escalate":
        result = {"outcome": spec.on_timeout, "by": "timeout", "at": m.now.isoformat(),
                  "form": {}, "comment": "no answer in time", "people": []}  # fmt: skip
        _close(m, node, spec.on_timeout, "timeout", result)
        return
    key = f"{m.run.id}/{m.run.entered[node.path]}/{name}"
    m.order(Notify(node.path, body["title"], _alarm_text(m, name, body), "warn", key))


def _escalates(spec: Task, name: str) -> bool:
    return name == ESCALATE or (name == DUE and spec.on_timeout == "escalate")


def _close(m: Macrostep, node: Node, outcome: str, by: str, result: dict[str, Any]) -> None:
    m.run.tasks[node.name] = result
    m.run.activities[node.path] = {}
    m.order(CloseTask(node.path, m.run.entered[node.path], outcome, by))
    m.raise_(node.path, outcome, {"by": by})


def _enough(body: dict[str, Any], outcome: str) -> bool:
    agreeing = [vote for vote in body["votes"] if vote["outcome"] == outcome]
    if len({vote["by"] for vote in agreeing}) < body["quorum"]:
        return False
    return all(any(_is(vote, who) for vote in agreeing) for who in body["required"])


def _is(vote: dict[str, Any], who: str) -> bool:
    role = who.removeprefix("role:")
    return vote["by"] == who if role == who else role in vote.get("roles", ())


def _alarms(node: Node) -> dict[str, Any]:
    spec = node.spec.task
    assert spec is not None
    alarms = {f"{REMIND}.{n}": after for n, after in enumerate(spec.remind)}
    if spec.due:
        alarms[DUE] = spec.due
    if spec.escalate:
        alarms[ESCALATE] = spec.escalate.after
    return alarms


def _alarm_text(m: Macrostep, name: str, body: dict[str, Any]) -> str:
    what = {DUE: "is due now", ESCALATE: "has waited too long"}.get(name, "waits for an answer")
    return f"{m.run.id}: “{body['title']}” {what} (for {', '.join(body['for'])})"
