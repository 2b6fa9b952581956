"""Typed fields that contradict themselves: parameters, variables, forms."""

from __future__ import annotations

from collections.abc import Iterator

from waystage.patterns import compiled
from waystage.spec.fields import is_a, misfit
from waystage.spec.lifecycle import FieldSpec

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
            compiled(field.pattern)
        except ValueError as error:
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
        if not is_a(value, field.type):
            yield "enum", f"entry {number + 1}, {value!r}, is no {field.type}"
    if field.default is not None and (wrong := misfit(field, field.default)):
        yield "default", wrong
