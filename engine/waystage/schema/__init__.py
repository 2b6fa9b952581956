"""JSON Schemas of all kinds of file, for editors: keys, values, plugins and their settings.

They say what a file looks like; whether it holds together is proved by `check` alone.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from waystage.plugin import (
    BatchRuntime,
    Monitor,
    Notifier,
    OnlineRuntime,
    Plugin,
    Repository,
    ScoringLog,
    Signer,
    Step,
    Storage,
)
from waystage.schema.settings import choose_plugins
from waystage.schema.shape import DRAFT, Schema, parts, shape_of
from waystage.spec.block import Block
from waystage.spec.lifecycle import Lifecycle
from waystage.spec.load import KINDS

PARAM: Schema = {
    "type": "object",
    "properties": {"param": {"type": "string", "description": "A parameter of the block."}},
    "required": ["param"],
    "additionalProperties": False,
}


def schemas(catalog: Mapping[str, type[Plugin]]) -> dict[str, Schema]:
    """Give the schema of every kind of file, by the kind; plugins are those of the catalog."""
    return {kind: schema_of(kind, catalog) for kind in KINDS}


def schema_of(kind: str, catalog: Mapping[str, type[Plugin]]) -> Schema:
    """Give the schema of one kind of file."""
    shape = _block(catalog) if kind == "block" else _plugged(shape_of(KINDS[kind]), catalog)
    if kind == "scenario":
        definition = shape["definitions"]["Snapshot"]  # the digest is made up if none is said
        definition["required"] = [key for key in definition["required"] if key != "digest"]
    return {"$schema": DRAFT, "title": f"Waystage: {kind}", **shape}


def _plugged(shape: Schema, catalog: Mapping[str, type[Plugin]]) -> Schema:
    """Let each `use` name the plugins of the kind that its place needs."""
    defs: Schema = shape["definitions"]
    if "Connection" in defs:
        _split_connections(shape)
    kinds: dict[str, tuple[type[Plugin], ...]] = {
        "Step": (Step,), "Undo": (Step,), "Monitor": (Monitor,),
        "Runtime": (OnlineRuntime, BatchRuntime), "RepositoryConnection": (Repository,),
        "ScoringLog": (ScoringLog,), "Channel": (Notifier,), "Signer": (Signer,),
        "DataConnection": (Storage,),
    }  # fmt: skip
    for name, kind in kinds.items():
        if name in defs and "use" in defs[name].get("properties", {}):
            fitting = [plugin for plugin in catalog.values() if issubclass(plugin, kind)]
            choose_plugins(defs[name], fitting, defs, rendered=kind == (Step,))
    return shape


def _split_connections(shape: Schema) -> None:
    """Tell the connections of scoring log, channels and signers from each other."""
    connection = shape["definitions"].pop("Connection")
    kinds = {"scoring_log": "ScoringLog", "channels": "Channel", "signers": "Signer"}
    for key, name in kinds.items():
        shape["definitions"][name] = copy.deepcopy(connection)
        _repoint(shape["properties"][key], f"#/definitions/{name}")


def _repoint(node: Any, target: str) -> None:
    if isinstance(node, dict):
        if node.get("$ref") == "#/definitions/Connection":
            node["$ref"] = target
        for each in node.values():
            _repoint(each, target)
    elif isinstance(node, list):
        for each in node:
            _repoint(each, target)


def _block(catalog: Mapping[str, type[Plugin]]) -> Schema:
    """Give the schema of a block: a lifecycle's states, where any value may be a parameter."""
    shape, whole = shape_of(Block), _plugged(shape_of(Lifecycle), catalog)
    shape["definitions"] |= whole["definitions"] | {"Param": PARAM}
    state = {"$ref": "#/definitions/State"}
    shape["properties"]["states"] |= {"type": "object", "additionalProperties": state}
    shape["properties"]["states"].pop("patternProperties", None)
    for name, definition in shape["definitions"].items():
        if name not in ("Param", "FieldSpec"):
            _take_params(definition)
    return shape


def _take_params(node: Schema) -> None:
    for holder, key in list(parts(node)):
        inner = holder[key]
        _take_params(inner)
        if not isinstance(key, int) and key != "use" and "const" not in inner:
            said = {"description": inner["description"]} if "description" in inner else {}
            holder[key] = {**said, "anyOf": [inner, {"$ref": "#/definitions/Param"}]}


__all__ = ["schema_of", "schemas"]
