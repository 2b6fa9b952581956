"""Values whose type does not fit their place.

- E-THRESHOLD: a threshold is no number.
- E-DATA-UNKNOWN: `set` writes a variable that `data` does not declare.
- E-DATA-TYPE: `set` writes a value of another type than `data` says.
- E-PLUGIN-TYPE: an expression gives a setting a value that the plugin refuses, such as a
  number where it wants a text.

Why it hurts: a verdict would always be `error`, a variable not be what guards take it for, a
step be parked at its call. To mend it, declare the variable, or convert the value as with
`string(…)` or by writing it into a text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from waystage.check.bare import cure, reads_bare
from waystage.check.places import YamlPath
from waystage.check.scope import field_type
from waystage.check.subject import Subject, did_you_mean
from waystage.check.texts import compiled, is_whole
from waystage.check.uses import uses
from waystage.errors import Problem
from waystage.expressions import (
    BadExpression,
    Scope,
    Type,
    compile_expression,
    type_from_json_schema,
)
from waystage.expressions.types import type_of_value
from waystage.plugin import Plugin
from waystage.spec.lifecycle import FieldSpec

# what pydantic never takes; it does take a text for a number and a number for a time
REFUSED = {
    "string": {"int", "double", "bool", "list", "map", "object", "null"},
    "list": {"int", "double", "bool", "string", "map", "object", "null"},
    "object": {"int", "double", "bool", "string", "list", "null"},
    "map": {"int", "double", "bool", "string", "list", "null"},
    "int": {"list", "map", "object", "null"},
    "double": {"list", "map", "object", "null"},
    "bool": {"list", "map", "object", "null"},
}


def check(subject: Subject) -> Iterator[Problem]:
    """Hold the types of values against those of their places."""
    scope = subject.scope
    yield from _thresholds(subject, scope)
    yield from _assignments(subject, scope)
    yield from _settings(subject, scope)


def type_of(value: Any, scope: Scope) -> Type | None:
    """Give the type of a value as it will be rendered; None where that is told elsewhere."""
    try:
        if is_whole(value):
            expression = compile_expression(str(value).strip()[2:-2].strip())
            return None if expression.check(scope) else expression.type(scope)
        constant = compiled(value).constant
    except BadExpression:
        return None
    return type_of_value(value if constant or not isinstance(value, str) else "")


def takes(wanted: Type, found: Type) -> bool:
    """Whether a field of one type takes a value of another."""
    if "dyn" in (found.kind, wanted.kind) or found.kind == wanted.kind:
        return True
    same = {frozenset(("int", "double")), frozenset(("map", "object"))}
    return (found.kind, wanted.kind) != ("double", "int") and {found.kind, wanted.kind} in same


def _thresholds(subject: Subject, scope: Scope) -> Iterator[Problem]:
    for name, monitor in subject.spec.monitors.items():
        for level in ("warn", "breach"):
            for side in ("below", "above", "clear"):
                value = getattr(getattr(monitor, level), side, None)
                found = type_of(value, scope) if value is not None else None
                if found and found.kind not in ("int", "double", "dyn"):
                    text = f"a threshold is a number, not {_shown(found, value)}"
                    path = ("monitors", name, level, side)
                    yield subject.problem("E-THRESHOLD", path, text)


def _assignments(subject: Subject, scope: Scope) -> Iterator[Problem]:
    known = subject.spec.data
    for place in subject.places:
        for event, arrows in place.spec.next.items():
            for number, arrow in enumerate(arrows):
                for name, value in arrow.set.items():
                    path = place.at("next", event, number, "set", name)
                    if name in known:
                        yield from _assigned(subject, scope, path, value, known[name])
                    else:
                        text, hint = f"data: has no {name!r}", did_you_mean(name, known)
                        yield subject.problem("E-DATA-UNKNOWN", path, text, hint)


def _assigned(
    subject: Subject, scope: Scope, path: YamlPath, value: Any, field: FieldSpec
) -> Iterator[Problem]:
    found = type_of(value, scope)
    if found is None or takes(field_type(field), found):
        return
    text = f"is {_shown(found, value)}, and data: says {field.type}"
    hint = cure(value) if reads_bare(value) else ""
    yield subject.problem("E-DATA-TYPE", path, text, hint)


def _settings(subject: Subject, scope: Scope) -> Iterator[Problem]:
    for use in uses(subject.spec, subject.places):
        plugin = subject.catalog.get(use.name)
        if plugin is None or not issubclass(plugin, use.kind):
            continue
        for field, value in use.settings.items():
            wanted = _wanted(plugin).get(field)
            if wanted is not None and is_whole(value):
                found = type_of(value, scope)
                if (
                    found
                    and found.kind in REFUSED.get(wanted.kind, ())
                    and not _null(found, wanted)
                ):
                    text = (
                        f"{use.name}: {field} is {found.kind}, and the plugin wants {wanted.kind}"
                    )
                    yield subject.problem("E-PLUGIN-TYPE", (*use.path, "with", field), text)


def _null(found: Type, wanted: Type) -> bool:
    return found.kind == "null" and wanted.nullable


@lru_cache(maxsize=512)
def _wanted(plugin: type[Plugin]) -> Mapping[str, Type]:
    return dict(type_from_json_schema(plugin.model_json_schema(by_alias=True)).fields)


def _shown(found: Type, value: Any) -> str:
    return f"{found} (`{value}`)" if isinstance(value, str) else str(found)
