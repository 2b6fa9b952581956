"""What MLflow knows of a model version, in the words of a snapshot's manifest."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from waystage.errors import Hopeless
from waystage.plugin import JsonObject
from waystage_plugins.repositories.manifest import merged, read_manifest
from waystage_plugins.repositories.mlflow_files import EXAMPLE, MODEL
from waystage_plugins.repositories.tree import MANIFEST

KEY = "waystage.key"  # tag: under which key Waystage registered the version
DIGEST = "waystage.digest"  # tag: what the version's files were when it was registered
OURS = ("waystage.", "mlflow.")
SERVICES, AUTHOR = "services", "author"
MAX_EXAMPLE = 20
NOT_FROM_MANIFEST = ("name", "version", "digest", "files", "key", "registered", "repository")
TYPES = {
    "double": "number", "float": "number", "integer": "integer", "long": "integer",
    "string": "string", "boolean": "boolean", "datetime": "string", "binary": "string",
}  # fmt: skip
TENSORS = (
    (r"u?int\d+", "integer"), (r"float\d+", "number"), (r"bool", "boolean"),
    (r"str|object|string|<U\d+", "string"),
)  # fmt: skip


def tags_of(entry: Mapping[str, Any]) -> dict[str, str]:
    """Give the tags of a version, a registered model or a run's data as a map."""
    return {str(tag["key"]): str(tag.get("value", "")) for tag in entry.get("tags", [])}


def services_of(tags: Mapping[str, str]) -> list[str]:
    """Give the services that a tag names, between commas or spaces."""
    return [name for name in re.split(r"[,\s]+", tags.get(SERVICES, "")) if name]


def described(
    tags: Mapping[str, str], run: Mapping[str, Any], home: Path, files: Iterable[str]
) -> JsonObject:
    """Give the fields of a manifest that MLflow, and a `manifest.yaml` beside MLmodel, tell.

    Tags go before the manifest, which goes before what MLmodel and the run say. `home` has the
    texts of the first look.
    """
    told = merged(_from_model(home, list(files)), _from_run(run))
    place = home / MANIFEST
    own = read_manifest(place) if place.exists() else {}
    told = merged(told, {k: v for k, v in own.items() if k not in NOT_FROM_MANIFEST})
    mine = {key: value for key, value in tags.items() if not key.startswith(OURS)}
    over: JsonObject = {}
    if services := services_of(mine):
        over[SERVICES] = [*services]
    if author := mine.get(AUTHOR):
        over[AUTHOR] = author
    over["tags"] = {k: v for k, v in mine.items() if k not in (SERVICES, AUTHOR)}
    return merged(told, over)


def _from_run(run: Mapping[str, Any]) -> JsonObject:
    """Read metrics, author and lineage off the run that logged the model; {}: there is none."""
    if not run:
        return {}
    data, info = run.get("data", {}), run.get("info", {})
    tags = tags_of(data)
    metrics = {str(m["key"]): m.get("value") for m in data.get("metrics", [])}
    lineage: JsonObject = {"run": str(info.get("run_id", ""))}
    if commit := tags.get("mlflow.source.git.commit"):
        lineage["commit"] = commit
    if data_digest := _training_data(run):
        lineage["data"] = data_digest
    return {
        "author": tags.get("mlflow.user") or str(info.get("user_id", "")),
        "metrics": {k: v for k, v in metrics.items() if _finite(v)},
        "lineage": lineage,
    }


def _training_data(run: Mapping[str, Any]) -> str:
    """Give MLflow's digest of the data set that was logged for training, if one was."""
    for each in run.get("inputs", {}).get("dataset_inputs", []):
        if tags_of(each).get("mlflow.data.context") == "training":
            return str(each.get("dataset", {}).get("digest", ""))
    return ""


def _from_model(home: Path, files: list[str]) -> JsonObject:
    model = _read_model(home / MODEL)
    signature = model.get("signature")
    signature = signature if isinstance(signature, dict) else {}
    flavors = model.get("flavors")
    return {
        "format": _format(flavors if isinstance(flavors, dict) else {}, files),
        "inputs": _columns(signature.get("inputs")),
        "outputs": _columns(signature.get("outputs")),
        "example": _example(home / EXAMPLE),
    }


def _read_model(place: Path) -> dict[str, Any]:
    if not place.exists():
        return {}
    try:
        told = yaml.load(place.read_bytes(), Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise Hopeless(f"{MODEL} cannot be read: {' '.join(str(error).split())[:200]}") from None
    if not isinstance(told, dict):
        raise Hopeless(f"{MODEL} cannot be read: it holds no fields")
    return told


def _format(flavors: Mapping[str, Any], files: list[str]) -> str:
    names = [PurePosixPath(path).name for path in files]
    if "saved_model.pb" in names:
        return "savedmodel"
    if "onnx" in flavors or any(name.endswith(".onnx") for name in names):
        return "onnx"
    return "mlflow" if flavors else ""


def _columns(schema: object) -> list[Any]:
    """Read one side of a signature; one with unnamed or nested parts has no columns."""
    try:
        entries = json.loads(schema) if isinstance(schema, str) else []
        return [{"name": str(entry["name"]), "type": _type(entry)} for entry in entries]
    except (ValueError, LookupError, TypeError):
        return []


def _type(entry: Mapping[str, Any]) -> str:
    if entry["type"] != "tensor":
        return TYPES[entry["type"]]
    dtype = str(entry["tensor-spec"]["dtype"])
    found = [kind for pattern, kind in TENSORS if re.fullmatch(pattern, dtype)]
    return found[0]


def _example(place: Path) -> list[Any]:
    """Read the input example as rows: a table, or named arrays of one length."""
    try:
        told = json.loads(place.read_bytes(), parse_constant=lambda _: None)
    except (FileNotFoundError, ValueError, RecursionError):
        return []
    if isinstance(told, dict) and {"columns", "data"} <= told.keys():
        return [dict(zip(told["columns"], row, strict=False)) for row in told["data"]][:MAX_EXAMPLE]
    named = isinstance(told, dict) and told and all(isinstance(v, list) for v in told.values())
    if not named or len({len(values) for values in told.values()}) != 1:
        return []
    rows = zip(*told.values(), strict=True)
    return [dict(zip(told, map(_bare, row), strict=True)) for row in rows][:MAX_EXAMPLE]


def _bare(value: Any) -> Any:
    """Take a single value out of the list that a column of a tensor has around it."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
