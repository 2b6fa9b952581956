"""What the checks look at: one lifecycle in its project, with the plugins that there are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any

from waystage.errors import Problem, WaystageError
from waystage.kernel import Definition, compile_lifecycle
from waystage.plugin import Plugin
from waystage.spec.lifecycle import Lifecycle, State
from waystage.spec.load import Loaded, ProjectFiles

YamlPath = tuple[str | int, ...]
Catalog = Mapping[str, type[Plugin]]


@dataclass(frozen=True)
class Place:
    """A state as written: where, and which levels of names enclose it, the nearest first."""

    path: YamlPath
    name: str
    spec: State
    levels: tuple[Mapping[str, State], ...]
    stages: tuple[str, ...]


@dataclass(frozen=True)
class Subject:
    """One lifecycle to be checked; without a project, what needs one is not checked."""

    loaded: Loaded[Lifecycle]
    files: ProjectFiles | None
    catalog: Catalog

    @property
    def spec(self) -> Lifecycle:
        """The lifecycle's model."""
        return self.loaded.spec

    @cached_property
    def places(self) -> tuple[Place, ...]:
        """Every state, the outer before the inner."""
        return tuple(_walk(self.spec.states, ("states",), (self.spec.states,), ()))

    @cached_property
    def definition(self) -> Definition | None:
        """The compiled lifecycle, or None where names do not resolve."""
        try:
            return compile_lifecycle(self.spec, self.loaded.digest)
        except WaystageError:
            return None

    @cached_property
    def nodes(self) -> dict[str, Place]:
        """The place of each state of the compiled lifecycle; several may share one."""
        if self.definition is None:
            return {}
        by_spec = {id(place.spec): place for place in self.places}
        nodes = self.definition.nodes.items()
        return {path: by_spec[id(n.spec)] for path, n in nodes if id(n.spec) in by_spec}

    @cached_property
    def services(self) -> tuple[str, ...]:
        """The services that the lifecycle is for, globs met by the project's services."""
        known = self.files.project.spec.services if self.files else {}
        found = {glob for glob in self.spec.services if not set(glob) & set("*?")}
        found |= {s for s in known for glob in self.spec.services if fnmatchcase(s, glob)}
        return tuple(sorted(found))

    def problem(
        self,
        code: str,
        path: YamlPath,
        message: str,
        suggestion: str = "",
        *,
        warning: bool = False,
    ) -> Problem:
        """Make a problem at a place of the lifecycle's file."""
        severity = "warning" if warning else "error"
        return self.loaded.source.problem(code, path, message, suggestion, severity)  # type: ignore[arg-type]  # one of the two words


def did_you_mean(word: str, known: Any) -> str:
    """Suggest the nearest known word."""
    names = [str(each) for each in known]
    near = get_close_matches(word, names, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"there is {', '.join(sorted(names)[:8])}" if names else ""


def _walk(
    states: Mapping[str, State],
    path: YamlPath,
    levels: tuple[Mapping[str, State], ...],
    stages: tuple[str, ...],
) -> Iterator[Place]:
    for name, spec in states.items():
        here = (*path, name)
        own = spec.stages or ((spec.stage,) if spec.stage else stages)
        yield Place(here, name, spec, levels, own)
        if spec.states:
            yield from _walk(spec.states, (*here, "states"), (spec.states, *levels), own)
        for branch, inner in (spec.branches or {}).items():
            yield from _walk(
                inner.states, (*here, "branches", branch, "states"), (inner.states,), own
            )
