"""TensorFlow Serving's gRPC interface: scoring, what is loaded, and what shall be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from waystage.errors import Hopeless, Retryable
from waystage.plugin import JsonObject
from waystage_plugins.steps.savedmodel import SIGNATURE, TYPES, Signature, Tensor
from waystage_plugins.tfserving.messages import MISSING, STATES, message
from waystage_plugins.tfserving.models_config import ServedModel
from waystage_plugins.tfserving.rest import VersionState
from waystage_plugins.tfserving.tensors import from_tensor, to_example, to_tensor

SECONDS = 30.0
LARGEST = 64 << 20  # bytes of an answer
PREDICTION, MODEL = "tensorflow.serving.PredictionService", "tensorflow.serving.ModelService"
PASSING = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "ABORTED", "NOT_FOUND")


class Grpc:
    """A server. `target` chooses a version: a number, a label, or `` for the latest one."""

    def __init__(
        self, channel: Any, address: str, metadata: Sequence[tuple[str, str]] = ()
    ) -> None:
        self._channel, self._address, self._metadata = channel, address, tuple(metadata)

    def status(self, model: str, target: int | str = "") -> dict[int, VersionState]:
        """Give the state of a model's versions."""
        asked = message("GetModelStatusRequest")(model_spec=_spec(model, target))
        told = self._call(MODEL, "GetModelStatus", asked, "GetModelStatusResponse")
        return {
            each.version: VersionState(STATES.get(each.state, "UNKNOWN"),
                                       each.status.error_message if each.status.error_code else "")
            for each in told.model_version_status
        }  # fmt: skip

    def reload(self, models: Sequence[ServedModel]) -> None:
        """Have the server load these versions and labels and no others.

        Raises `Hopeless` with the server's words when it will not, as for a label of a version
        that is not loaded; what it served before it goes on serving.
        """
        asked = message("ReloadConfigRequest")()
        asked.config.model_config_list.SetInParent()  # also when there is nothing to load
        for model in models:
            _fill(asked.config.model_config_list.config.add(), model)
        told = self._call(MODEL, "HandleReloadConfigRequest", asked, "ReloadConfigResponse")
        if told.status.error_code:
            raise Hopeless(f"{self._address} refuses: {told.status.error_message[:500]}")

    def signature(self, model: str, target: int | str = "") -> Signature:
        """Give the signature that is served by default; raises `Hopeless` when there is none."""
        asked = message("GetModelMetadataRequest")(
            model_spec=_spec(model, target), metadata_field=["signature_def"]
        )
        told = self._call(PREDICTION, "GetModelMetadata", asked, "GetModelMetadataResponse")
        found = message("SignatureDefMap")()
        told.metadata["signature_def"].Unpack(found)
        if SIGNATURE not in found.signature_def:
            raise Hopeless(f"{model} at {self._address} has no signature {SIGNATURE!r}")
        return _signature(found.signature_def[SIGNATURE])

    def predict(
        self, model: str, inputs: Mapping[str, Any], signature: Signature, target: int | str = ""
    ) -> dict[str, Any]:
        """Give the values of each output for these values of each input, a list per row."""
        asked = predict_request(model, inputs, signature, target)
        told = self._call(PREDICTION, "Predict", asked, "PredictResponse")
        return {name: from_tensor(each) for name, each in told.outputs.items()}

    def classify(
        self, model: str, rows: Sequence[JsonObject], target: int | str = "",
        whole: Mapping[str, bool] | None = None,
    ) -> list[list[tuple[str, float]]]:  # fmt: skip
        """Give the classes of each row with their scores."""
        asked = _of_examples("ClassificationRequest", model, rows, target, whole)
        told = self._call(PREDICTION, "Classify", asked, "ClassificationResponse")
        return [[(each.label, each.score) for each in row.classes]
                for row in told.result.classifications]  # fmt: skip

    def regress(
        self, model: str, rows: Sequence[JsonObject], target: int | str = "",
        whole: Mapping[str, bool] | None = None,
    ) -> list[float]:  # fmt: skip
        """Give one number for each row."""
        asked = _of_examples("RegressionRequest", model, rows, target, whole)
        told = self._call(PREDICTION, "Regress", asked, "RegressionResponse")
        return [each.value for each in told.result.regressions]

    def _call(self, service: str, method: str, asked: Any, answer: str) -> Any:
        import grpc

        call = self._channel.unary_unary(
            f"/{service}/{method}",
            request_serializer=lambda each: each.SerializeToString(),
            response_deserializer=message(answer).FromString,
        )
        try:
            return call(asked, timeout=SECONDS, metadata=self._metadata)
        except grpc.RpcError as error:
            code = error.code().name
            line = " ".join(str(error.details()).split())[:500]
            kind = Retryable if code in PASSING else Hopeless
            raise kind(f"{self._address} {method}: {code}: {line}") from None


@contextmanager
def over_grpc(address: str, metadata: Sequence[tuple[str, str]] = ()) -> Iterator[Grpc]:
    """Reach a server at `host:port`, without TLS; raises `Hopeless` where gRPC is not installed.

    `metadata` goes with every call.
    """
    try:
        import grpc
    except ImportError:
        raise Hopeless(MISSING) from None
    options = [("grpc.max_receive_message_length", LARGEST), ("grpc.enable_http_proxy", 0)]
    with grpc.insecure_channel(address, options=options) as channel:
        yield Grpc(channel, address, metadata)


def predict_request(
    model: str, inputs: Mapping[str, Any], signature: Signature, target: int | str = ""
) -> Any:
    """Give a `PredictRequest`."""
    made = message("PredictRequest")(model_spec=_spec(model, target, SIGNATURE))
    for name, values in inputs.items():
        made.inputs[name].CopyFrom(to_tensor(signature.inputs[name].type, values))
    return made


def _spec(model: str, target: int | str, signature: str = "") -> Any:
    made = message("ModelSpec")(name=model, signature_name=signature)
    if isinstance(target, int):
        made.version.value = target
    elif target:
        made.version_label = target
    return made


def _of_examples(
    kind: str, model: str, rows: Sequence[JsonObject], target: int | str,
    whole: Mapping[str, bool] | None,
) -> Any:  # fmt: skip
    made = message(kind)(model_spec=_spec(model, target))
    for row in rows:
        made.input.example_list.examples.append(to_example(row, whole or {}))
    return made


def _fill(into: Any, model: ServedModel) -> None:
    into.name, into.base_path, into.model_platform = model.name, model.base_path, model.platform
    chosen = getattr(into.model_version_policy, model.versions.policy)
    if model.versions.policy == "latest":
        chosen.num_versions = model.versions.count
    elif model.versions.policy == "specific":
        chosen.versions.extend(model.versions.numbers)
    else:
        chosen.SetInParent()
    for label, number in model.labels.items():
        into.version_labels[label] = number


def _signature(told: Any) -> Signature:
    return Signature(
        told.method_name,
        {name: _tensor(each) for name, each in told.inputs.items()},
        {name: _tensor(each) for name, each in told.outputs.items()},
    )


def _tensor(told: Any) -> Tensor:
    shape = told.tensor_shape
    sizes = None if shape.unknown_rank else tuple(dim.size for dim in shape.dim)
    return Tensor(TYPES.get(told.dtype, f"type {told.dtype}"), sizes)
