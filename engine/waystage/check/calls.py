"""Child runs of lifecycles that are not there.

- E-LIFECYCLE-UNKNOWN: `call` names a lifecycle that the project does not have.
- E-PARAM: `with` gives the child a parameter that it does not have, or a value that it does
  not take.
- E-CALL-SERVICE: the lifecycle that is called is not for all services of the one that calls.
- E-CALL-CIRCLE: lifecycles call each other in a circle.

Why it hurts: the child could not be opened, or each run would wait for itself. To mend it, name
a lifecycle of the project and its parameters; go back by an arrow, not by a call.
"""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

from waystage.check.fits import takes, type_of
from waystage.check.graph import circle
from waystage.check.places import Place
from waystage.check.scope import field_type, scope_of
from waystage.check.subject import Subject, did_you_mean
from waystage.check.texts import compiled
from waystage.errors import Problem
from waystage.expressions import BadExpression
from waystage.spec.fields import misfit
from waystage.spec.lifecycle import Call, FieldSpec, State
from waystage.spec.load import ProjectFiles


def check(subject: Subject) -> Iterator[Problem]:
    """Hold every call against the lifecycle that it names."""
    if subject.files is None:
        return
    calling = [place for place in subject.places if place.spec.call]
    edges = _edges(subject.files) if calling else {}
    for place in calling:
        assert place.spec.call
        yield from _call(subject, place, place.spec.call, subject.files)
        way = circle(edges, subject.spec.lifecycle)
        if place.spec.call.lifecycle in way:
            text = f"{' → '.join([*way, subject.spec.lifecycle])} calls itself"
            yield subject.problem("E-CALL-CIRCLE", place.at("call", "lifecycle"), text)


def _call(subject: Subject, place: Place, call: Call, files: ProjectFiles) -> Iterator[Problem]:
    loaded = files.lifecycles.get(call.lifecycle)
    if loaded is None:
        text = f"there is no lifecycle {call.lifecycle!r}"
        hint = did_you_mean(call.lifecycle, files.lifecycles)
        yield subject.problem("E-LIFECYCLE-UNKNOWN", place.at("call", "lifecycle"), text, hint)
        return
    for service in subject.services:
        if not any(fnmatchcase(service, glob) for glob in loaded.spec.services):
            text = f"{call.lifecycle} is not for {service!r}"
            hint = f"add it to services: of {call.lifecycle}"
            path = place.at("call", "lifecycle")
            yield subject.problem("E-CALL-SERVICE", path, text, hint)
    params = loaded.spec.params
    for name, value in call.with_.items():
        wrong = f"there is no parameter {name!r}"
        if name in params:
            wrong = _unfit(subject, params[name], value)
        if wrong:
            hint = "" if name in params else did_you_mean(name, params)
            yield subject.problem("E-PARAM", place.at("call", "with", name), wrong, hint)


def _unfit(subject: Subject, field: FieldSpec, value: Any) -> str:
    """Say why a value cannot be the parameter's; an expression is held against its type."""
    try:
        if compiled(value).constant:
            return misfit(field, value)
    except BadExpression:
        return ""  # told by the check of expressions
    found = type_of(value, scope_of(subject))
    if found is None or takes(field_type(field), found):
        return ""
    return f"{value} is {found}, and the parameter is {field.type}"


def called_in(files: ProjectFiles) -> frozenset[str]:
    """Give the lifecycles that another one of the project calls."""
    return frozenset(name for called in _edges(files).values() for name in called)


def _edges(files: ProjectFiles) -> dict[str, list[str]]:
    return {
        name: [call for state in loaded.spec.states.values() for call in _calls(state)]
        for name, loaded in files.lifecycles.items()
    }


def _calls(state: State) -> Iterator[str]:
    if state.call:
        yield state.call.lifecycle
    for each in (state.states or {}).values():
        yield from _calls(each)
    for branch in (state.branches or {}).values():
        for each in branch.states.values():
            yield from _calls(each)
