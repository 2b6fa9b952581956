"""Rows of JSON values as the tensors that a graph takes; every refusal names row and column."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from waystage.errors import Hopeless

if TYPE_CHECKING:
    import numpy as np

Kind = Literal["number", "integer", "string", "boolean"]
Row = Mapping[str, Any]

# what a graph's tensors hold: numpy's name, and what a column without a manifest would be
TENSORS: dict[str, tuple[str, Kind]] = {
    "tensor(string)": ("object", "string"),
    "tensor(float)": ("float32", "number"),
    "tensor(double)": ("float64", "number"),
    "tensor(int64)": ("int64", "integer"),
    "tensor(int32)": ("int32", "integer"),
    "tensor(bool)": ("bool", "boolean"),
}


class BadRows(ValueError):
    """Rows that the model cannot score; the text says which row, which column and why."""


@dataclass(frozen=True)
class Filler:
    """How a column's values get into a tensor of one type."""

    name: str
    kind: Kind
    dtype: str

    def fill(self, rows: Sequence[Row]) -> np.ndarray[Any, Any]:
        """Give the column's values, one per row; raises `BadRows`."""
        import numpy as np

        check = CHECKS["integer" if self.dtype.startswith("int") else self.kind]
        values = [self._value(number, row, check) for number, row in enumerate(rows)]
        try:
            with np.errstate(over="ignore"):
                column = np.array(values, dtype=self.dtype)
        except OverflowError as error:
            raise BadRows(f"column {self.name!r}: a number is too large") from error
        if self.dtype.startswith("float") and not np.isfinite(column).all():
            number = int(np.flatnonzero(~np.isfinite(column))[0])
            raise BadRows(f"row {number}: column {self.name!r}: {values[number]!r} is too large")
        return column

    def _value(self, number: int, row: Row, check: Callable[[Any], bool]) -> Any:
        try:
            value = row[self.name]
        except KeyError:
            raise BadRows(f"row {number}: column {self.name!r} is missing") from None
        if isinstance(value, list) and len(value) == 1:
            value = value[0]  # a row of a tensor [rows, 1], as clients of tensors send it
        if not check(value):
            said = "nothing" if value is None else repr(value)[:60]
            raise BadRows(f"row {number}: column {self.name!r} is {WORDS[self.kind]}, not {said}")
        return value


def filler(name: str, tensor: str, kind: Kind | None) -> Filler:
    """Pair a column with the tensor it goes to; raises `Hopeless` where they do not fit."""
    if tensor not in TENSORS:
        raise Hopeless(f"input {name!r} of the graph is {tensor}, which no column can fill")
    dtype, own = TENSORS[tensor]
    kind = kind or own
    if (kind == "string") != (own == "string") or (own == "boolean" and kind != own):
        raise Hopeless(f"column {name!r} is {kind} in the manifest but {tensor} in the graph")
    return Filler(name, kind, dtype)


def check_names(rows: Sequence[Row], known: Sequence[str]) -> None:
    """Refuse rows with columns that the model does not have."""
    allowed = set(known)
    for number, row in enumerate(rows):
        if unknown := sorted(str(name) for name in row if name not in allowed):
            some = ", ".join(known[:20]) + (", …" if len(known) > 20 else "")
            raise BadRows(f"row {number}: unknown column {unknown[0]!r}; the model takes {some}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_whole(value: Any) -> bool:
    return _is_number(value) and value == int(value)


CHECKS: dict[Kind, Callable[[Any], bool]] = {
    "number": _is_number,
    "integer": _is_whole,
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
}
WORDS: dict[Kind, str] = {
    "number": "a finite number",
    "integer": "a whole number",
    "string": "text",
    "boolean": "true or false",
}
