"""Whether a value fits a typed field."""

from __future__ import annotations

import re
from typing import Any

from waystage.spec.lifecycle import FieldSpec

KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "array": (list, tuple),
    "object": (dict,),
}


def misfit(field: FieldSpec, value: Any) -> str:
    """Say why a value does not fit a field; an empty text if it does."""
    boolean = isinstance(value, bool)
    if not isinstance(value, KINDS[field.type]) or boolean != (field.type == "boolean"):
        return f"{value!r} is no {field.type}"
    if field.enum is not None and value not in field.enum:
        return f"{value!r} is none of {', '.join(map(str, field.enum))}"
    if isinstance(value, str):
        return _misfit_text(field, value)
    low, high = field.minimum, field.maximum
    if not boolean and isinstance(value, int | float):
        if low is not None and value < low:
            return f"{value} is less than {low:g}"
        if high is not None and value > high:
            return f"{value} is more than {high:g}"
    return ""


def _misfit_text(field: FieldSpec, value: str) -> str:
    if len(value) < (field.min_length or 0) or len(value) > (field.max_length or len(value)):
        return f"{value[:50]!r} has {len(value)} characters"
    try:
        fits = field.pattern is None or re.search(field.pattern, value)
    except re.error as error:
        return f"its pattern is no regular expression: {error}"
    return "" if fits else f"{value!r} does not match {field.pattern}"
