"""Opening an ONNX graph to hold its inputs against a manifest; no model code runs."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from waystage.plugin import Column

_TEXT = "string"


class GraphInput(NamedTuple):
    """One input of a graph: width is its second dimension, None when it is not fixed."""

    name: str
    type: str
    width: int | None


class UnopenedError(Exception):
    """No library to open ONNX graphs is installed."""


def graph_problems(path: Path, columns: tuple[Column, ...]) -> list[str]:
    """Say why the graph is not one for these columns; raises `UnopenedError`.

    A graph takes either one input per column, by name, or one input with all columns.
    """
    try:
        inputs = _inputs(path)
    except UnopenedError:
        raise
    except Exception as error:  # noqa: BLE001  # whatever a parser raises, the file is not one
        return [f"{path.name} cannot be opened as an ONNX graph: {_first_line(error)}"]
    return input_problems(path.name, inputs, columns)


def input_problems(file: str, inputs: list[GraphInput], columns: tuple[Column, ...]) -> list[str]:
    """Say why these columns are not what a model takes, by name or all in one input."""
    if len(inputs) == 1 and (len(columns) != 1 or inputs[0].name != columns[0].name):
        return _matrix_problems(file, inputs[0], columns)
    return _named_problems(file, inputs, columns)


def _inputs(path: Path) -> list[GraphInput]:
    try:
        import onnx
    except ImportError:
        return _inputs_by_runtime(path)
    onnx.checker.check_model(str(path))
    graph = onnx.load(str(path), load_external_data=False).graph
    constants = {initializer.name for initializer in graph.initializer}
    return [_by_onnx(value) for value in graph.input if value.name not in constants]


def _by_onnx(value: object) -> GraphInput:
    import onnx

    tensor = value.type.tensor_type  # type: ignore[attr-defined]  # onnx has no types
    sizes = [d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim]
    kind = onnx.TensorProto.DataType.Name(tensor.elem_type).lower()
    return GraphInput(value.name, kind, sizes[1] if len(sizes) > 1 else 1)  # type: ignore[attr-defined]  # onnx has no types


def _inputs_by_runtime(path: Path) -> list[GraphInput]:
    try:
        import onnxruntime
    except ImportError as error:
        raise UnopenedError from error
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return [
        GraphInput(
            value.name,
            value.type.removeprefix("tensor(").rstrip(")"),
            _width(value.shape),
        )
        for value in session.get_inputs()
    ]


def _width(shape: list[object]) -> int | None:
    if len(shape) < 2:
        return 1
    return shape[1] if isinstance(shape[1], int) else None


def _matrix_problems(file: str, one: GraphInput, columns: tuple[Column, ...]) -> list[str]:
    problems = []
    if one.width is not None and one.width != len(columns):
        problems.append(
            f"{file} takes {one.width} columns in {one.name!r}, "
            f"the manifest has {len(columns)} inputs"
        )
    texts = [column.name for column in columns if (column.type == _TEXT) != (one.type == _TEXT)]
    if texts:
        problems.append(f"{file} takes {one.type} in {one.name!r}, which {texts[0]!r} is not")
    return problems


def _named_problems(file: str, inputs: list[GraphInput], columns: tuple[Column, ...]) -> list[str]:
    has, wants = {i.name: i for i in inputs}, {c.name: c for c in columns}
    problems = [f"{file} wants input {n!r}, the manifest has none" for n in has if n not in wants]
    problems += [f"the manifest has input {n!r}, {file} has none" for n in wants if n not in has]
    for name in has.keys() & wants.keys():
        if (has[name].type == _TEXT) != (wants[name].type == _TEXT):
            problems.append(
                f"input {name!r} is {wants[name].type} in the manifest, {has[name].type} in {file}"
            )
    return sorted(problems)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
