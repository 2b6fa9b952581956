"""What can be wrong with one scored request: its score, and each input against the schema."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from math import isfinite

from waystage.plugin import Column

SCORE = "(score)"  # the place that faults of the score are counted at; no column is called so


def score_fault(score: object, low: float, high: float) -> str:
    """Name what is wrong with a score; empty when it is a number from `low` to `high`."""
    if score is None:
        return "missing"
    if not isinstance(score, int | float) or not isfinite(score):
        return "not_finite"
    return "" if low <= score <= high else "out_of_range"


def input_faults(
    inputs: Mapping[str, object], columns: Collection[Column], optional: Collection[str]
) -> Iterator[tuple[str, str]]:
    """Give (column, fault) for every input that is missing, unknown or of another type."""
    for column in columns:
        value = inputs.get(column.name)
        if value is None:
            if column.name not in optional:
                yield column.name, "missing"
        elif not _fits(value, column.type):
            yield column.name, "wrong_type"
    known = {column.name for column in columns}
    yield from ((name, "unknown") for name in inputs if name not in known)


def _fits(value: object, wanted: str) -> bool:
    """Say whether a JSON value has the column's type; 3.0 is an integer, true is no number."""
    if wanted == "string":
        return isinstance(value, str)
    if isinstance(value, bool) or wanted == "boolean":
        return isinstance(value, bool) and wanted == "boolean"
    if isinstance(value, float):
        return isfinite(value) and (wanted == "number" or value.is_integer())
    return isinstance(value, int)
