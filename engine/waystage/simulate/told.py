"""Differences and mistakes of a scenario, each with its place in the scenario's file."""

from __future__ import annotations

from waystage.check.places import YamlPath
from waystage.errors import Problem
from waystage.spec.load import Loaded
from waystage.spec.scenario import ChildPlay, Scenario
from waystage.spec.source import Source
from waystage.spec.wording import real_path


def told(loaded: Loaded[Scenario], path: YamlPath, message: str, hint: str = "") -> Problem:
    """Make a problem; parts of the path that a shorthand leaves out are left out of it."""
    return loaded.source.problem("E-SCENARIO", real_path(path, loaded.source), message, hint)


def within(loaded: Loaded[Scenario], path: YamlPath, spec: Scenario) -> Loaded[Scenario]:
    """Give what a scenario says of a called lifecycle, its parts where they are written."""
    source, inner = loaded.source.at(real_path((*path, "play"), loaded.source))
    origins: dict[YamlPath, tuple[Source, YamlPath]] = {
        (name,): (source, (*inner, name)) for name in ChildPlay.model_fields
    }
    part = Source(source.file, "", {}, {(): source.locate(inner)}, origins=origins)
    return Loaded(spec, part, loaded.digest)
