"""What the checks look at: one lifecycle in its project, with the plugins that there are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cached_property
from typing import TypeAlias

from waystage.check.flow import Flow
from waystage.check.places import Place, YamlPath, walk
from waystage.check.skeleton import Skeleton, build
from waystage.errors import Problem
from waystage.expressions import Scope
from waystage.plugin import Plugin
from waystage.spec.lifecycle import Lifecycle
from waystage.spec.load import Loaded, ProjectFiles
from waystage.spec.project import Project

Catalog: TypeAlias = Mapping[str, type[Plugin]]
MANY = 8


@dataclass(frozen=True)
class Subject:
    """One lifecycle to be checked; without a project, what needs one is not checked.

    `called` are the lifecycles that others of the project call.
    """

    loaded: Loaded[Lifecycle]
    files: ProjectFiles | None
    catalog: Catalog
    called: frozenset[str] = frozenset()

    @property
    def spec(self) -> Lifecycle:
        """The lifecycle's model."""
        return self.loaded.spec

    @property
    def project(self) -> Project | None:
        """What the project's own file says."""
        return self.files.project.spec if self.files else None

    @cached_property
    def places(self) -> tuple[Place, ...]:
        """Every state, the outer before the inner."""
        return tuple(walk(self.spec))

    @cached_property
    def skeleton(self) -> Skeleton:
        """The expanded states and arrows, whatever is wrong with the rest."""
        return build(self.spec, self.places)

    @cached_property
    def flow(self) -> Flow:
        """Which events there are and where they lead."""
        return Flow(self.skeleton.definition, self._outcomes_of)

    @cached_property
    def scope(self) -> Scope:
        """The names that expressions in the states may use, and their types."""
        from waystage.check.scope import scope_of

        return scope_of(self)

    @cached_property
    def services(self) -> tuple[str, ...]:
        """The services that the lifecycle is for, globs met by the project's services."""
        known = self.project.services if self.project else {}
        named = {glob for glob in self.spec.services if not is_glob(glob)}
        met = {s for s in known for glob in self.spec.services if fnmatchcase(s, glob)}
        return tuple(sorted(named | met))

    def problem(self, code: str, path: YamlPath, message: str, suggestion: str = "") -> Problem:
        """Make a problem at a place of the lifecycle's file; `W-` codes are warnings."""
        severity = "warning" if code.startswith("W-") else "error"
        return self.loaded.source.problem(code, path, message, suggestion, severity)  # type: ignore[arg-type]  # one of the two words

    def _outcomes_of(self, lifecycle: str) -> frozenset[str] | None:
        """Give how another lifecycle may end, if the project has it."""
        loaded = self.files.lifecycles.get(lifecycle) if self.files else None
        if loaded is None:
            return None
        finals = [state for state in loaded.spec.states.values() if state.final]
        return frozenset(state.outcome or "done" for state in finals)


def is_glob(name: str) -> bool:
    """Whether a service is a pattern for several."""
    return "*" in name or "?" in name


def did_you_mean(word: str, known: Iterable[object]) -> str:
    """Suggest the nearest known word, or say what there is."""
    names = sorted({str(each) for each in known})
    near = get_close_matches(word, names, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    more = f" and {len(names) - MANY} more" if len(names) > MANY else ""
    return f"there is {', '.join(names[:MANY])}{more}" if names else ""
