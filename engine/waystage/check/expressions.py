"""Expressions that do not parse, name what does not exist, or mix types.

Why it hurts: the run would be parked when it gets there. To mend it, see the message; names
are params, data, snapshot, service, stage, steps, tasks, monitors, event, run and now.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from waystage.check.subject import Subject, YamlPath
from waystage.errors import Problem
from waystage.expressions import (
    BadExpression,
    Expression,
    Scope,
    compile_expression,
    compile_template,
    type_from_json_schema,
)
from waystage.expressions.types import TIMESTAMP
from waystage.plugin import Snapshot

ANY: dict[str, Any] = {}
TEXT = {"type": "string"}
NUMBER = {"type": "number"}


def check(subject: Subject) -> Iterator[Problem]:
    """Parse and type-check everything that is an expression."""
    scope = scope_of(subject)
    for path, text in _guards(subject):
        yield from _guard(subject, scope, path, text)
    for path, value in _templates(subject):
        yield from _template(subject, scope, path, value)


def scope_of(subject: Subject) -> Scope:
    """Give the types of all names in the lifecycle."""
    spec = subject.spec
    steps = {step.id: _output(subject, step.use) for place in subject.places
             for step in place.spec.steps or () if step.id}  # fmt: skip
    tasks = {p.name: _task(p.spec.task) for p in subject.places if p.spec.task}
    counts = {"type": "object", "additionalProperties": {"type": "integer"}}
    monitor = _object(
        dict.fromkeys(("value", "low", "high"), NUMBER)
        | dict.fromkeys(("verdict", "reason", "method", "insufficient"), TEXT)
        | {"counts": counts, "notes": ANY}
    )
    names = {
        "params": _fields(spec.params),
        "data": _fields(spec.data),
        "snapshot": Snapshot.model_json_schema(),
        "service": TEXT,
        "stage": TEXT,
        "steps": _object(steps),
        "tasks": _object(tasks),
        "monitors": _object(dict.fromkeys(spec.monitors, monitor)),
        "event": _object({"name": TEXT, "actor": TEXT, "payload": ANY}),
        "run": _object({"id": TEXT, "lifecycle": TEXT, "starter": TEXT}),
    }
    types = {name: type_from_json_schema(schema) for name, schema in names.items()}
    return Scope(types | {"now": TIMESTAMP})


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _fields(fields: Any) -> dict[str, Any]:
    return _object({name: field.json_schema() for name, field in fields.items()})


def _task(task: Any) -> dict[str, Any]:
    texts = dict.fromkeys(("outcome", "by", "comment", "at"), TEXT)
    people = {"type": "array", "items": TEXT}
    return _object(texts | {"form": _fields(task.form), "people": people})


def _output(subject: Subject, use: str) -> dict[str, Any]:
    output = getattr(subject.catalog.get(use), "Output", None)
    return output.model_json_schema() if output is not None else ANY


def _guards(subject: Subject) -> Iterator[tuple[YamlPath, str]]:
    for number, trigger in enumerate(subject.spec.start):
        if trigger.if_:
            yield ("start", number, "if"), trigger.if_
    for place in subject.places:
        for number, step in enumerate(place.spec.steps or ()):
            if step.if_:
                yield (*place.path, "steps", number, "if"), step.if_
        for event, arrows in place.spec.next.items():
            for number, arrow in enumerate(arrows):
                if arrow.if_:
                    yield (*place.path, "next", event, number, "if"), arrow.if_


def _templates(subject: Subject) -> Iterator[tuple[YamlPath, Any]]:
    for name, monitor in subject.spec.monitors.items():
        for side in ("warn", "breach"):
            if threshold := getattr(monitor, side):
                yield ("monitors", name, side), [threshold.below, threshold.above]
    for place in subject.places:
        spec = place.spec
        if spec.lease:
            yield (*place.path, "lease"), spec.lease
        if spec.task:
            yield (*place.path, "task", "title"), [spec.task.title, spec.task.text]
        for number, step in enumerate(spec.steps or ()):
            yield (*place.path, "steps", number, "with"), step.with_
            if step.undo:
                yield (*place.path, "steps", number, "undo", "with"), step.undo.with_
        for event, arrows in spec.next.items():
            for number, arrow in enumerate(arrows):
                yield (*place.path, "next", event, number, "set"), arrow.set


def _guard(subject: Subject, scope: Scope, path: YamlPath, text: str) -> Iterator[Problem]:
    try:
        expression = compile_expression(text)
    except BadExpression as error:
        yield subject.problem("E-EXPRESSION", path, str(error))
        return
    found = list(_typed(subject, scope, path, expression))
    yield from found
    kind = str(expression.type(scope)) if not found else "bool"
    if kind not in ("bool", "dyn"):
        yield subject.problem("E-GUARD-TYPE", path, f"`{text}` is {kind}, and a guard is a bool")


def _template(subject: Subject, scope: Scope, path: YamlPath, value: Any) -> Iterator[Problem]:
    try:
        template = compile_template(value)
    except BadExpression as error:
        yield subject.problem("E-EXPRESSION", path, str(error))
        return
    for inner, expression in template.expressions:
        yield from _typed(subject, scope, (*path, *inner), expression)


def _typed(
    subject: Subject, scope: Scope, path: YamlPath, expression: Expression
) -> Iterator[Problem]:
    for problem in expression.check(scope):
        text = f"`{expression.text}`: {problem.message}"
        yield subject.problem("E-EXPRESSION-TYPE", path, text, problem.suggestion)
