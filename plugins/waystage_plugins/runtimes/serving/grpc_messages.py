"""TensorFlow Serving's messages as rows, and scores as its messages."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from waystage.errors import Hopeless
from waystage_plugins.runtimes.serving import protocol
from waystage_plugins.runtimes.serving.desk import Scored
from waystage_plugins.runtimes.serving.models import Version
from waystage_plugins.runtimes.serving.protocol import Problem, Rows, Target
from waystage_plugins.steps.savedmodel import SIGNATURE
from waystage_plugins.tfserving.messages import DTYPES, STATES, message
from waystage_plugins.tfserving.tensors import NAMES, from_tensor, to_tensor

MOST_VALUES = 1 << 20  # of one tensor, whose shape may say more than its bytes hold
OUTPUTS = ("score", "probabilities")
NUMPY = {"object": "string", "float32": "float", "float64": "double", "bool": "bool"}
NUMBERS = {name: number for number, name in STATES.items()}
Read = Callable[[Sequence[str]], Rows]


def target(spec: Any) -> Target:
    """Give what a `ModelSpec` asks for."""
    if spec.signature_name not in ("", SIGNATURE):
        raise Problem(400, f"Serving signature name: {spec.signature_name[:200]!r} not found")
    chosen = spec.WhichOneof("version_choice")
    version = str(spec.version.value) if chosen == "version" else ""
    label = spec.version_label if chosen == "version_label" else ""
    return Target(spec.name, version, label, False, "")


def read_inputs(inputs: Mapping[str, Any]) -> Read:
    """Give the reader of a tensor per column."""
    return lambda columns: protocol.read_rows(
        "predict", {"inputs": {name: _values(name, each) for name, each in inputs.items()}}, columns
    )


def read_examples(given: Any) -> Read:
    """Give the reader of `tf.Example`s, each a row."""

    def read(columns: Sequence[str]) -> Rows:
        kind = given.WhichOneof("kind")
        if kind is None:
            raise Problem(400, "Input is empty: it has neither example_list nor one with context")
        told = getattr(given, kind)
        context = _features(told.context) if kind == "example_list_with_context" else {}
        rows = [_features(each) for each in told.examples]
        return protocol.read_rows("classify", {"examples": rows, "context": context}, columns)

    return read


def outputs(asked: Sequence[str]) -> list[str]:
    """Give the outputs that a request asks for, all where it names none."""
    if unknown := sorted(set(asked) - {*OUTPUTS}):
        raise Problem(400, f"output tensor alias not found in signature: {unknown[0][:200]}")
    return [*asked] or [*OUTPUTS]


def prediction(done: Scored, wanted: Sequence[str]) -> Any:
    """Give those of the two outputs that are wanted as tensors."""
    scores = _numbers(done)
    both = [[1 - score, score] for score in scores]
    made = message("PredictResponse")()
    for name in wanted:
        values: list[Any] = [*scores] if name == "score" else [*both]
        made.outputs[name].CopyFrom(to_tensor("double", values))
    _name(made.model_spec, done.version)
    return made


def classification(done: Scored) -> Any:
    """Give the scores as two classes, `0` and `1`."""
    made = message("ClassificationResponse")()
    for score in _numbers(done):
        classes = made.result.classifications.add().classes
        classes.add(label="0", score=1 - score)
        classes.add(label="1", score=score)
    _name(made.model_spec, done.version)
    return made


def regression(done: Scored) -> Any:
    """Give the scores as numbers."""
    made = message("RegressionResponse")()
    for score in _numbers(done):
        made.result.regressions.add(value=score)
    _name(made.model_spec, done.version)
    return made


def signature(model: str, version: Version) -> Any:
    """Give what a version takes and answers."""
    told = message("SignatureDefMap")()
    found = told.signature_def[SIGNATURE]
    found.method_name = "tensorflow/serving/predict"
    for name, dtype in (version.model.columns if version.model else {}).items():
        _info(found.inputs[name], name, NUMPY.get(dtype, dtype), [-1, 1])
    _info(found.outputs["score"], "score", "double", [-1])
    _info(found.outputs["probabilities"], "probabilities", "double", [-1, 2])
    made = message("GetModelMetadataResponse")()
    made.metadata["signature_def"].Pack(told)
    made.model_spec.name = model
    made.model_spec.version.value = version.number
    return made


def status(versions: Sequence[Version]) -> Any:
    """Give the state of versions, the newest first."""
    made = message("GetModelStatusResponse")()
    for each in sorted(versions, key=lambda version: -version.number):
        told = made.model_version_status.add(version=each.number, state=NUMBERS[each.state])
        told.status.error_code = 2 if each.state == "END" else 0  # UNKNOWN, as REST says it
        told.status.error_message = each.error
    return made


def _values(name: str, tensor: Any) -> list[Any]:
    sizes = [dim.size for dim in tensor.tensor_shape.dim]
    if tensor.dtype not in NAMES:
        raise Problem(400, f"input {name[:200]!r}: tensors of type {tensor.dtype} are not read")
    if min(sizes, default=0) < 0 or math.prod(sizes) > MOST_VALUES:
        raise Problem(400, f"input {name[:200]!r} has the shape {sizes[:10]}, which is not taken")
    try:
        values = from_tensor(tensor)
    except Hopeless:
        text = f"input {name[:200]!r}: its bytes are not those of its shape"
        raise Problem(400, text) from None
    return values if isinstance(values, list) else [values]


def _features(example: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, feature in example.features.feature.items():
        kind = feature.WhichOneof("kind")
        values = list(getattr(feature, kind).value) if kind else []
        if kind == "bytes_list":
            values = [value.decode(errors="replace") for value in values]
        if values:  # a feature without values is a column that is missing
            found[name] = values if len(values) > 1 else values[0]
    return found


def _numbers(done: Scored) -> list[float]:
    return [math.nan if score is None else score for score in done.scores]


def _name(spec: Any, version: Version) -> None:
    spec.version.value = version.number
    spec.signature_name = SIGNATURE


def _info(into: Any, name: str, dtype: str, sizes: Sequence[int]) -> None:
    into.name, into.dtype = f"{name}:0", DTYPES[dtype][0]
    for size in sizes:
        into.tensor_shape.dim.add(size=size)
