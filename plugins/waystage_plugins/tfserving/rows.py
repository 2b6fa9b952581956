"""Rows of named columns as what a signature takes: one list of values per input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from waystage.errors import Hopeless
from waystage.plugin import Json, JsonObject
from waystage_plugins.steps.savedmodel import Signature, Tensor

INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


def inputs_of(
    signature: Signature, rows: Sequence[JsonObject], columns: Sequence[str]
) -> dict[str, list[Any]]:
    """Give the values of each input, one per row, in the shape that the signature has.

    An input takes the column of its name; a model with one input that is no column takes all
    `columns` side by side. Raises `Hopeless` naming what does not fit.
    """
    if not rows:
        raise Hopeless("there are no rows to score")
    wide = _wide(signature, columns or tuple(rows[0]))
    found: dict[str, list[Any]] = {}
    for name, tensor in signature.inputs.items():
        taken = columns or tuple(rows[0])
        values = [[_column(row, each) for each in (taken if wide else (name,))] for row in rows]
        found[name] = [_shaped(name, tensor, each, wide=wide) for each in values]
    return found


def instances(inputs: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Give the same values row by row, as `instances` of the REST protocol has them."""
    count = len(next(iter(inputs.values())))
    return [{name: values[n] for name, values in inputs.items()} for n in range(count)]


def score_in(prediction: Json) -> Json:
    """Give the score of one prediction: a number, the last of a list, the one output of a dict."""
    if isinstance(prediction, dict):
        if "score" in prediction:
            return score_in(prediction["score"])
        if len(prediction) != 1:
            raise Hopeless(
                f"the model answers {', '.join(sorted(prediction))}: which is the score?"
            )
        return score_in(next(iter(prediction.values())))
    if isinstance(prediction, list):
        return score_in(prediction[-1]) if prediction else None
    return prediction


def _wide(signature: Signature, columns: Sequence[str]) -> bool:
    return len(signature.inputs) == 1 and next(iter(signature.inputs)) not in columns


def _column(row: JsonObject, name: str) -> Json:
    if name not in row:
        raise Hopeless(f"the model takes an input {name!r} that the row does not have")
    return row[name]


def _shaped(name: str, tensor: Tensor, values: list[Any], *, wide: bool) -> Any:
    values = [_typed(name, tensor, each) for each in values]
    if wide:
        return values
    value = values[0]
    if tensor.shape is None or len(tensor.shape) < 2 or isinstance(value, list):
        return value
    if len(tensor.shape) > 2 or tensor.shape[1] not in (-1, 1):
        raise Hopeless(f"input {name!r} has the shape {list(tensor.shape)}: one column is not that")
    return [value]


def _typed(name: str, tensor: Tensor, value: Any) -> Any:
    """Give whole numbers as such where the signature wants them, also when they are `20.0`."""
    if tensor.type not in INTEGERS or not isinstance(value, float):
        return value
    if value != int(value):
        raise Hopeless(f"input {name!r} takes whole numbers, not {value}")
    return int(value)
