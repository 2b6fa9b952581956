"""Expressions that do not parse, name what does not exist, or mix types.

- E-EXPRESSION: the text is no expression.
- E-EXPRESSION-TYPE: it names something that is not there or mixes types.
- E-GUARD-TYPE: an `if` gives something else than true or false.
- E-EXPRESSION-PLACE: `{{ }}` stands where nothing is rendered.
- W-STAGE-EMPTY: `stage` is read in a state that belongs to none, where it is an empty text.

Why it hurts: the run would be parked when it gets there. To mend it, see the message; names
are `params`, `data`, `snapshot`, `service`, `stage`, `steps`, `tasks`, `monitors`, `event`,
`run` and `now`; what opens a run knows `snapshot` and `service` alone.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import ValidationError

from waystage.check.places import Place, YamlPath
from waystage.check.scope import start_scope
from waystage.check.subject import Subject
from waystage.check.texts import Condition, Text, compiled, conditions, never_rendered, texts
from waystage.errors import Problem
from waystage.expressions import (
    BadExpression,
    Expression,
    Scope,
    compile_expression,
)
from waystage.expressions.types import DOUBLE
from waystage.plugin import Monitor as MonitorPlugin
from waystage.spec.lifecycle import Monitor


def check(subject: Subject) -> Iterator[Problem]:
    """Parse and type-check everything that is an expression."""
    scope = subject.scope
    for condition in conditions(subject):
        known = scope if condition.path[0] == "states" else start_scope()
        yield from _condition(subject, known, condition)
    for text in texts(subject):
        yield from _text(subject, scope, text)
    for text in never_rendered(subject):
        yield from _unrendered(subject, text)
    for name, monitor in subject.spec.monitors.items():
        yield from _of_monitor(subject, name, monitor)


def _condition(subject: Subject, scope: Scope, condition: Condition) -> Iterator[Problem]:
    try:
        expression = compile_expression(condition.text)
    except BadExpression as error:
        yield _unreadable(subject, condition.path, error)
        return
    found = list(_typed(subject, scope, condition.path, expression, condition.place))
    yield from found
    kind = expression.type(scope).kind
    if not found and kind not in ("bool", "dyn"):
        text = f"`{condition.text}` is {kind}, and a guard is true or false"
        yield subject.problem("E-GUARD-TYPE", condition.path, text)


def _text(subject: Subject, scope: Scope, text: Text) -> Iterator[Problem]:
    try:
        template = compiled(text.value)
    except BadExpression as error:
        yield _unreadable(subject, text.path, error)
        return
    for inner, expression in template.expressions:
        yield from _typed(subject, scope, (*text.path, *inner), expression, text.place)


def _typed(
    subject: Subject, scope: Scope, path: YamlPath, expression: Expression, place: Place | None
) -> Iterator[Problem]:
    for problem in expression.check(scope):
        text = f"`{expression.text}`: {problem.message}"
        yield subject.problem("E-EXPRESSION-TYPE", path, text, problem.suggestion)
    if place and not place.stages and ("stage",) in expression.references:
        hint = "say stage: here or in a state around it"
        yield subject.problem(
            "W-STAGE-EMPTY", path, "`stage` is empty: this state belongs to none", hint
        )


def _unrendered(subject: Subject, text: Text) -> Iterator[Problem]:
    try:
        constant = compiled(text.value).constant
    except BadExpression:
        constant = False
    if not constant:
        message = "`{{ }}` is not rendered here; the text would be used as it is"
        yield subject.problem("E-EXPRESSION-PLACE", text.path, message, "write the value")


def _unreadable(subject: Subject, path: YamlPath, error: BadExpression) -> Problem:
    shown = error.text if len(error.text) <= 100 else f"{error.text[:97]}…"
    message = f"`{shown}`, character {error.column}: {error.message}"
    return subject.problem("E-EXPRESSION", path, message, error.suggestion)


def _of_monitor(subject: Subject, name: str, monitor: Monitor) -> Iterator[Problem]:
    """Read what the monitor itself evaluates, over the numbers that it says there are."""
    plugin = subject.catalog.get(monitor.use)
    if plugin is None or not issubclass(plugin, MonitorPlugin):
        return
    try:
        conditions = plugin.model_validate(monitor.with_).conditions()
    except ValidationError:
        return  # told where the plugin's fields are checked
    for text, names in conditions.items():
        path = ("monitors", name, "with")
        try:
            expression = compile_expression(text, names)
        except BadExpression as error:
            message = f"`{text}`, character {error.column}: {error.message}"
            yield subject.problem("E-EXPRESSION", path, message, error.suggestion)
            continue
        scope = Scope(dict.fromkeys(names, DOUBLE))
        found = [p.message for p in expression.check(scope)]
        if not found and (kind := expression.type(scope).kind) not in ("bool", "dyn"):
            found = [f"it is {kind}, and a condition is true or false"]
        for message in found:
            yield subject.problem("E-EXPRESSION-TYPE", path, f"`{text}`: {message}")
