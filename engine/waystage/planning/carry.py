"""What becomes of a run's parameters and variables under another version of its lifecycle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from waystage.expressions import type_from_json_schema
from waystage.expressions.types import conform
from waystage.spec.lifecycle import FieldSpec, Lifecycle

KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}


@dataclass
class Carried:
    """The values that change, what is to be known about it, and what does not fit."""

    params: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    unfit: list[str] = field(default_factory=list)


def carried(
    old: Lifecycle,
    new: Lifecycle,
    params: Mapping[str, Any],
    data: Mapping[str, Any],
    given: Mapping[str, Any],
) -> Carried:
    """Carry values over: what somebody set stays, what is new or was a default follows the file.

    `given` is what the service sets for parameters. Variables belong to the run: only new ones
    are set.
    """
    found = Carried()
    for name, spec in new.params.items():
        follows = name not in params or (
            name in old.params and params[name] == old.params[name].default
        )
        wanted = given.get(name, spec.default) if follows else params[name]
        _take(found, "params", name, spec, wanted, params)
    for name, spec in new.data.items():
        _take(found, "data", name, spec, data.get(name, spec.default), data)
    return found


def _take(
    found: Carried, kind: str, name: str, spec: FieldSpec, value: Any, before: Mapping[str, Any]
) -> None:
    value = conform(value, type_from_json_schema(spec.json_schema()))
    if value is not None and not _is_a(spec.type, value):
        found.unfit.append(f"{kind}.{name} is {value!r}, and the new text wants {spec.type}")
    elif name not in before or before[name] != value:
        getattr(found, kind)[name] = value
        was = f"{before[name]!r} → " if name in before else "new, "
        found.notes.append(f"{kind}.{name}: {was}{value!r}")


def _is_a(kind: str, value: Any) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, KINDS[kind])
