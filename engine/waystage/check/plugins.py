"""Plugins that are not installed, of the wrong kind, or given settings that they do not have.

Why it hurts: the run would be parked at its first call. To mend it, take a name from
`waystage plugins` and the fields from the reference.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from waystage.check.subject import Catalog, Subject, YamlPath, did_you_mean
from waystage.errors import Problem
from waystage.expressions import BadExpression, compile_template
from waystage.plugin import (
    BatchRuntime,
    Monitor,
    Notifier,
    OnlineRuntime,
    Plugin,
    Repository,
    ScoringLog,
    Step,
)
from waystage.spec.load import Loaded, ProjectFiles

Use = tuple[YamlPath, str, Mapping[str, Any], type[Plugin]]


def check(subject: Subject) -> Iterator[Problem]:
    """Look at every `use:` of a lifecycle."""
    for path, use, settings, kind in uses(subject):
        yield from settings_problems(subject.loaded, subject.catalog, path, use, settings, kind)


def uses(subject: Subject) -> Iterator[Use]:
    """Give every `use:` with its settings and the kind that its place needs."""
    for name, monitor in subject.spec.monitors.items():
        yield ("monitors", name), monitor.use, monitor.with_, Monitor
    for place in subject.places:
        for number, step in enumerate(place.spec.steps or ()):
            path = (*place.path, "steps", number)
            yield path, step.use, step.with_, Step
            if step.undo:
                yield (*path, "undo"), step.undo.use, step.undo.with_, Step


def check_connections(files: ProjectFiles, catalog: Catalog) -> Iterator[Problem]:
    """Look at every `use:` of the project file and of the stages."""
    project, source = files.project.spec, files.project
    for number, repository in enumerate(project.repositories):
        path: YamlPath = ("repositories", number)
        yield from settings_problems(
            source, catalog, path, repository.use, repository.with_, Repository
        )
    if project.scoring_log:
        log = project.scoring_log
        yield from settings_problems(
            source, catalog, ("scoring_log",), log.use, log.with_, ScoringLog
        )
    for name, channel in project.channels.items():
        yield from settings_problems(
            source, catalog, ("channels", name), channel.use, channel.with_, Notifier
        )
    for stage in files.stages.values():
        for number, runtime in enumerate(stage.spec.runtimes):
            kind = OnlineRuntime if runtime.mode == "online" else BatchRuntime
            path = ("runtimes", number)
            yield from settings_problems(stage, catalog, path, runtime.use, runtime.with_, kind)


def settings_problems(
    loaded: Loaded[Any], catalog: Catalog, path: YamlPath, use: str,
    settings: Mapping[str, Any], kind: type[Plugin],
) -> Iterator[Problem]:  # fmt: skip
    """Hold one use against the plugin's fields; templates are left to when they are rendered."""
    source, plugin = loaded.source, catalog.get(use)
    if plugin is None:
        same = [name for name, each in catalog.items() if issubclass(each, kind)]
        text, hint = f"there is no plugin {use!r}", did_you_mean(use, same)
        yield source.problem("E-PLUGIN-UNKNOWN", (*path, "use"), text, hint)
        return
    if not issubclass(plugin, kind):
        text = f"{use!r} is a {plugin.kind}, and here a {kind.kind} is needed"
        yield source.problem("E-PLUGIN-KIND", (*path, "use"), text)
        return
    try:
        plugin.model_validate(dict(settings))
    except ValidationError as error:
        for each in error.errors(include_url=False, include_input=False):
            at = tuple(part for part in each["loc"] if isinstance(part, str | int))
            if _templated(settings, at):
                continue
            hint = (
                did_you_mean(str(at[-1]), _fields(plugin))
                if each["type"] == "extra_forbidden" and at
                else ""
            )
            message = "unknown setting" if each["type"] == "extra_forbidden" else each["msg"]
            text = f"{use}: {at[-1] if at else 'with'}: {message.removeprefix('Value error, ')}"
            yield source.problem("E-PLUGIN-SETTINGS", (*path, "with", *at), text, hint)


def _templated(settings: Mapping[str, Any], at: tuple[str | int, ...]) -> bool:
    value: Any = settings
    for part in at:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            break
    if value is settings:
        return False
    try:
        return not compile_template(value).constant
    except BadExpression:
        return True


def _fields(plugin: type[Plugin]) -> list[str]:
    return [field.alias or name for name, field in plugin.model_fields.items()]
