"""Tasks whose outcomes and times contradict each other.

- E-OUTCOME: `approves` or `on_timeout` names no outcome of the task, an outcome is there
  twice, or there is none at all.
- E-TIMEOUT-APPROVES: a deadline would approve.
- W-TIMEOUT-NEVER: `on_timeout` without `due`, `escalate` as its word without `escalate`, or a
  reminder or an escalation after the task is due.
- E-FIELD: a field's default, limits or pattern contradict its type.

Why it hurts: a decision could not be made, or nobody would make it. To mend it, name outcomes
of the task; a deadline may escalate or refuse.
"""

from __future__ import annotations

from collections.abc import Iterator

from waystage.check.fields import field_problems
from waystage.check.places import Place
from waystage.check.subject import Subject, did_you_mean
from waystage.errors import Problem
from waystage.spec.lifecycle import Task


def check(subject: Subject) -> Iterator[Problem]:
    """Look at every task by itself."""
    for place in subject.places:
        if place.spec.task:
            yield from _outcomes(subject, place, place.spec.task)
            yield from _times(subject, place, place.spec.task)
            for name, field in place.spec.task.form.items():
                for key, text in field_problems(field):
                    yield subject.problem("E-FIELD", place.at("task", "form", name, key), text)


def _outcomes(subject: Subject, place: Place, task: Task) -> Iterator[Problem]:
    if not task.outcomes:
        path = place.at("task", "outcomes")
        yield subject.problem("E-OUTCOME", path, "a task needs at least one outcome")
    for number, outcome in enumerate(task.outcomes):
        if outcome in task.outcomes[:number]:
            path = place.at("task", "outcomes", number)
            yield subject.problem("E-OUTCOME", path, f"{outcome!r} is there twice")
    named = [(("approves", n), each) for n, each in enumerate(task.approves)]
    if task.on_timeout and task.on_timeout != "escalate":
        named.append((("on_timeout",), task.on_timeout))  # type: ignore[arg-type]  # a path of one part
    for key, outcome in named:
        if outcome not in task.outcomes:
            text, hint = f"{outcome!r} is no outcome", did_you_mean(outcome, task.outcomes)
            yield subject.problem("E-OUTCOME", place.at("task", *key), text, hint)


def _times(subject: Subject, place: Place, task: Task) -> Iterator[Problem]:
    path = place.at("task", "on_timeout")
    if task.on_timeout in task.approvals:
        hint = "name an outcome that is not an approval, or escalate"
        yield subject.problem("E-TIMEOUT-APPROVES", path, "a deadline never approves", hint)
    if task.on_timeout and task.due is None:
        yield subject.problem("W-TIMEOUT-NEVER", path, "never comes: there is no due:")
    if task.on_timeout == "escalate" and task.escalate is None:
        text = "escalate: does not say to whom"
        yield subject.problem("W-TIMEOUT-NEVER", path, text, "add escalate: {after: …, to: […]}")
    decided = task.on_timeout in task.outcomes and task.due is not None
    if decided and task.escalate and task.due and task.escalate.after >= task.due:
        text = "is decided by on_timeout before it is escalated"
        yield subject.problem("W-TIMEOUT-NEVER", place.at("task", "escalate", "after"), text)
    for number, after in enumerate(task.remind):
        if task.due is not None and after >= task.due:
            text = "this reminder comes when the task is due already"
            yield subject.problem("W-TIMEOUT-NEVER", place.at("task", "remind", number), text)
