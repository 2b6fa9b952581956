"""Plugins that are not there, do not fit their place, or get settings that they do not have.

- E-PLUGIN-UNKNOWN: no installed plugin has that name.
- E-PLUGIN-KIND: the plugin is of another kind than its place needs.
- E-PLUGIN-SETTINGS: `with` lacks a field, has one that the plugin does not know, or a value
  that it refuses. A text with `{{ }}` is held against its field when it is rendered.

Why it hurts: the run would be parked at its first call. To mend it, take a name from
`waystage plugins` and the fields from the reference.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from waystage.check.places import YamlPath
from waystage.check.subject import Catalog, Subject, did_you_mean
from waystage.check.uses import Use, project_uses, uses
from waystage.errors import Problem
from waystage.expressions import BadExpression, compile_template
from waystage.plugin import Plugin
from waystage.spec.load import ProjectFiles
from waystage.spec.source import Source


def check(subject: Subject) -> Iterator[Problem]:
    """Look at every `use` of a lifecycle."""
    for use in uses(subject.spec, subject.places):
        yield from _problems(subject.loaded.source, use, subject.catalog)


def check_project_uses(files: ProjectFiles, catalog: Catalog) -> Iterator[Problem]:
    """Look at every `use` of the project file and of the stages."""
    for source, use in project_uses(files):
        yield from _problems(source, use, catalog)


def _problems(source: Source, use: Use, catalog: Catalog) -> Iterator[Problem]:
    plugin = catalog.get(use.name)
    if plugin is None:
        fitting = [name for name, each in catalog.items() if issubclass(each, use.kind)]
        text, hint = f"there is no plugin {use.name!r}", did_you_mean(use.name, fitting)
        yield source.problem("E-PLUGIN-UNKNOWN", (*use.path, "use"), text, hint)
    elif not issubclass(plugin, use.kind):
        text = f"{use.name!r} is a {plugin.kind}, and here a {use.kind.kind} is needed"
        yield source.problem("E-PLUGIN-KIND", (*use.path, "use"), text)
    else:
        yield from _settings(source, use, plugin)


def _settings(source: Source, use: Use, plugin: type[Plugin]) -> Iterator[Problem]:
    try:
        plugin.model_validate(dict(use.settings))
    except ValidationError as error:
        for each in error.errors(include_url=False, include_input=False):
            if not _left_open(use.settings, each):
                yield _refused(source, use, plugin, each)


def _refused(source: Source, use: Use, plugin: type[Plugin], error: ErrorDetails) -> Problem:
    at = _written(use.settings, error["loc"])
    field = ".".join(str(part) for part in error["loc"]) or "with"
    message, hint = error["msg"].removeprefix("Value error, "), ""
    if error["type"] == "extra_forbidden":
        message, hint = "there is no such setting", did_you_mean(field, _fields(plugin))
    elif error["type"] == "missing":
        message = "is missing"
    elif error["type"] == "literal_error":
        words = re.findall(r"'([^']*)'", error["ctx"]["expected"])
        message = f"must be {' or '.join(words)}"
        near = get_close_matches(str(_given(use.settings, at)), words, n=1)
        hint = f"did you mean {near[0]!r}?" if near else ""
    text = f"{use.name}: {field}: {message[:1].lower()}{message[1:]}"
    path = (*use.path, "with", *at) if use.settings else use.path
    return source.problem("E-PLUGIN-SETTINGS", path, text, hint)


def _given(settings: Mapping[str, Any], path: YamlPath) -> Any:
    value: Any = settings
    for part in path:
        value = value[part]
    return value


def _written(settings: Mapping[str, Any], loc: tuple[int | str, ...]) -> YamlPath:
    """Give the part of a location that somebody wrote; pydantic adds parts for unions."""
    value: Any = settings
    path: YamlPath = ()
    for part in loc:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            continue
        path = (*path, part)
    return path


def _left_open(settings: Mapping[str, Any], error: ErrorDetails) -> bool:
    """Whether an error is about a text that is rendered only when the step is called."""
    if error["type"] in ("extra_forbidden", "missing") and error["loc"]:
        return False
    value: Any = settings
    for part in _written(settings, error["loc"]):
        value = value[part]
    return _templated(value)


def _templated(value: Any) -> bool:
    try:
        return not compile_template(value).constant
    except BadExpression:
        return True


def _fields(plugin: type[Plugin]) -> list[str]:
    return [field.alias or name for name, field in plugin.model_fields.items()]
