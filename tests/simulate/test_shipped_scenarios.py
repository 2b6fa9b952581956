"""The shipped lifecycles: every scenario holds, every state and arrow is covered, no findings."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from waystage import library
from waystage.plugin import Plugin
from waystage.simulate import Lifecycles, World, coverage_of, play, prepare
from waystage.simulate.chance import search
from waystage.spec.lifecycle import Lifecycle
from waystage.spec.load import Loaded, load_lifecycle, load_scenario

LIFECYCLES = [load_lifecycle(path) for path in library.lifecycles()]
SCENARIOS = [load_scenario(path) for path in library.scenarios()]
NAMES = [loaded.spec.lifecycle for loaded in LIFECYCLES]


@pytest.mark.parametrize("loaded", LIFECYCLES, ids=NAMES)
def test_every_state_and_arrow_of_a_shipped_lifecycle_is_covered(
    loaded: Loaded[Lifecycle], world: World, catalog: dict[str, type[Plugin]]
) -> None:
    ready = Lifecycles(dict(zip(NAMES, LIFECYCLES, strict=True)), catalog)
    prepared = ready[loaded.spec.lifecycle]
    own = [each for each in SCENARIOS if each.spec.lifecycle == loaded.spec.lifecycle]
    there = World(world.rules, world.catalog, lifecycles=ready)
    played = [play(each, prepared, there) for each in own]
    assert [str(problem) for each in played for problem in each.differences] == []
    coverage = coverage_of(prepared, played)
    assert [gap.text for gap in coverage.gaps] == []
    assert coverage.percent == 100
    without = [[*played[:n], *played[n + 1 :]] for n in range(len(played))]
    fewer = [coverage_of(prepared, each).percent for each in without]
    assert min(fewer) < 100  # a scenario that is left out is missed: the test can fail


def test_every_shipped_scenario_is_of_a_shipped_lifecycle() -> None:
    assert {each.spec.lifecycle for each in SCENARIOS} == set(NAMES)


@pytest.mark.parametrize("loaded", LIFECYCLES, ids=NAMES)
def test_runs_by_chance_find_nothing_in_a_shipped_lifecycle(
    loaded: Loaded[Lifecycle], world: World, catalog: dict[str, type[Plugin]]
) -> None:
    found = search(prepare(loaded, catalog), world, datetime(2026, 1, 5, tzinfo=UTC), 150, 1)
    assert found.findings == ()
    assert found.ended > 100


def test_shipped_scenarios_lie_beside_the_lifecycles() -> None:
    assert {path.parent for path in library.scenarios()} == {
        Path(library.library(), "lifecycles", "scenarios")
    }
