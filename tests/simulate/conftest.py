"""Small lifecycles and scenarios, played with the shipped plugins' own schemas."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import pytest

from waystage import people, timers
from waystage.plugin import Plugin
from waystage.registry import load_catalog
from waystage.simulate import Played, Prepared, Rules, World, play, prepare
from waystage.spec.load import parse_lifecycle, parse_scenario

RULES = Rules(timers.next_fire, people.may_answer, people.check_answer, people.same_answer)
SCENARIO = """\
scenario: a test
lifecycle: small
service: cc-fraud
snapshot: {name: credit, version: "1", author: dana, tags: {candidate: champion}}
roles: {vera: validator, victor: validator, otto: owner, dana: validator}
"""
LIFECYCLE = "lifecycle: small\nservices: cc-fraud\n"

Player: TypeAlias = Callable[..., Played]


@pytest.fixture(scope="session")
def catalog() -> dict[str, type[Plugin]]:
    return dict(load_catalog())


@pytest.fixture(scope="session")
def world(catalog: dict[str, type[Plugin]]) -> World:
    return World(RULES, catalog)


@pytest.fixture(scope="session")
def prepared(catalog: dict[str, type[Plugin]]) -> Callable[[str], Prepared]:
    """Prepare a lifecycle of which all but the head is given."""
    return lambda text: prepare(parse_lifecycle(LIFECYCLE + text, "small.yaml"), catalog)


@pytest.fixture(scope="session")
def played(prepared: Callable[[str], Prepared], world: World) -> Player:
    """Play a scenario, of which all but the head is given, on a lifecycle likewise."""

    def playing(lifecycle: str, scenario: str, **more: Any) -> Played:
        loaded = parse_scenario(SCENARIO + scenario, "test.yaml")
        there = World(world.rules, world.catalog, **more) if more else world
        return play(loaded, prepared(lifecycle), there)

    return playing
