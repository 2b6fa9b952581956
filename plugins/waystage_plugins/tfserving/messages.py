"""The messages of TensorFlow Serving's gRPC interface, as far as Waystage speaks it.

Names and numbers of fields are those of the public interface; enumerations are given as the
numbers that they are on the wire. The library (`protobuf`) comes with the extra `tfserving`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from waystage.errors import Hopeless

if TYPE_CHECKING:
    from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto

MISSING = "gRPC is not installed: pip install 'waystage[tfserving]'"
TF, SERVING = "tensorflow", "tensorflow.serving"
# of TensorFlow's types.proto: the number of a type, and the field that its values are in
DTYPES = {
    "float": (1, "float_val"), "double": (2, "double_val"), "int32": (3, "int_val"),
    "uint8": (4, "int_val"), "int16": (5, "int_val"), "int8": (6, "int_val"),
    "string": (7, "string_val"), "int64": (9, "int64_val"), "bool": (10, "bool_val"),
    "uint32": (22, "uint32_val"), "uint64": (23, "uint64_val"),
}  # fmt: skip
STATES = {0: "UNKNOWN", 10: "START", 20: "LOADING", 30: "AVAILABLE", 40: "UNLOADING", 50: "END"}

_POLICY = "FileSystemStoragePathSourceConfig.ServableVersionPolicy"
# message: {field: (number, type)}; `*` repeats, `{}` is a map from texts, `a|b` is of the choice b
_TF: dict[str, dict[str, tuple[int, str]]] = {
    "TensorShapeProto.Dim": {"size": (1, "int64"), "name": (2, "string")},
    "TensorShapeProto": {"dim": (2, "*TensorShapeProto.Dim"), "unknown_rank": (3, "bool")},
    "TensorProto": {
        "dtype": (1, "int32"), "tensor_shape": (2, "TensorShapeProto"),
        "tensor_content": (4, "bytes"), "float_val": (5, "*float"), "double_val": (6, "*double"),
        "int_val": (7, "*int32"), "string_val": (8, "*bytes"), "int64_val": (10, "*int64"),
        "bool_val": (11, "*bool"), "uint32_val": (16, "*uint32"), "uint64_val": (17, "*uint64"),
    },
    "TensorInfo": {
        "name": (1, "string"), "dtype": (2, "int32"), "tensor_shape": (3, "TensorShapeProto"),
    },
    "SignatureDef": {
        "inputs": (1, "{}TensorInfo"), "outputs": (2, "{}TensorInfo"),
        "method_name": (3, "string"),
    },
    "BytesList": {"value": (1, "*bytes")},
    "FloatList": {"value": (1, "*float")},
    "Int64List": {"value": (1, "*int64")},
    "Feature": {
        "bytes_list": (1, "BytesList|kind"), "float_list": (2, "FloatList|kind"),
        "int64_list": (3, "Int64List|kind"),
    },
    "Features": {"feature": (1, "{}Feature")},
    "Example": {"features": (1, "Features")},
}  # fmt: skip
_SERVING: dict[str, dict[str, tuple[int, str]]] = {
    "ModelSpec": {
        "name": (1, "string"), "version": (2, ".google.protobuf.Int64Value|version_choice"),
        "signature_name": (3, "string"), "version_label": (4, "string|version_choice"),
    },
    "StatusProto": {"error_code": (1, "int32"), "error_message": (2, "string")},
    "PredictRequest": {
        "model_spec": (1, "ModelSpec"), "inputs": (2, "{}.tensorflow.TensorProto"),
        "output_filter": (3, "*string"),
    },
    "PredictResponse": {
        "outputs": (1, "{}.tensorflow.TensorProto"), "model_spec": (2, "ModelSpec"),
    },
    "ExampleList": {"examples": (1, "*.tensorflow.Example")},
    "ExampleListWithContext": {
        "examples": (1, "*.tensorflow.Example"), "context": (2, ".tensorflow.Example"),
    },
    "Input": {
        "example_list": (1, "ExampleList|kind"),
        "example_list_with_context": (2, "ExampleListWithContext|kind"),
    },
    "ClassificationRequest": {"model_spec": (1, "ModelSpec"), "input": (2, "Input")},
    "Class": {"label": (1, "string"), "score": (2, "float")},
    "Classifications": {"classes": (1, "*Class")},
    "ClassificationResult": {"classifications": (1, "*Classifications")},
    "ClassificationResponse": {
        "result": (1, "ClassificationResult"), "model_spec": (2, "ModelSpec"),
    },
    "RegressionRequest": {"model_spec": (1, "ModelSpec"), "input": (2, "Input")},
    "Regression": {"value": (1, "float")},
    "RegressionResult": {"regressions": (1, "*Regression")},
    "RegressionResponse": {"result": (1, "RegressionResult"), "model_spec": (2, "ModelSpec")},
    "SignatureDefMap": {"signature_def": (1, "{}.tensorflow.SignatureDef")},
    "GetModelMetadataRequest": {"model_spec": (1, "ModelSpec"), "metadata_field": (2, "*string")},
    "GetModelMetadataResponse": {
        "model_spec": (1, "ModelSpec"), "metadata": (2, "{}.google.protobuf.Any"),
    },
    "GetModelStatusRequest": {"model_spec": (1, "ModelSpec")},
    "ModelVersionStatus": {
        "version": (1, "int64"), "state": (2, "int32"), "status": (3, "StatusProto"),
    },
    "GetModelStatusResponse": {"model_version_status": (1, "*ModelVersionStatus")},
    f"{_POLICY}.Latest": {"num_versions": (1, "uint32")},
    f"{_POLICY}.All": {},
    f"{_POLICY}.Specific": {"versions": (1, "*int64")},
    _POLICY: {
        "latest": (100, f"{_POLICY}.Latest|policy_choice"),
        "all": (101, f"{_POLICY}.All|policy_choice"),
        "specific": (102, f"{_POLICY}.Specific|policy_choice"),
    },
    "FileSystemStoragePathSourceConfig": {},
    "ModelConfig": {
        "name": (1, "string"), "base_path": (2, "string"), "model_platform": (4, "string"),
        "model_version_policy": (7, _POLICY),
        "version_labels": (8, "{}int64"),
    },
    "ModelConfigList": {"config": (1, "*ModelConfig")},
    "ModelServerConfig": {"model_config_list": (1, "ModelConfigList|config")},
    "ReloadConfigRequest": {"config": (1, "ModelServerConfig")},
    "ReloadConfigResponse": {"status": (1, "StatusProto")},
    "PredictLog": {"request": (1, "PredictRequest"), "response": (2, "PredictResponse")},
    "PredictionLog": {"predict_log": (6, "PredictLog|log_type")},
}  # fmt: skip


def message(name: str, package: str = SERVING) -> Any:
    """Give the class of a message; raises `Hopeless` when the library is not installed."""
    found = _pool().FindMessageTypeByName(f"{package}.{name}")
    from google.protobuf import message_factory

    return message_factory.GetMessageClass(found)


def installed() -> bool:
    """Whether gRPC and protocol buffers can be spoken here."""
    from importlib.util import find_spec

    return find_spec("grpc") is not None and find_spec("google.protobuf") is not None


@cache
def _pool() -> Any:
    """Describe the messages in a pool of their own, beside whatever TensorFlow brings itself."""
    try:
        from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, wrappers_pb2
    except ImportError:
        raise Hopeless(MISSING) from None
    pool = descriptor_pool.DescriptorPool()
    needed = []
    for known in (any_pb2, wrappers_pb2):
        pool.AddSerializedFile(known.DESCRIPTOR.serialized_pb)
        needed.append(known.DESCRIPTOR.name)
    for package, told in ((TF, _TF), (SERVING, _SERVING)):
        file = descriptor_pb2.FileDescriptorProto(
            name=f"waystage/{package}.proto", package=package, syntax="proto3", dependency=needed
        )
        _describe(file, package, told)
        pool.Add(file)
        needed = [*needed, file.name]
    return pool


def _describe(
    file: FileDescriptorProto, package: str, told: Mapping[str, Mapping[str, tuple[int, str]]]
) -> None:
    made: dict[str, DescriptorProto] = {}
    for path in sorted(told, key=lambda each: each.count(".")):  # outer ones first
        outer, _, name = path.rpartition(".")
        home = made[outer].nested_type if outer else file.message_type
        made[path] = home.add(name=name)
    for path, fields in told.items():
        for name, (number, kind) in fields.items():
            _field(made[path], f".{package}.{path}", name, number, kind)


def _field(into: DescriptorProto, path: str, name: str, number: int, told: str) -> None:
    kind, _, choice = told.partition("|")
    field = into.field.add(name=name, number=number, label=1)  # LABEL_OPTIONAL
    if kind.startswith("{}"):
        entry = into.nested_type.add(name="".join(w.title() for w in name.split("_")) + "Entry")
        entry.options.map_entry = True
        package = path.rpartition(".")[0]
        _field(entry, f"{package}.x", "key", 1, "string")
        _field(entry, f"{package}.x", "value", 2, kind[2:])
        kind = f"*{path}.{entry.name}"
    if kind.startswith("*"):
        field.label, kind = 3, kind[1:]  # LABEL_REPEATED
    if choice:
        names = [each.name for each in into.oneof_decl]
        if choice not in names:
            into.oneof_decl.add(name=choice)
            names.append(choice)
        field.oneof_index = names.index(choice)
    scalar = getattr(type(field), f"TYPE_{kind.upper()}", None)
    if scalar is not None:
        field.type = scalar
    else:
        field.type = 11  # TYPE_MESSAGE
        field.type_name = kind if kind.startswith(".") else f".{_package(path)}.{kind}"


def _package(path: str) -> str:
    return SERVING if path.startswith(f".{SERVING}.") else TF
