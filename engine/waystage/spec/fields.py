"""Whether a value fits a typed field: a parameter, a variable, a field of a form or a block's."""

from __future__ import annotations

from math import isfinite
from typing import Any

from waystage.patterns import compiled
from waystage.spec.lifecycle import FieldSpec

KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "array": (list, tuple),
    "object": (dict,),
}
LONGEST = 10_000  # characters of a text that says no maxLength


def misfit(field: FieldSpec, value: Any) -> str:
    """Say why a value does not fit a field; an empty text if it does."""
    if not is_a(value, field.type):
        return f"{value!r:.60} is no {field.type}"
    if field.enum is not None and value not in field.enum:
        return f"{value!r:.60} is none of {', '.join(map(str, field.enum))}"
    if isinstance(value, str):
        return _misfit_text(field, value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    return _misfit_number(field, value)


def is_a(value: Any, kind: str) -> bool:
    """Whether a value is of a JSON Schema type; true and false are no numbers."""
    return isinstance(value, KINDS[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _misfit_number(field: FieldSpec, value: float) -> str:
    if not isfinite(value):
        return f"{value!r} is no finite number"
    if field.minimum is not None and value < field.minimum:
        return f"{value} is less than {field.minimum:g}"
    if field.maximum is not None and value > field.maximum:
        return f"{value} is more than {field.maximum:g}"
    return ""


def _misfit_text(field: FieldSpec, value: str) -> str:
    most = LONGEST if field.max_length is None else field.max_length
    if len(value) < (field.min_length or 0):
        return f"{value!r} is shorter than {field.min_length}"
    if len(value) > most:
        return f"{value[:50]!r}… is longer than {most}"
    if field.pattern is None:
        return ""
    try:
        found = compiled(field.pattern).search(value)
    except ValueError as error:
        return f"{field.pattern!r} is no regular expression: {error}"
    return "" if found else f"{value!r:.60} does not match {field.pattern}"
