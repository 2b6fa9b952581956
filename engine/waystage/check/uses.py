"""Every `use` of a project's files: where, which plugin, with which settings, of which kind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from waystage.check.places import Place, YamlPath
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
from waystage.spec.lifecycle import Lifecycle
from waystage.spec.load import ProjectFiles
from waystage.spec.project import Connection
from waystage.spec.source import Source
from waystage.spec.stage import Stage


@dataclass(frozen=True)
class Use:
    """One `use` with its `with`, and the kind that its place needs."""

    path: YamlPath
    name: str
    settings: Mapping[str, Any]
    kind: type[Plugin]


def uses(spec: Lifecycle, places: Iterable[Place]) -> Iterator[Use]:
    """Give those of a lifecycle."""
    for name, monitor in spec.monitors.items():
        yield Use(("monitors", name), monitor.use, monitor.with_, Monitor)
    for place in places:
        for number, step in enumerate(place.spec.steps or ()):
            path = place.at("steps", number)
            yield Use(path, step.use, step.with_, Step)
            if step.undo:
                yield Use((*path, "undo"), step.undo.use, step.undo.with_, Step)


def project_uses(files: ProjectFiles) -> Iterator[tuple[Source, Use]]:
    """Give those of the project file and of the stages, each with its file."""
    project = files.project.spec
    found = [
        _use(("repositories", number), each, Repository)
        for number, each in enumerate(project.repositories)
    ]
    found += [
        _use(("connections", number), each, Storage)
        for number, each in enumerate(project.connections)
    ]
    if project.scoring_log:
        found.append(_use(("scoring_log",), project.scoring_log, ScoringLog))
    found += [_use(("channels", name), each, Notifier) for name, each in project.channels.items()]
    found += [_use(("signers", name), each, Signer) for name, each in project.signers.items()]
    for use in found:
        yield files.project.source, use
    for stage in files.stages.values():
        for use in _stage_uses(stage.spec):
            yield stage.source, use


def _use(path: YamlPath, connection: Connection, kind: type[Plugin]) -> Use:
    return Use(path, connection.use, connection.with_, kind)


def _stage_uses(stage: Stage) -> Iterator[Use]:
    for number, runtime in enumerate(stage.runtimes):
        kind = OnlineRuntime if runtime.mode == "online" else BatchRuntime
        yield Use(("runtimes", number), runtime.use, runtime.with_, kind)
