"""Scenarios and simulated runs say whose signature was found; stages that ask go by it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from waystage.simulate import Lifecycles, Played, Prepared, World, play
from waystage.simulate.cast import open_run, people_of
from waystage.simulate.explore import Explorer
from waystage.spec.load import parse_lifecycle, parse_scenario, parse_stage

SIGNED = """\
initial: check
states:
  check:
    steps: [{use: model.check}]
    next: {done: live, refused: rejected}
  live:
    stage: PROD
    steps: [{use: runtime.deploy}]
    next: {done: closed, refused: rejected}
  closed: {final: true}
  rejected: {final: true, outcome: rejected}
"""
STAGES = {"PROD": parse_stage("stage: PROD\nrequires: {signed_by: [models-ca, others]}\n").spec}


def problems(played: Played) -> list[str]:
    return [str(problem) for problem in played.differences]


@pytest.mark.parametrize(("found", "outcome"), [
    ("{done: {signed_by: [models-ca]}}", "done"),
    ("{done: {signed_by: [nobody, others]}}", "done"),
    ("{done: {signed_by: [nobody]}}", "rejected"),
    ("{done: {signed_by: []}}", "rejected"),
    ("{done: {}}", "rejected"),
])  # fmt: skip
def test_a_stage_goes_by_what_the_check_has_found(played: Any, found: str, outcome: str) -> None:
    scenario = f"plugins: {{model.check: {found}}}\nexpect: {{outcome: {outcome}}}"
    assert problems(played(SIGNED, scenario, stages=STAGES)) == []


def test_only_steps_that_verify_are_believed(played: Any) -> None:
    lifecycle = SIGNED.replace("model.check", "test.free")
    scenario = "plugins: {test.free: {done: {signed_by: [models-ca]}}}\nexpect: {outcome: done}"
    assert problems(played(lifecycle, scenario, stages=STAGES)) != []


def test_a_signature_that_is_no_list_of_names_is_told(played: Any) -> None:
    scenario = "plugins: {model.check: {done: {signed_by: 7}}}\nexpect: {outcome: rejected}"
    (told,) = problems(played(SIGNED, scenario, stages=STAGES))
    assert "model.check: signed_by" in told


@pytest.mark.parametrize(("given", "outcome"), [
    ({}, "done"), ({"signed_by": "[]"}, "rejected"), ({"signed_by": "[others]"}, "done"),
])  # fmt: skip
def test_a_simulated_snapshot_is_signed_unless_somebody_says_otherwise(
    prepared: Callable[[str], Prepared], world: World, given: dict[str, str], outcome: str
) -> None:
    there = World(world.rules, world.catalog, stages=STAGES)
    made = prepared(SIGNED)
    run = open_run(made, there, "cc-fraud", {}, {})
    explorer = Explorer(made, there, run, datetime(2026, 1, 5, 9, tzinfo=UTC),
                        people_of(made, there))  # fmt: skip
    for said in (given, {}):
        for option in explorer.options():
            if option.name.endswith("done"):
                option.act(said)
                break
    assert explorer.sim.run.outcome == outcome


HEAD = """\
scenario: a test
lifecycle: small
service: cc-fraud
snapshot: {name: credit, version: "1", author: dana}
"""
CALLING = """\
lifecycle: small
services: cc-fraud
initial: first
states:
  first: {call: {lifecycle: checking}, next: live}
  live:
    stage: PROD
    steps: [{use: runtime.deploy}]
    next: {done: closed, refused: rejected}
  closed: {final: true}
  rejected: {final: true, outcome: rejected}
"""
CHECKING = """\
lifecycle: checking
services: cc-fraud
initial: check
states:
  check: {steps: [{use: model.check}], next: {done: closed, refused: closed}}
  closed: {final: true}
"""


@pytest.mark.parametrize(("signed", "outcome"), [("[models-ca]", "done"), ("[]", "rejected")])
def test_what_a_called_lifecycle_verified_counts_for_its_caller(
    world: World, signed: str, outcome: str
) -> None:
    loaded = {each.spec.lifecycle: each for each in map(parse_lifecycle, (CALLING, CHECKING))}
    ready = Lifecycles(loaded, world.catalog)
    there = World(world.rules, world.catalog, stages=STAGES, lifecycles=ready)
    found = f"{{model.check: {{done: {{signed_by: {signed}}}}}}}"
    calls = f"calls: {{first: {{play: {{plugins: {found}}}}}}}"
    scenario = f"{HEAD}{calls}\nexpect: {{outcome: {outcome}}}\n"
    assert problems(play(parse_scenario(scenario, "a.yaml"), ready["small"], there)) == []
