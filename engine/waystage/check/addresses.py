"""Addresses of inputs and outputs that lead nowhere.

- E-CONNECTION: a setting of a step is an address like `s3://NAME/PATH`, and `waystage.yaml` has
  no connection NAME for the stage of the step, or one that addresses of another form reach.

Why it hurts: the step would be parked when it fetches its input, or worse, when its output is to
be written. To mend it, correct the name, or list the connection under `connections:`, with the
stages whose states may use it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from waystage.check.places import Place, YamlPath
from waystage.check.subject import Subject, did_you_mean
from waystage.errors import Problem
from waystage.plugin import Plugin, Storage

MISSING = "list it under connections: in waystage.yaml"
ADDRESS = re.compile(r"([a-z][a-z0-9]*)://([a-z0-9][a-z0-9-]*)/([^{}]+)")


def check(subject: Subject) -> Iterator[Problem]:
    """Hold every address of a step against the connections of its stages."""
    if subject.project is None:
        return
    schemes = {plugin.scheme for plugin in subject.catalog.values() if issubclass(plugin, Storage)}
    for place in subject.places:
        for number, step in enumerate(place.spec.steps or ()):
            if step.use not in subject.catalog:
                continue
            fields = _address_fields(subject.catalog[step.use])
            given = {name: value for name, value in step.with_.items() if name in fields}
            for path, text in _texts(given, place.at("steps", number, "with")):
                found = ADDRESS.fullmatch(text)
                if found and found[1] in schemes:
                    yield from _reached(subject, place, path, found)


def _reached(
    subject: Subject, place: Place, path: YamlPath, found: re.Match[str]
) -> Iterator[Problem]:
    scheme, name, inner = found.groups()
    assert subject.project is not None
    for stage in place.stages or ("",):
        known = [c for c in subject.project.connections if {"*", stage} & {*c.stages}]
        connection = next((c for c in known if c.name == name), None)
        where = f"for stage {stage}" if stage else "for states without a stage"
        if connection is None:
            text = f"there is no connection {name!r} {where}"
            hint = did_you_mean(name, [c.name for c in known])
            yield subject.problem("E-CONNECTION", path, text, hint or MISSING)
            return
        plugin = subject.catalog.get(connection.use)
        if plugin is None or not issubclass(plugin, Storage):
            return  # said where the connection stands
        if plugin.scheme != scheme:
            text = f"connection {name!r} is reached by {plugin.scheme}://{name}/…, not {scheme}://"
            yield subject.problem("E-CONNECTION", path, text)
            return
        if problem := _unfit(plugin, connection.with_, inner):
            yield subject.problem("E-CONNECTION", path, f"connection {name!r}: {problem}")
            return


def _unfit(plugin: type[Storage], settings: Mapping[str, Any], inner: str) -> str:
    try:
        return plugin.model_validate(settings).check(inner)
    except ValueError:
        return ""  # said where the connection stands


@cache
def _address_fields(plugin: type[Plugin]) -> frozenset[str]:
    """Give the settings of a plugin in which addresses stand, by their format in its schema."""
    schema = plugin.model_json_schema(by_alias=True)
    models, properties = schema.get("$defs", {}), schema.get("properties", {})
    return frozenset(name for name, each in properties.items() if _has_address(each, models))


def _has_address(schema: Any, models: Mapping[str, Any]) -> bool:
    """Whether an address stands in a schema, or in one of the models that it refers to."""
    text = str(schema)
    inner = {name: model for name, model in models.items() if f"'#/$defs/{name}'" in text}
    rest = {name: model for name, model in models.items() if name not in inner}
    return "'address'" in text or any(_has_address(model, rest) for model in inner.values())


def _texts(value: Any, path: YamlPath) -> Iterator[tuple[YamlPath, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _texts(inner, (*path, key))
