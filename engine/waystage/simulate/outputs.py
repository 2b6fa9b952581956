"""What steps give when nobody says it: plausible by the plugin's own schema, never a decision.

In scenarios texts are made up (`batch.train.artifact`), lists and mappings are empty; numbers,
truths and choices of words are left out, so that no guard passes on what nobody wrote.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from random import Random
from typing import Any

from pydantic import BaseModel, ValidationError

from waystage.plugin import Plugin, Step
from waystage.simulate.sample import sample
from waystage.spec.wording import did_you_mean

Schema = Mapping[str, Any]


@lru_cache(maxsize=512)
def schema_of(plugin: type[Plugin]) -> Schema:
    """Give the JSON Schema of a step's output."""
    output = plugin.Output if issubclass(plugin, Step) else BaseModel
    return output.model_json_schema(mode="serialization")


def made(plugin: type[Plugin], said: Mapping[str, Any]) -> dict[str, Any]:
    """Complete an output with what nothing can be decided by."""
    return {**_default(plugin), **said}


def left_out(plugin: type[Plugin], given: Mapping[str, Any]) -> list[str]:
    """Give the fields that an output lacks though the plugin always gives them."""
    return [name for name in schema_of(plugin).get("properties", {}) if name not in given]


def sampled(plugin: type[Plugin], chance: Random | None = None) -> dict[str, Any]:
    """Give a whole output; without `chance` the same each time."""
    found = sample(schema_of(plugin), plugin.use, chance)
    return found if isinstance(found, dict) else {}


def unfit_output(plugin: type[Plugin], said: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Give the fields of an output that the plugin would not give, and why."""
    schema = schema_of(plugin)
    known = schema.get("properties", {})
    if not issubclass(plugin, Step) or not known:
        return  # a step that declares nothing about its output may answer anything
    closed = plugin.Output.model_config.get("extra") != "allow"
    for name in said:
        if closed and name not in known:
            yield name, f"{plugin.use} gives no {name!r}; {did_you_mean(name, known)}"
    try:
        plugin.Output.model_validate({**_plain(plugin), **said})
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            name = str(detail["loc"][0]) if detail["loc"] else ""
            if name in said and name in known:
                yield name, f"{plugin.use}: {name}: {detail['msg'].lower()}"


@lru_cache(maxsize=512)
def _plain(plugin: type[Plugin]) -> Mapping[str, Any]:
    return sampled(plugin)


@lru_cache(maxsize=512)
def _default(plugin: type[Plugin]) -> Mapping[str, Any]:
    schema = schema_of(plugin)
    defs = schema.get("$defs", {})
    found = {}
    for name, part in schema.get("properties", {}).items():
        whole = defs.get(str(part["$ref"]).rpartition("/")[2], {}) if "$ref" in part else part
        if "default" in part:
            found[name] = part["default"]
        elif whole.get("type") == "string" and "enum" not in whole and "const" not in whole:
            found[name] = sample(whole, f"{plugin.use}.{name}")
        elif whole.get("type") in ("array", "object"):
            found[name] = sample({"$defs": defs, **whole}, f"{plugin.use}.{name}")
    return found
