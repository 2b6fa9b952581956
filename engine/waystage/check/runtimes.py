"""Steps that need a runtime where the stage has none for the service, or cannot choose.

- E-STAGE-MISSING: the step needs a runtime, and its state belongs to no stage.
- E-RUNTIME: the stage has no runtime of that mode for the service, or several and not
  exactly one that says `prefer`.

Why it hurts: the deployment would be parked. To mend it, let the state say `stage`, add the
service to a runtime of the stage, or prefer one; the message names the candidates.
"""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

from waystage.check.places import Place, YamlPath
from waystage.check.subject import Subject
from waystage.errors import Problem
from waystage.plugin import Step
from waystage.spec.load import ProjectFiles
from waystage.spec.stage import Runtime


def check(subject: Subject) -> Iterator[Problem]:
    """Resolve service, stage and mode for every step that needs a runtime."""
    if subject.files is None:
        return
    for place in subject.places:
        for path, use, need, _ in needs(subject, place):
            if not place.stages:
                text = f"{use} needs a runtime, and this state belongs to no stage"
                hint = "say stage: here or in a state around it"
                yield subject.problem("E-STAGE-MISSING", path, text, hint)
            for stage in place.stages:
                for code, text in _choices(subject.files, stage, subject.services, need):
                    yield subject.problem(code, path, f"{use}: {text}")


def needs(subject: Subject, place: Place) -> Iterator[tuple[YamlPath, str, str, frozenset[str]]]:
    """Give the steps of a state that need a runtime: where, which plugin, mode, capabilities."""
    for number, step in enumerate(place.spec.steps or ()):
        path = place.at("steps", number)
        calls = [(path, step.use, step.with_)]
        if step.undo:
            calls.append(((*path, "undo"), step.undo.use, step.undo.with_))
        for at, use, settings in calls:
            plugin = subject.catalog.get(use)
            if plugin is None or not issubclass(plugin, Step):
                continue
            need, able = plugin.asks_of_runtime(settings)
            if need is not None:
                yield at, use, _mode(need, settings), able


def _mode(need: str, settings: dict[str, Any]) -> str:
    """Narrow `any` by the mode that the step's own settings ask for."""
    said = settings.get("mode")
    return str(said) if need == "any" and said in ("online", "batch") else need


def _choices(
    files: ProjectFiles, stage: str, services: tuple[str, ...], need: str
) -> Iterator[tuple[str, str]]:
    if stage not in files.stages:
        return
    for service in services:
        found = candidates(files, stage, service, need)
        if not found:
            kind = "" if need == "any" else f"{need} "
            have = _names(files.stages[stage].spec.runtimes) or "none"
            yield (
                "E-RUNTIME",
                f"{stage} has no {kind}runtime for {service!r} (it has {have})",
            )
        elif len(found) > 1 and sum(runtime.prefer for runtime in found) != 1:
            text = f"{stage} has several {found[0].mode} runtimes for {service!r}: {_names(found)}"
            yield "E-RUNTIME", f"{text}; say prefer: true at one"


def candidates(files: ProjectFiles, stage: str, service: str, need: str) -> list[Runtime]:
    """Give the runtimes of a stage that are for the service, of the mode that is needed."""
    fitting = [
        runtime
        for runtime in files.stages[stage].spec.runtimes
        if any(fnmatchcase(service, glob) for glob in runtime.services)
    ]
    by_mode = {mode: [r for r in fitting if r.mode == mode] for mode in ("online", "batch")}
    return by_mode["online"] or by_mode["batch"] if need == "any" else by_mode[need]


def _names(runtimes: tuple[Runtime, ...] | list[Runtime]) -> str:
    return ", ".join(f"{runtime.name} ({runtime.mode})" for runtime in runtimes)
