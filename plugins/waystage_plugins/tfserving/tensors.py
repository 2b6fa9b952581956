"""Lists of values as TensorFlow's tensors and examples on the wire, and back again."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any

from waystage.errors import Hopeless
from waystage.plugin import JsonObject
from waystage_plugins.tfserving.messages import DTYPES, TF, message

# how values lie in `tensor_content`, which servers answer with
LAYOUTS = {"float": "f", "double": "d", "int32": "i", "uint8": "B", "int16": "h", "int8": "b",
           "int64": "q", "bool": "?", "uint32": "I", "uint64": "Q"}  # fmt: skip
NAMES = {number: name for name, (number, _) in DTYPES.items()}


def to_tensor(dtype: str, values: Sequence[Any]) -> Any:
    """Give a `TensorProto` of values, one per row; each may be a list of values itself."""
    if dtype not in DTYPES:
        raise Hopeless(f"tensors of type {dtype} cannot be sent; known are {', '.join(DTYPES)}")
    number, field = DTYPES[dtype]
    made = message("TensorProto", TF)(dtype=number)
    for size in _shape(values):
        made.tensor_shape.dim.add(size=size)
    flat = _flat(values)
    try:
        getattr(made, field).extend(v.encode() if dtype == "string" else v for v in flat)
    except (TypeError, ValueError, AttributeError) as error:
        raise Hopeless(f"a tensor of type {dtype} cannot hold {flat[0]!r}: {error}") from None
    return made


def from_tensor(tensor: Any) -> Any:
    """Give the values of a `TensorProto` as nested lists; raises `Hopeless` for unknown types."""
    name = NAMES.get(tensor.dtype)
    if name is None:
        raise Hopeless(f"the server answers a tensor of type {tensor.dtype}, which is not read")
    shape = [dim.size for dim in tensor.tensor_shape.dim]
    count = math.prod(shape)
    if tensor.tensor_content:
        layout = LAYOUTS[name]
        if struct.calcsize(layout) * count != len(tensor.tensor_content):
            raise Hopeless("the server answers a tensor whose bytes are not of its shape")
        values: list[Any] = list(struct.unpack(f"<{count}{layout}", tensor.tensor_content))
    else:
        values = list(getattr(tensor, DTYPES[name][1]))
        values = [v.decode(errors="replace") if isinstance(v, bytes) else v for v in values]
        # a tensor of one value throughout may be written with that value alone
        values += values[-1:] * (count - len(values))
    return _nested(values, shape)


def to_example(row: JsonObject, whole: Mapping[str, bool]) -> Any:
    """Give a row as `tf.Example`; numbers are integers where `whole` says so, else floats."""
    made = message("Example", TF)()
    for name, value in row.items():
        feature = made.features.feature[name]
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, str):
                feature.bytes_list.value.append(each.encode())
            elif isinstance(each, bool) or (isinstance(each, int) and whole.get(name, True)):
                feature.int64_list.value.append(int(each))
            elif isinstance(each, int | float):
                feature.float_list.value.append(float(each))
            else:
                raise Hopeless(f"column {name!r}: {each!r:.60} is no feature of an example")
    return made


def _shape(values: Any) -> list[int]:
    shape = []
    while isinstance(values, list | tuple):
        shape.append(len(values))
        values = values[0] if values else None
    return shape


def _flat(values: Any) -> list[Any]:
    if not isinstance(values, list | tuple):
        return [values]
    return [each for value in values for each in _flat(value)]


def _nested(values: list[Any], shape: list[int]) -> Any:
    if not shape:
        return values[0] if values else None
    step = len(values) // shape[0] if shape[0] else 0
    parts = (values[n * step : (n + 1) * step] for n in range(shape[0]))
    return [_nested(part, shape[1:]) for part in parts]
