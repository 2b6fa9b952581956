"""What SAS Model Manager says of a model, in the words of a snapshot's manifest."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from waystage.errors import Hopeless
from waystage.plugin import JsonObject
from waystage_plugins.repositories.tree import MANIFEST, SIGNATURE

OURS = "waystage."
KEY, DIGEST, NEXT, ALIAS = f"{OURS}key", f"{OURS}digest", f"{OURS}next", f"{OURS}alias."
SERVICES, FORMAT = "services", "format"
INPUTS, OUTPUTS, FIT = "inputVar.json", "outputVar.json", "dmcas_fitstat.json"
EXAMPLE = "input_example.json"
TEXTS = (INPUTS, OUTPUTS, FIT, EXAMPLE, MANIFEST)
BESIDE = frozenset({MANIFEST, SIGNATURE})
TYPES = {"decimal": "number", "double": "number", "float": "number", "num": "number",
         "numeric": "number", "integer": "integer", "int": "integer", "bigint": "integer",
         "boolean": "boolean"}  # fmt: skip
FITS = {"_KS_": "ks", "_C_": "auc", "_GINI_": "gini", "_ASE_": "ase"}
PARTS = ("TEST", "VALIDATE", "TRAIN")  # whose figures are taken, the first that there is
FACTS = ("function", "algorithm", "scoreCodeType", "tool", "targetVariable", "projectName", "role",
         "description")  # fmt: skip


def slug(name: str) -> str:
    """Give a name as snapshots have it: `QS Tree_1` is `qs-tree_1`."""
    return re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-._")[:128]


def properties(model: Mapping[str, Any]) -> dict[str, str]:
    """Give the custom properties of a model."""
    return {str(each.get("name")): str(each.get("value", ""))
            for each in model.get("properties") or () if isinstance(each, dict)}  # fmt: skip


def with_properties(model: dict[str, Any], changed: Mapping[str, str | None]) -> dict[str, Any]:
    """Give a model with some of its properties changed, or, where there is None, without them."""
    kept = [each for each in model.get("properties") or () if each.get("name") not in changed]
    new = [{"name": name, "value": value, "type": "string"}
           for name, value in changed.items() if value is not None]  # fmt: skip
    return model | {"properties": [*kept, *new]}


def version_of(model: Mapping[str, Any]) -> str:
    """Give the name of a model's version, `1.0`."""
    return str(model.get("modelVersionName") or "1.0")


def is_whole(model: Mapping[str, Any]) -> bool:
    """Whether nobody is just putting files into this version."""
    told = properties(model).get(NEXT, "")
    return not told or told.partition(" ")[2] == version_of(model)


def services_of(model: Mapping[str, Any]) -> list[str]:
    """Give the services that a model is for, by its property."""
    return [each for each in re.split(r"[,\s]+", properties(model).get(SERVICES, "")) if each]


def described(model: Mapping[str, Any], texts: Mapping[str, bytes], files: Iterable[str],
              place: str) -> JsonObject:  # fmt: skip
    """Give the fields of a manifest that SAS's metadata stand for."""
    own = properties(model)
    told: JsonObject = {
        "services": [*services_of(model)],
        "format": own.get(FORMAT) or _format(model, list(files)),
        "author": str(model.get("modeler") or model.get("createdBy") or ""),
        "tags": {**_tags(model, own)},
        "inputs": _columns(model.get("inputVariables"), texts.get(INPUTS), place, INPUTS),
        "outputs": _columns(model.get("outputVariables"), texts.get(OUTPUTS), place, OUTPUTS),
        "metrics": {**_metrics(texts.get(FIT), place)},
    }
    rows = _json(texts.get(EXAMPLE), place, EXAMPLE)
    if isinstance(rows, list) and all(isinstance(row, dict) for row in rows):
        told["example"] = rows
    return told


def variables(columns: Any, role: str) -> list[dict[str, str]]:
    """Give columns of a manifest as SAS has them."""
    kinds = {"number": "decimal", "integer": "integer", "boolean": "boolean"}
    return [
        {"name": str(each["name"]), "role": role, "level": "interval",
         "type": kinds.get(str(each.get("type", "number")), "string")}
        for each in columns or () if isinstance(each, dict) and "name" in each
    ]  # fmt: skip


def _format(model: Mapping[str, Any], files: list[str]) -> str:
    if any(name.endswith(".onnx") for name in files):
        return "onnx"
    if "saved_model.pb" in files:
        return "savedmodel"
    kind = str(model.get("scoreCodeType") or "").lower()
    return kind if kind in ("python", "r", "pmml") else "sas"


def _tags(model: Mapping[str, Any], own: Mapping[str, str]) -> dict[str, str]:
    tags = {f"sas.{name}": str(model[name]) for name in FACTS if model.get(name)}
    for each in model.get("tags") or ():
        name, _, value = str(each).partition(":")
        tags[name] = value or "yes"
    tags |= {name: value for name, value in own.items() if not name.startswith(OURS)}
    return {name: value for name, value in tags.items() if name not in (SERVICES, FORMAT)}


def _columns(told: Any, text: bytes | None, place: str, name: str) -> list[Any]:
    """Give columns by the model's variables, else by the file that models bring with them."""
    found = told or _json(text, place, name) or []
    if not isinstance(found, list):
        raise Hopeless(f"{place}: {name} is no list of variables")
    return [
        {"name": str(each["name"]), "type": TYPES.get(str(each.get("type")).lower(), "string")}
        for each in found if isinstance(each, dict) and each.get("name")
    ]  # fmt: skip


def _metrics(text: bytes | None, place: str) -> dict[str, float]:
    found = _json(text, place, FIT)
    rows = found.get("data") if isinstance(found, dict) else None
    maps = [each.get("dataMap") or {} for each in rows or () if isinstance(each, dict)]
    by_part = {str(each.get("_DataRole_", "")).strip().upper(): each for each in maps}
    best = next((by_part[part] for part in PARTS if part in by_part), {})
    told = {ours: best[theirs] for theirs, ours in FITS.items() if theirs in best}
    numbers = {name: _number(value) for name, value in told.items()}
    return {name: value for name, value in numbers.items() if value is not None}


def _number(value: Any) -> float | None:
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if math.isfinite(found) else None


def _json(text: bytes | None, place: str, name: str) -> Any:
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError:
        raise Hopeless(f"{place}: {name} is no JSON") from None
