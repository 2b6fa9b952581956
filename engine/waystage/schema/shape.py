"""Pydantic's schemas made what editors understand: draft 07, with our shorthands and words."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, TypeAlias

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from waystage.schema.words import word_for

Schema: TypeAlias = dict[str, Any]

DRAFT = "http://json-schema.org/draft-07/schema#"
DURATION = {
    "type": "string",
    "pattern": r"^P(\d+W)?(\d+D)?(T(\d+H)?(\d+M)?(\d+(\.\d+)?S)?)?$",
    "description": "ISO 8601 without months and years, as in PT30S, PT10M, P7D.",
}
EVENT = "An event: `done`, `refused`, `failed`, an outcome, a verdict, a timer or a signal."


def _one_or_more(inner: Schema) -> Schema:
    return {"anyOf": [inner.get("items", {}), inner]}


def _next(inner: Schema) -> Schema:
    """Say what `next` may be: a state, or events with a state, a way or a list of ways each."""
    (arrows,) = inner["patternProperties"].values() if "patternProperties" in inner else (
        inner["additionalProperties"],
    )  # fmt: skip
    way = {"anyOf": [{"type": "string"}, arrows["items"], {**arrows, "minItems": 1}],
           "description": EVENT}  # fmt: skip
    events = {"type": "object", "additionalProperties": way}
    return {"anyOf": [{"type": "string"}, events]}


def _or_number(inner: Schema) -> Schema:
    return {"anyOf": [{"type": ["string", "number"]}, inner]}


def _assessments(inner: Schema) -> Schema:
    return {"anyOf": [{"type": ["string", "number"]}, inner.get("items", {}), inner]}


# what a value may be written as instead, by the name of the function that reads it
SHORTHANDS: dict[str, Callable[[Schema], Schema]] = {
    "parse_duration": lambda _: dict(DURATION),
    "_as_tuple": _one_or_more,
    "_arrows": _next,
    "_several": _one_or_more,
    "_assessed": _or_number,
    "_assessments": _assessments,
    "_staged": lambda inner: {"anyOf": [{"const": "open"}, inner]},
    "_message": lambda inner: {"anyOf": [{"type": "string"}, inner]},
}


class Shapes(GenerateJsonSchema):
    """Knows what may be written shorter than it is kept."""

    def function_before_schema(self, schema: core_schema.BeforeValidatorFunctionSchema) -> Schema:
        """Give the schema of a value that a function reads first."""
        inner = super().function_before_schema(schema)
        short = SHORTHANDS.get(getattr(schema["function"]["function"], "__name__", ""))
        return short(inner) if short else inner


def shape_of(model: type[BaseModel]) -> Schema:
    """Give the draft 07 schema of a model, with a description for every key; to be changed."""
    return copy.deepcopy(_shape_of(model))


@cache  # a plugin is in the schemas of several kinds of file
def _shape_of(model: type[BaseModel]) -> Schema:
    found: Schema = model.model_json_schema(by_alias=True, schema_generator=Shapes)
    definitions = found.pop("$defs", {})
    shape: Schema = _draft_07(found)
    shape["definitions"] = {name: _draft_07(each) for name, each in definitions.items()}
    for name, each in [(model.__name__, shape), *shape["definitions"].items()]:
        _describe(name, each)
    return shape


def _describe(model: str, shape: Schema) -> None:
    for key, part in shape.get("properties", {}).items():
        if word := word_for(model, key):
            shape["properties"][key] = {**part, "description": word}


def _draft_07(node: Any) -> Any:
    """Rewrite what draft 07 says otherwise; leave out titles and nulls, which nobody writes."""
    if isinstance(node, list):
        return [_draft_07(each) for each in node]
    if not isinstance(node, dict):
        return node
    found = {key: _inner(key, each) for key, each in node.items() if not _is_noise(key, each)}
    if "prefixItems" in found:
        found["items"] = found.pop("prefixItems")
    if "anyOf" in found:
        found["anyOf"] = [each for each in found["anyOf"] if each != {"type": "null"}]
        if len(found["anyOf"]) == 1:
            found = {**found.pop("anyOf")[0], **found}
    if "$ref" in found:
        target = found.pop("$ref").replace("#/$defs/", "#/definitions/")
        # beside a `$ref`, draft 07 reads nothing
        found = {"allOf": [{"$ref": target}], **found} if found else {"$ref": target}
    return found


def _inner(key: str, value: Any) -> Any:
    if key in ("properties", "patternProperties", "definitions"):
        return {name: _draft_07(each) for name, each in value.items()}
    return value if key in ("default", "enum", "const", "examples") else _draft_07(value)


def _is_noise(key: str, value: Any) -> bool:
    return (key == "title" and isinstance(value, str)) or (key == "default" and value is None)


def parts(node: Schema) -> Iterator[tuple[Any, Any]]:
    """Give the places of the schemas right below one: what holds each, and under which key."""
    for key in ("properties", "patternProperties"):
        for name in node.get(key, {}):
            yield node[key], name
    for key in ("items", "additionalProperties"):
        if isinstance(node.get(key), Mapping):
            yield node, key
    for key in ("anyOf", "allOf", "oneOf"):
        for number in range(len(node.get(key, ()))):
            yield node[key], number
