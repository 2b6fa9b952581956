"""The types that expressions are checked against, and how JSON Schemas become them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Type:
    """What is known about a value before there is one.

    `element` is what a list holds or a map has as values; `fields` are those of an object,
    `optional` the ones of them that may be missing, and `open` says that there may be others.
    """

    kind: str
    element: Type | None = None
    fields: tuple[tuple[str, Type], ...] = ()
    optional: frozenset[str] = frozenset()
    open: bool = False
    nullable: bool = False

    def __str__(self) -> str:
        if self.kind in ("list", "map"):
            key = "string, " if self.kind == "map" else ""
            return f"{self.kind}({key}{self.element or DYN})"
        return self.kind

    def field(self, name: str) -> Type | None:
        """Give the type of a field, or None when there is no such field."""
        if self.kind == "map":
            return self.element or DYN
        found = dict(self.fields).get(name)
        if found is None and (self.open or self.kind == "dyn"):
            return self.element or DYN
        return found


BOOL, INT, DOUBLE, STRING = Type("bool"), Type("int"), Type("double"), Type("string")
BYTES, NULL, DYN = Type("bytes"), Type("null"), Type("dyn")
TIMESTAMP, DURATION = Type("timestamp"), Type("duration")


def list_of(element: Type) -> Type:
    """Give the type of a list."""
    return Type("list", element)


def map_of(element: Type) -> Type:
    """Give the type of a map from strings."""
    return Type("map", element)


def object_of(
    fields: Mapping[str, Type], *, optional: frozenset[str] = frozenset(), open: bool = False
) -> Type:
    """Give the type of an object with named fields."""
    return Type("object", None, tuple(fields.items()), optional, open)


@dataclass(frozen=True)
class Scope:
    """The names that an expression may use and their types."""

    names: Mapping[str, Type]


@dataclass(frozen=True, slots=True)
class TypeProblem:
    """One thing in an expression that cannot be right; `column` counts from 1."""

    message: str
    column: int
    suggestion: str = ""


def same_kind(left: Type, right: Type) -> bool:
    """Whether values of the two types may be compared with each other."""
    kinds = {_comparable(left.kind), _comparable(right.kind)}
    return len(kinds) == 1 or "dyn" in kinds


def _comparable(kind: str) -> str:
    return {"int": "number", "double": "number", "object": "map"}.get(kind, kind)


def joined(types: list[Type]) -> Type:
    """Give the one type that all have, or `dyn`; int and double give double."""
    known = [each for each in types if each.kind != "null"]
    kinds = {each.kind for each in known}
    nullable = len(known) < len(types) or any(each.nullable for each in known)
    if not known:
        return NULL if types else DYN
    first = known[0]
    if all(replace(each, nullable=False) == replace(first, nullable=False) for each in known):
        return replace(first, nullable=nullable)
    if len(kinds) == 1 and first.kind == "list":
        return Type("list", joined([each.element or DYN for each in known]), nullable=nullable)
    return replace(DYN, nullable=nullable)


_PLAIN = {
    "boolean": BOOL,
    "integer": INT,
    "number": DOUBLE,
    "string": STRING,
    "null": NULL,
}


def type_from_json_schema(schema: Mapping[str, Any]) -> Type:
    """Give the type of what a JSON Schema describes, `dyn` where it says too little."""
    return _from_schema(schema, schema.get("$defs", {}), frozenset())


def _from_schema(schema: Any, defs: Mapping[str, Any], seen: frozenset[str]) -> Type:
    if not isinstance(schema, Mapping):
        return DYN
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        if name in seen:
            return DYN
        return _from_schema(defs.get(name), defs, seen | {name})
    for word in ("anyOf", "oneOf"):
        if word in schema:
            return joined([_from_schema(each, defs, seen) for each in schema[word]])
    if len(schema.get("allOf", ())) == 1:
        return _from_schema(schema["allOf"][0], defs, seen)
    if isinstance(schema.get("type"), list):
        return joined([_from_schema({**schema, "type": t}, defs, seen) for t in schema["type"]])
    return _from_type(schema, defs, seen)


def _from_type(schema: Mapping[str, Any], defs: Mapping[str, Any], seen: frozenset[str]) -> Type:
    kind = schema.get("type")
    if kind is None:
        listed = schema.get("enum", [schema["const"]] if "const" in schema else [])
        return joined([type_of_value(value) for value in listed])
    if kind == "array":
        return list_of(_from_schema(schema.get("items"), defs, seen))
    if kind == "object":
        return _from_object(schema, defs, seen)
    return _PLAIN.get(str(kind), DYN)


def _from_object(schema: Mapping[str, Any], defs: Mapping[str, Any], seen: frozenset[str]) -> Type:
    more = schema.get("additionalProperties", "properties" not in schema)
    element = _from_schema(more, defs, seen) if isinstance(more, Mapping) else None
    if "properties" not in schema:
        return map_of(element or DYN) if more else object_of({})
    fields = {name: _from_schema(each, defs, seen) for name, each in schema["properties"].items()}
    # what has a default is there when pydantic has written the value
    needed = set(schema.get("required", ())) | {
        name
        for name, each in schema["properties"].items()
        if isinstance(each, Mapping) and "default" in each
    }
    optional = frozenset(fields) - needed
    return Type("object", element, tuple(fields.items()), optional, bool(more))


def type_of_value(value: Any) -> Type:
    """Give the type of a JSON value."""
    if isinstance(value, list | tuple):
        return list_of(joined([type_of_value(each) for each in value]))
    if isinstance(value, Mapping):
        return object_of({str(name): type_of_value(each) for name, each in value.items()})
    plain = ((bool, BOOL), (int, INT), (float, DOUBLE), (str, STRING), (type(None), NULL))
    return next((type_ for class_, type_ in plain if isinstance(value, class_)), DYN)


def conform(value: Any, wanted: Type) -> Any:
    """Give a JSON value with whole numbers turned into doubles where the type says double.

    YAML and JSON write `0.30` and `1` for the same kind of number, CEL does not add them.
    """
    if wanted.kind == "double" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if wanted.kind == "list" and isinstance(value, list | tuple) and wanted.element:
        return [conform(each, wanted.element) for each in value]
    if wanted.kind in ("object", "map") and isinstance(value, Mapping):
        return {name: conform(each, wanted.field(name) or DYN) for name, each in value.items()}
    return value
