"""What Kubernetes itself says of its kinds: fields, types, keys of lists, ways to patch.

The schemas are those that `kubernetes-validate` ships, drawn from a real cluster. Kinds without
one (OpenShift's, KServe's) are taken as custom resources without a schema: all lists are one value.
"""

from __future__ import annotations

import functools
import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from kube_kinds import KINDS, Kind, built_in

Thing = dict[str, Any]
VERSION = "1.37.0"
META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
KEY_DEFAULTS = {"protocol": "TCP"}  # what a key of a list is where it is not told
GO = {"string": "string", "integer": "int32", "boolean": "bool", "array": "[]", "object": "struct",
      "number": "float64"}  # fmt: skip


@functools.cache
def definitions() -> dict[str, Thing]:
    """Give all definitions by their names."""
    found = find_spec("kubernetes_validate")
    assert found, "kubernetes-validate is not installed"
    assert found.origin
    place = Path(found.origin).parent / "kubernetes-json-schema" / f"v{VERSION}-local"
    read: dict[str, Thing] = json.loads((place / "_definitions.json").read_text())["$defs"]
    return read


def name_of(kind: Kind) -> str:
    """Give the name of a kind's definition."""
    group = kind.group.partition(".")[0] or "core"
    return f"io.k8s.api.{group}.{kind.version}.{kind.kind}"


@functools.cache
def schema_of(kind: Kind) -> Thing | None:
    """Give what describes a kind; only `metadata` of those that Kubernetes does not know."""
    if built_in(kind):
        return definitions()[name_of(kind)]
    return {"properties": {"metadata": {"$ref": f"#/$defs/{META}"}}, "open": True}


def resolved(schema: Thing | None) -> Thing | None:
    """Follow a reference; what stands beside it counts too."""
    while schema and "$ref" in schema:
        beside = {name: value for name, value in schema.items() if name != "$ref"}
        schema = definitions()[schema["$ref"].rpartition("/")[2]] | beside
    return schema


def inside(schema: Thing | None, name: str) -> Thing | None:
    """Give what describes a field of an object, None if nothing does."""
    schema = schema or {}
    more = schema.get("additionalProperties")
    return resolved(schema.get("properties", {}).get(name) or (more if more else None))


def item(schema: Thing | None) -> Thing | None:
    """Give what describes the items of a list."""
    return resolved((schema or {}).get("items"))


def keys(schema: Thing | None) -> tuple[str, ...]:
    """Give by which fields the items of a list are told apart; none for a list that is a value."""
    schema = schema or {}
    if schema.get("x-kubernetes-list-type") == "map":
        return tuple(schema["x-kubernetes-list-map-keys"])
    merged = "merge" in schema.get("x-kubernetes-patch-strategy", "")
    if merged and "x-kubernetes-patch-merge-key" in schema and "x-kubernetes-list-type" not in (
        schema
    ):  # fmt: skip
        return (schema["x-kubernetes-patch-merge-key"],)
    return ()


def key_of(each: Thing, names: tuple[str, ...]) -> Thing:
    """Give the key of an item."""
    return {name: each.get(name, KEY_DEFAULTS.get(name)) for name in names}


def is_set(schema: Thing | None) -> bool:
    """Say whether a list is a set of plain values, each with an owner of its own."""
    return (schema or {}).get("x-kubernetes-list-type") == "set"


def is_atomic(schema: Thing | None) -> bool:
    """Say whether a map is one value."""
    return (schema or {}).get("x-kubernetes-map-type") == "atomic"


def is_map(schema: Thing | None) -> bool:
    """Say whether an object holds names of the user's choice."""
    return bool((schema or {}).get("additionalProperties"))


def pruned(schema: Thing | None, value: Any, path: str = "") -> list[str]:
    """Take away, in place, the fields that nothing describes; give their paths."""
    if isinstance(value, list):
        return [
            fault for at, each in enumerate(value)
            for fault in pruned(item(schema), each, f"{path}[{at}]")
        ]  # fmt: skip
    if not isinstance(value, dict) or not schema or not _is_closed(schema):
        return []
    found = []
    for name in list(value):
        below, where = inside(schema, name), f"{path}.{name}" if path else name
        if below is None:
            del value[name]
            found.append(where)
        else:
            found += pruned(below, value[name], where)
    return found


def _is_closed(schema: Thing) -> bool:
    return ("properties" in schema or "additionalProperties" in schema) and "open" not in schema


def mistyped(schema: Thing | None, value: Any, path: str = "") -> str:
    """Say which field has a value of another type, as Go's decoder says it; empty if none has."""
    if value is None or not schema or "oneOf" in schema:
        return ""
    told = schema.get("type", ())
    wanted = [each for each in ([told] if isinstance(told, str) else told) if each != "null"]
    if wanted and not _fits(value, wanted[0]):
        return f"{_called(value)} into Go struct field {path} of type {GO[wanted[0]]}"
    below = []
    if isinstance(value, dict):
        below = [(inside(schema, name), v, f"{path}.{name}") for name, v in value.items()]
    elif isinstance(value, list):
        below = [(item(schema), each, path) for each in value]
    return next(filter(None, (mistyped(*each) for each in below)), "")


def _fits(value: Any, wanted: str) -> bool:
    if isinstance(value, bool):
        return wanted == "boolean"
    fitting: dict[str, tuple[type, ...]] = {
        "string": (str,), "integer": (int,), "number": (int, float), "array": (list,),
        "object": (dict,), "boolean": (bool,),
    }  # fmt: skip
    return isinstance(value, fitting[wanted])


def _called(value: Any) -> str:
    names = {str: "string", bool: "bool", int: "number", float: "number", list: "array"}
    return names.get(type(value), "object")


@functools.cache
def kinds_of(api_version: str) -> list[Kind]:
    """Give the kinds of a group's version."""
    return [kind for kind in KINDS if kind.api_version == api_version]
