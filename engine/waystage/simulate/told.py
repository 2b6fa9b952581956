"""Differences and mistakes of a scenario, each with its place in the scenario's file."""

from __future__ import annotations

from waystage.check.places import YamlPath
from waystage.errors import Problem
from waystage.spec.load import Loaded
from waystage.spec.scenario import Scenario
from waystage.spec.wording import real_path


def told(loaded: Loaded[Scenario], path: YamlPath, message: str, hint: str = "") -> Problem:
    """Make a problem; parts of the path that a shorthand leaves out are left out of it."""
    return loaded.source.problem("E-SCENARIO", real_path(path, loaded.source), message, hint)
