"""Values and the typed fields that they are for: parameters, variables, forms."""

from __future__ import annotations

import re
from collections.abc import Iterator
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
NUMBERS, TEXTS = ("number", "integer"), ("string",)
# which limits are for which types
IDLE = (
    ("minimum", "minimum", NUMBERS),
    ("maximum", "maximum", NUMBERS),
    ("pattern", "pattern", TEXTS),
    ("min_length", "minLength", TEXTS),
    ("max_length", "maxLength", TEXTS),
)


def field_problems(field: FieldSpec) -> Iterator[tuple[str, str]]:
    """Give what contradicts itself in a field: the key, and what is wrong with it."""
    if field.pattern is not None:
        try:
            re.compile(field.pattern)
        except re.error as error:
            yield "pattern", f"is no regular expression: {error}"
            return
    for low, high in (("minimum", "maximum"), ("min_length", "max_length")):
        least, most = getattr(field, low), getattr(field, high)
        if least is not None and most is not None and least > most:
            key = low if low == "minimum" else "minLength"
            yield key, f"{least:g} is more than the most, {most:g}"
    for key, name, kinds in IDLE:
        if getattr(field, key) is not None and field.type not in kinds:
            yield name, f"does nothing for a field of type {field.type}"
    for number, value in enumerate(field.enum or ()):
        if not _is_a(value, field.type):
            yield "enum", f"entry {number + 1}, {value!r}, is no {field.type}"
    if field.default is not None and (wrong := unfit(field, field.default)):
        yield "default", wrong


def unfit(field: FieldSpec, value: Any) -> str:
    """Say why a value does not fit a field; an empty text if it does."""
    if not _is_a(value, field.type):
        return f"{value!r} is no {field.type}"
    if field.enum is not None and value not in field.enum:
        return f"{value!r} is none of {', '.join(map(str, field.enum))}"
    if field.minimum is not None and isinstance(value, int | float) and value < field.minimum:
        return f"{value} is less than {field.minimum:g}"
    if field.maximum is not None and isinstance(value, int | float) and value > field.maximum:
        return f"{value} is more than {field.maximum:g}"
    return _unfit_text(field, value) if isinstance(value, str) else ""


def _is_a(value: Any, kind: str) -> bool:
    return isinstance(value, KINDS[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _unfit_text(field: FieldSpec, value: str) -> str:
    if field.min_length is not None and len(value) < field.min_length:
        return f"{value!r} is shorter than {field.min_length}"
    if field.max_length is not None and len(value) > field.max_length:
        return f"{value[:50]!r}… is longer than {field.max_length}"
    if field.pattern is None:
        return ""
    # JSON Schema's patterns search; `\\Z` keeps a trailing line break from passing `$`
    ends = field.pattern.endswith("$") and not field.pattern.endswith("\\$")
    pattern = field.pattern[:-1] + "\\Z" if ends else field.pattern
    try:
        return "" if re.search(pattern, value) else f"{value!r} does not match {field.pattern}"
    except re.error:
        return ""  # told of the pattern itself
