"""Runs by chance find what is planted, tell the way to it, and can be repeated."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from waystage.plugin import Plugin, Step
from waystage.simulate import Prepared, World
from waystage.simulate.cast import open_run, people_of, service_of, tags_of
from waystage.simulate.chance import Searched, search
from waystage.simulate.explore import Explorer
from waystage.simulate.outputs import made, sampled, unfit_output

BEGINS = datetime(2026, 1, 5, 9, tzinfo=UTC)
DEAD = """\
initial: check
states:
  check: {steps: [{use: model.check}], next: {done: closed, refused: forgotten}}
  forgotten: {wait: true}
  closed: {final: true}
"""
NULL = """\
initial: compare
states:
  compare:
    stage: PROD
    steps: [{id: gain, use: challenger.compare}]
    next:
      done: [{if: steps.gain.gain > 0.1, to: closed}, {to: closed}]
      refused: closed
  closed: {final: true}
"""
CIRCLE = """\
initial: a
states:
  a: {steps: [{use: repository.fetch}], next: b}
  b: {steps: [{use: repository.fetch}], next: a}
"""
AT_ONCE = """\
initial: a
states:
  a: {timers: {t: {after: PT0S}}, next: {t: b}}
  b: {timers: {t: {after: PT0S}}, next: {t: a}}
"""
NOBODY = """\
initial: ask
states:
  ask: {task: {title: Go?, for: [ada], exclude: [ada]}, next: {approve: closed, reject: closed}}
  closed: {final: true}
"""
BROKEN = {
    "dead end": (DEAD, "forgotten"),
    "guard": (NULL, "compare"),
    "endless": (CIRCLE, ""),
}


@pytest.fixture
def searched(prepared: Callable[[str], Prepared], world: World) -> Callable[..., Searched]:
    return lambda text, runs=40, seed=1: search(prepared(text), world, BEGINS, runs, seed)


@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_planted_is_found(kind: str, searched: Any) -> None:
    text, state = BROKEN[kind]
    (finding, *_) = searched(text).findings
    assert finding.kind == kind
    assert state in finding.state
    assert finding.way


def test_a_loop_of_timers_that_take_no_time_is_found(searched: Any) -> None:
    (finding, *_) = searched(AT_ONCE, runs=1).findings
    assert finding.kind == "endless"


def test_a_task_that_nobody_may_answer_is_found(searched: Any) -> None:
    (finding,) = searched(NOBODY).findings
    assert "nobody may answer “Go?”" in finding.message


def test_a_seed_finds_the_same_again(searched: Any) -> None:
    (finding,) = searched(DEAD).findings
    (again,) = searched(DEAD, runs=1, seed=finding.seed).findings
    assert again == finding
    assert finding.way == ("check: refused",)  # the shortest


def test_the_tags_that_open_runs_are_made_up(prepared: Callable[[str], Prepared]) -> None:
    text = """\
start:
  - {on: snapshot.registered, if: 'snapshot.tags.kind in ["a", "b"]'}
initial: x
states:
  x:
    steps: [{use: repository.fetch}]
    next: {done: [{if: 'snapshot.tags.kind == "c"', to: y}, {to: y}]}
  y: {final: true}
"""
    assert tags_of(prepared(text)) == [{"kind": "a"}, {"kind": "b"}]


def explorer(prepared: Prepared, world: World) -> Explorer:
    run = open_run(prepared, world, service_of(prepared, world), {}, {})
    return Explorer(prepared, world, run, BEGINS, people_of(prepared, world))


def test_only_the_timer_that_is_due_first_can_come_next(
    prepared: Callable[[str], Prepared], world: World
) -> None:
    text = """\
initial: a
states:
  a: {timers: {late: {after: P2D}, early: {after: P1D}}, signals: [go],
      next: {late: b, early: b, go: b}}
  b: {final: true}
"""
    stepping = explorer(prepared(text), world)
    assert [each.name for each in stepping.options()] == ["early", "go"]
    stepping.options()[0].act({})
    assert stepping.sim.now == datetime(2026, 1, 6, 9, tzinfo=UTC)
    assert stepping.options() == []


def test_an_operator_may_mend_what_is_parked(
    prepared: Callable[[str], Prepared], world: World
) -> None:
    stepping = explorer(prepared(DEAD), world)
    chosen = {each.name: each for each in stepping.options()}
    chosen["failed"].act({})
    chosen = {each.name: each for each in stepping.options()}
    assert set(chosen) == {"retry", "skip"}
    chosen["retry"].act({})
    chosen = {each.name: each for each in stepping.options()}
    chosen["done"].act({"files": "3"})
    assert stepping.sim.run.status == "ended"


def test_every_shipped_step_s_output_can_be_made_up(catalog: dict[str, type[Plugin]]) -> None:
    steps = [each for each in catalog.values() if issubclass(each, Step)]
    assert len(steps) > 8
    for step in steps:
        step.Output.model_validate(sampled(step))
        assert list(unfit_output(step, made(step, {}))) == []
        decided = {"integer", "number", "boolean"}
        kinds = step.Output.model_json_schema().get("properties", {})
        needed = step.Output.model_json_schema().get("required", [])
        guessed = [n for n in made(step, {}) if n in needed and kinds[n].get("type") in decided]
        assert guessed == []
