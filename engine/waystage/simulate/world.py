"""What a simulated run finds around it: plugins by name, stages, people, and the rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from waystage.plugin import Plugin
from waystage.simulate.prepared import Prepared
from waystage.spec.lifecycle import Timer
from waystage.spec.project import Person, Project
from waystage.spec.stage import Stage


@dataclass(frozen=True, slots=True)
class Rules:
    """The engine's own rules for timers and people, the same that the daemon goes by."""

    next_fire: Callable[[Timer, datetime], datetime | None]
    may_answer: Callable[..., None]
    check_answer: Callable[[Mapping[str, Any], str, Mapping[str, Any], str], None]
    same_answer: Callable[[Mapping[str, Any], str, str], bool]


@dataclass(frozen=True)
class World:
    """A project as simulated runs see it; without one there are no stages and no people.

    `lifecycles` are those that can be played when they are called.
    """

    rules: Rules
    catalog: Mapping[str, type[Plugin]]
    project: Project | None = None
    stages: Mapping[str, Stage] = field(default_factory=dict)
    lifecycles: Mapping[str, Prepared] = field(default_factory=dict)

    def params_of(self, service: str) -> Mapping[str, Any]:
        """Give what the project says for a service."""
        known = self.project.services.get(service) if self.project else None
        return known.params if known else {}

    def people(self, roles: Mapping[str, tuple[str, ...]]) -> Project:
        """Give a project with these people, or with its own where none are named."""
        if not roles and self.project is not None:
            return self.project
        known = {name: Person(roles=each) for name, each in roles.items()}
        return Project(project="simulated", people=known)
