"""Fields of forms, parameters and variables that no value fits.

- E-FIELD-EMPTY: there is no value that the field takes: its list of values is empty or each of
  them is refused by the rest, its pattern matches nothing of the allowed length, or no whole
  number lies between its limits.

Why it hurts: a form that needs the field cannot be sent, so nobody can ever approve. To mend
it, see the message: it says which two of its rules exclude each other.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from waystage.check.fields import field_problems
from waystage.check.lengths import ENDLESS, lengths
from waystage.check.places import YamlPath
from waystage.check.subject import Subject
from waystage.errors import Problem
from waystage.spec.fields import misfit
from waystage.spec.lifecycle import FieldSpec


def check(subject: Subject) -> Iterator[Problem]:
    """Look for a value that each field would take."""
    for path, field in fields(subject):
        if not any(field_problems(field)) and (found := impossible(field)):
            key, text = found
            yield subject.problem("E-FIELD-EMPTY", (*path, key), text)


def fields(subject: Subject) -> Iterator[tuple[YamlPath, FieldSpec]]:
    """Give every typed field of a lifecycle."""
    for kind, named in (("params", subject.spec.params), ("data", subject.spec.data)):
        for name, field in named.items():
            yield (kind, name), field
    for place in subject.places:
        for name, field in (place.spec.task.form if place.spec.task else {}).items():
            yield place.at("task", "form", name), field


def impossible(field: FieldSpec) -> tuple[str, str] | None:
    """Give the key that leaves no value, and why; None if some value may fit."""
    if field.enum is not None:
        return _choice(field)
    low, high = field.minimum, field.maximum
    whole = field.type == "integer" and low is not None and high is not None
    if whole and math.ceil(low or 0) > math.floor(high or 0):
        return "minimum", f"no whole number lies from {low:g} to {high:g}"
    if field.type == "string" and field.pattern is not None:
        return _pattern(field, field.pattern)
    return None


def _choice(field: FieldSpec) -> tuple[str, str] | None:
    if not field.enum:
        return "enum", "there is no value to choose from"
    refused = [misfit(field, value) for value in field.enum]
    return ("enum", f"no value can be chosen: {refused[0]}") if all(refused) else None


def _pattern(field: FieldSpec, pattern: str) -> tuple[str, str] | None:
    try:
        span = lengths(pattern)
    except (re.error, RecursionError, OverflowError):
        return None
    if span is None:
        return "pattern", f"no text matches {pattern}"
    shortest, longest = span
    if field.max_length is not None and shortest > field.max_length:
        text = f"matches {shortest} characters or more, and maxLength is {field.max_length}"
        return "pattern", text
    if field.min_length is not None and longest < min(field.min_length, ENDLESS):
        text = f"matches {longest} characters at most, and minLength is {field.min_length}"
        return "pattern", text
    return None
