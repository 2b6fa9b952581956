"""The kernel against the public suites; and that a wrong kernel would be caught."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import tally_report
from judging import FAILED, Tally, judge_all
from suites import SUITES, NotThere, Suite

from waystage.expressions import Template
from waystage.kernel import moves
from waystage.kernel.definition import Definition, Node, Way
from waystage.kernel.machine import Environment, RegionMachine, _holds

pytestmark = pytest.mark.heavy
KERNEL = sys.modules["waystage.kernel.advance"]  # the package has a function of that name


def judged(*keys: str) -> dict[str, Tally]:
    asked = [suite for suite in SUITES if not keys or suite.key in keys]
    try:
        return {suite.key: judge_all(suite.title, suite.cases()) for suite in asked}
    except NotThere as trouble:
        pytest.skip(f"NOT TESTED: {trouble}")


@pytest.fixture(scope="module")
def tallies() -> dict[str, Tally]:
    return judged()


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.key)
def test_no_case_that_can_be_said_fails(tallies: dict[str, Tally], suite: Suite) -> None:
    assert list(tallies[suite.key].failures()) == []


def test_no_fewer_cases_pass_than_were_recorded(tallies: dict[str, Tally]) -> None:
    assert tally_report.shrunk(tallies) == []


def test_fewer_cases_than_recorded_would_be_told(tallies: dict[str, Tally]) -> None:
    fewer = {key: Tally(each.title, each.verdicts[::2]) for key, each in tallies.items()}
    assert len(tally_report.shrunk(fewer)) == len(SUITES)


@pytest.mark.skipif(not tally_report.PAGE.is_file(), reason="the docs are not beside the tests")
def test_the_page_of_the_docs_has_the_numbers(tallies: dict[str, Tally]) -> None:
    told = tally_report.told_on_page()
    found = {**tallies, tally_report.CEL: tally_report.cel_tally()}
    assert {each.title: tally_report.row(each) for each in found.values()} == told


def last_first(self: RegionMachine, leaf: str, event: str, environment: Environment) -> Way | None:
    """Try the arrows of an event from the last to the first."""
    for way in reversed(self._table.get((leaf, event), ())):
        if way.guard is None or _holds(way.guard, environment()):
            return way
    return None


def parents_first(self: Definition, leaf: str, event: str) -> Iterator[Node]:
    """Ask the outermost state first."""
    found = list(right["answering"](self, leaf, event))
    return iter(found[::-1])


def only_one(*given: Any) -> list[Any]:
    """Let only the first branch answer."""
    found: list[Any] = right["chosen"](*given)
    return found[:1]


def everyone(m: Any, region: str, event: Any) -> list[Any]:
    """Let the state around answer too when its branches have."""
    found = list(right["chosen"](m, region, event))
    leaf = m.run.regions.get(region)
    if found and leaf and KERNEL._listens(m, leaf, event.name):
        names = partial(m.environment, m.node(leaf))
        way = m.definition.machines[region].fire(leaf, event.name, names)
        found += [(region, leaf, way)] if way else []
    return found


right: dict[str, Any] = {
    "answering": Definition._answering,
    "chosen": KERNEL._chosen,
}


@pytest.mark.parametrize(
    ("where", "name", "wrong", "suite"),
    [
        (RegionMachine, "fire", last_first, "framework"),
        (Definition, "_answering", parents_first, "framework"),
        (KERNEL, "_chosen", only_one, "framework"),
        (KERNEL, "_chosen", everyone, "framework"),
        (moves, "_join", lambda m, region: None, "w3c"),
        (moves, "_leave_below", lambda m, region, domain: None, "framework"),
        (moves, "_set_timers", lambda m, node: None, "w3c"),
        (Template, "render", lambda self, names: 0, "w3c"),
    ],
    ids=["last arrow first", "parents first", "one branch answers", "all levels answer",
         "branches never join", "branches are not left", "no timers", "nothing is set"],
)  # fmt: skip
def test_a_wrong_kernel_is_caught(
    monkeypatch: pytest.MonkeyPatch, where: Any, name: str, wrong: Any, suite: str
) -> None:
    monkeypatch.setattr(where, name, wrong)
    found = judged(suite)[suite]
    assert found.count(FAILED) > 0, "nothing was caught"
