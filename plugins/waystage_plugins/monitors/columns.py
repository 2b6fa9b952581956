"""What can be wrong with one scored request: its score, its inputs, its probabilities and class."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from sys import float_info
from typing import TypeGuard

from waystage.plugin import Column

SCORE = "(score)"  # the place that faults of the score are counted at; no column is called so
SUM = "(probabilities)"  # the same for probabilities that are none together
CLASS = "(class)"  # and for a class that says something else than the score


def score_fault(score: object, low: float, high: float) -> str:
    """Name what is wrong with a score; empty when it is a number from `low` to `high`."""
    if score is None:
        return "missing"
    if not _is_number(score):
        return "not_finite"
    return "" if low <= score <= high else "out_of_range"


def input_faults(
    inputs: Mapping[str, object],
    columns: Collection[Column],
    optional: Collection[str],
    besides: Collection[str] = (),
) -> Iterator[tuple[str, str]]:
    """Give (column, fault) for every input that is missing, unknown or of another type.

    `besides` are names that are logged with the inputs and are none.
    """
    for column in columns:
        value = inputs.get(column.name)
        if value is None:
            if column.name not in optional:
                yield column.name, "missing"
        elif not _fits(value, column.type):
            yield column.name, "wrong_type"
    known = {column.name for column in columns}
    known.update(besides)
    yield from ((name, "unknown") for name in inputs if name not in known)


def range_faults(
    inputs: Mapping[str, object], ranges: Mapping[str, tuple[float, float]]
) -> Iterator[tuple[str, str]]:
    """Give (column, fault) for every number that lies outside its range."""
    for name, (low, high) in ranges.items():
        value = inputs.get(name)
        if _is_number(value) and not low <= value <= high:
            yield name, "out_of_range"


def category_faults(
    inputs: Mapping[str, object], categories: Mapping[str, Collection[str]]
) -> Iterator[tuple[str, str]]:
    """Give (column, fault) for every value that is none of the known categories."""
    for name, known in categories.items():
        value = inputs.get(name)
        if value is not None and str(value) not in known:
            yield name, "unseen_category"


def sum_fault(inputs: Mapping[str, object], names: Collection[str], tolerance: float) -> str:
    """Name what is wrong with probabilities that are logged; empty when they sum to one."""
    total = 0.0
    for name in names:
        value = inputs.get(name)
        if not _is_number(value) or not 0 <= value <= 1:
            return "no_probability"
        total += value
    return "" if abs(total - 1) <= tolerance else "not_one_in_all"


def class_fault(score: object, said: object, threshold: float, event: str) -> str:
    """Name what is wrong with a class that is logged; empty when it is the score's own."""
    if said is None:
        return "missing"
    if not _is_number(score):
        return ""  # that is the score's fault
    above = score >= threshold
    return "" if (_text(said) == event) == above else "contradicts_score"


def is_finite(value: float) -> bool:
    """Say whether a number is one that a float can hold; integers may be larger."""
    return -float_info.max <= value <= float_info.max


def _text(value: object) -> str:
    """Write a value as YAML does: 1.0 as 1, True as true."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and is_finite(value)


def _fits(value: object, wanted: str) -> bool:
    """Say whether a JSON value has the column's type; 3.0 is an integer, true is no number."""
    if wanted == "string":
        return isinstance(value, str)
    if isinstance(value, bool) or wanted == "boolean":
        return isinstance(value, bool) and wanted == "boolean"
    if isinstance(value, float):
        return is_finite(value) and (wanted == "number" or value.is_integer())
    return isinstance(value, int) and is_finite(value)
