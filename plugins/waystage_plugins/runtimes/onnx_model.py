"""A scorer over one ONNX file whose graph holds the preprocessing too."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from waystage.errors import Hopeless
from waystage.plugin import Snapshot
from waystage_plugins.runtimes.tensors import BadRows, Filler, Row, check_names, filler

__all__ = ["BadRows", "OnnxModel"]


class OnnxModel:
    """Scores rows with a graph that takes one tensor per column, or one with all columns.

    The manifest's inputs name the columns and their order; without them the graph does.
    The score is the probability of the event: of class 1 where the output has two classes.
    """

    def __init__(self, directory: Path, snapshot: Snapshot, *, threads: int = 1) -> None:
        self._session = _session(_only_graph(directory), threads)
        inputs = {each.name: each for each in self._session.get_inputs()}
        _check_batches(inputs)
        self._fillers = _fillers(inputs, snapshot)
        self._matrix = next(iter(inputs)) if _is_matrix(inputs, snapshot) else None
        self._ranks = {name: len(each.shape or []) for name, each in inputs.items()}
        self._output = _output(self._session.get_outputs(), snapshot)

    @property
    def columns(self) -> dict[str, str]:
        """Each column with numpy's name for its type, in order; text is `object`."""
        return {each.name: each.dtype for each in self._fillers}

    def score(self, rows: Sequence[Row]) -> list[float | None]:
        """Give the probability of the event per row, None where the model gives no number.

        Raises `BadRows` naming row and column, `Hopeless` when the graph itself fails.
        """
        if not rows:
            return []
        check_names(rows, [each.name for each in self._fillers])
        feed = self._feed(rows)
        try:
            (answer,) = self._session.run([self._output], feed)
        except Exception as error:  # the library raises types of its own
            raise Hopeless(f"the model fails on these rows: {_first_line(error)}") from error
        return _scores(answer, len(rows), self._output)

    def warm_up(self, rows: Sequence[Row]) -> None:
        """Score rows once, so that the first request is as fast as the others.

        Rows that do not fit are no fault of the model; raises `Hopeless` as `score` does.
        """
        try:
            self.score(rows[:1])
        except BadRows as error:
            print(f"the example rows cannot be scored: {error}", flush=True)

    def _feed(self, rows: Sequence[Row]) -> dict[str, Any]:
        import numpy as np

        filled = {each.name: each.fill(rows) for each in self._fillers}
        if self._matrix is not None:
            return {self._matrix: np.column_stack(list(filled.values()))}
        return {
            name: column if self._ranks[name] == 1 else column.reshape(-1, 1)
            for name, column in filled.items()
        }


def _only_graph(directory: Path) -> Path:
    files = sorted(directory.rglob("*.onnx"))
    if len(files) != 1:
        names = ", ".join(file.name for file in files) or "none"
        raise Hopeless(f"a model has one .onnx file, here are {len(files)}: {names}")
    return files[0]


def _session(graph: Path, threads: int) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise Hopeless(
            "onnxruntime is not installed where models are scored: "
            "pip install 'waystage[onnx]'"
        ) from error  # fmt: skip
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the library raises types of its own
        raise Hopeless(f"{graph.name} cannot be loaded: {_first_line(error)}") from error


def _is_matrix(inputs: Mapping[str, Any], snapshot: Snapshot) -> bool:
    names = [column.name for column in snapshot.inputs]
    return len(inputs) == 1 and bool(names) and names != list(inputs)


def _fillers(inputs: Mapping[str, Any], snapshot: Snapshot) -> list[Filler]:
    if not snapshot.inputs:
        return [filler(name, each.type, None) for name, each in inputs.items()]
    kinds = {column.name: column.type for column in snapshot.inputs}
    if _is_matrix(inputs, snapshot):
        (one,) = inputs.values()
        width = one.shape[1] if len(one.shape) == 2 else 0
        if isinstance(width, int) and width != len(kinds):
            raise Hopeless(
                f"input {one.name!r} of the graph takes {width} columns, the manifest has "
                f"{len(kinds)}"
            )
        return [filler(name, one.type, kind) for name, kind in kinds.items()]
    if different := sorted(kinds.keys() ^ inputs.keys()):
        raise Hopeless(f"columns of manifest and graph differ: {', '.join(different)}")
    return [filler(name, inputs[name].type, kind) for name, kind in kinds.items()]


def _check_batches(inputs: Mapping[str, Any]) -> None:
    for name, each in inputs.items():
        if each.shape and isinstance(each.shape[0], int):
            raise Hopeless(
                f"input {name!r} of the graph takes exactly {each.shape[0]} rows; export it with "
                f"a first dimension that is not fixed (None)"
            )


def _output(outputs: Sequence[Any], snapshot: Snapshot) -> str:
    """Choose the output with the probabilities: as the manifest says, else by type and name."""
    floats = [each.name for each in outputs if each.type in ("tensor(float)", "tensor(double)")]
    named = [column.name for column in snapshot.outputs if column.name in floats]
    likely = named or (floats if len(floats) == 1 else [n for n in floats if "prob" in n.lower()])
    if likely:
        return str(likely[0])
    if any(each.type.startswith("seq(map(") for each in outputs):
        raise Hopeless("the graph answers a list of maps; export it with zipmap switched off")
    found = ", ".join(f"{each.name} {each.type}" for each in outputs)
    raise Hopeless(f"none of the graph's outputs is a probability ({found}); name it in outputs:")


def _scores(answer: Any, rows: int, name: str) -> list[float | None]:
    shape = answer.shape
    width = shape[1] if len(shape) == 2 else 1
    if not shape or shape[0] != rows or len(shape) > 2 or width not in (1, 2):
        raise Hopeless(
            f"output {name!r} has shape {list(shape)} for {rows} rows; a score is the probability "
            f"of one event: [rows], [rows, 1] or [rows, 2]"
        )
    column = answer if len(shape) == 1 else answer[:, -1]
    return [float(value) if math.isfinite(value) else None for value in column]


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
