"""A scorer over one ONNX file whose graph holds the preprocessing too."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from waystage.errors import Hopeless
from waystage.plugin import Snapshot


class BadRows(ValueError):
    """Rows that the model cannot score; the text says which row, which column and why."""


class OnnxModel:
    """Scores rows; one input tensor per column, shape `[rows, 1]`, as the manifest names them."""

    def __init__(self, directory: Path, snapshot: Snapshot) -> None:
        import onnxruntime as ort

        files = sorted(directory.glob("*.onnx"))
        if len(files) != 1:
            raise Hopeless(f"{directory.name}: holds {len(files)} .onnx files, not one")
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(
                str(files[0]), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # the library raises types of its own
            raise Hopeless(f"{files[0].name} cannot be loaded: {error}") from error
        self._kinds = {each.name: each.type for each in self._session.get_inputs()}
        self._columns = [column.name for column in snapshot.inputs] or list(self._kinds)
        self._outputs = [each.name for each in self._session.get_outputs()]
        if set(self._columns) != set(self._kinds):
            different = sorted(set(self._columns) ^ set(self._kinds))
            raise Hopeless(f"columns of manifest and graph differ: {', '.join(different)}")

    @property
    def columns(self) -> dict[str, str]:
        """Each input column with the graph's type of it, `tensor(float)`."""
        return {name: self._kinds[name] for name in self._columns}

    def score(self, rows: list[dict[str, Any]]) -> list[float]:
        """Give the probability of the event (class 1) per row; raises `BadRows`."""
        import numpy as np

        feed = {name: self._tensor(name, rows) for name in self._columns}
        answers = dict(zip(self._outputs, self._session.run(None, feed), strict=True))
        named = [name for name in self._outputs if "prob" in name.lower()]
        values = np.asarray(answers[named[0] if named else self._outputs[-1]], dtype="float64")
        if values.ndim == 2:
            values = values[:, 1] if values.shape[1] == 2 else values[:, 0]
        return [float(value) for value in values.reshape(len(rows), -1)[:, 0]]

    def _tensor(self, name: str, rows: list[dict[str, Any]]) -> Any:
        import numpy as np

        text = self._kinds[name] == "tensor(string)"
        values = [self._value(name, text, number, row) for number, row in enumerate(rows)]
        kind: Any = object if text else "int64" if "int64" in self._kinds[name] else "float32"
        return np.array(values, dtype=kind).reshape(-1, 1)

    def _value(self, name: str, text: bool, number: int, row: dict[str, Any]) -> Any:
        unknown = row.keys() - self._kinds.keys()
        if unknown:
            raise BadRows(f"row {number}: unknown column {min(unknown)!r}")
        if name not in row:
            raise BadRows(f"row {number}: column {name!r} is missing")
        value = row[name]
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if text:
            if not isinstance(value, str):
                raise BadRows(f"row {number}: column {name!r} is text, not {value!r}")
            return value
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not math.isfinite(value)
        ):
            raise BadRows(f"row {number}: column {name!r} is a finite number, not {value!r}")
        return value
