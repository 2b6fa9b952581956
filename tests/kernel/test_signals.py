"""Who answers a signal when branches run side by side."""

from __future__ import annotations

import pytest
from walking import definition, opened, play

from waystage.kernel import Definition, Run, events

TWO = """
lifecycle: two
services: [s]
data: {count: {type: integer, default: 0}}
initial: both
states:
  both:
    signals: [go, stop]
    branches:
      left:
        initial: a
        states:
          a: {wait: true, signals: [go], next: {go: {to: b, set: {count: "{{ data.count + 1 }}"}}}}
          b: {wait: true, signals: [end], next: {end: over}}
          over: {final: true}
      right:
        initial: c
        states:
          c:
            signals: [go]
            next:
              go:
                - {if: "data.count == 0", to: d, set: {count: "{{ data.count + 10 }}"}}
                - {to: wrong}
          d: {wait: true, signals: [end], next: {end: over}}
          wrong: {final: true, outcome: wrong}
          over: {final: true}
    next: {done: good, any_wrong: bad, go: around, stop: bad}
  around: {final: true, outcome: around}
  good: {final: true}
  bad: {final: true, outcome: bad}
"""


def told(d: Definition, run: Run, *names: str) -> Run:
    for name in names:
        run = play(d, run, events.signal(name, {})).run
    return run


def test_every_branch_that_listens_answers_a_signal():
    d = definition(TWO)
    run = told(d, opened(d), "go")
    assert sorted(run.places) == ["both", "both.left.b", "both.right.d"]


def test_no_branch_sees_what_another_one_sets_in_the_same_event():
    d = definition(TWO)
    assert told(d, opened(d), "go").data["count"] == 11


def test_branches_that_end_by_one_signal_join_once():
    d = definition(TWO)
    run = told(d, opened(d), "go", "end")
    assert (run.status, run.outcome, run.incidents) == ("ended", "done", {})


@pytest.mark.parametrize(("names", "outcome"), [(["stop"], "bad"), (["go", "go"], "around")])
def test_the_state_around_answers_what_no_branch_does(names, outcome):
    d = definition(TWO)
    assert told(d, opened(d), *names).outcome == outcome


def test_a_guard_that_cannot_be_evaluated_parks_its_branch_and_the_other_one_goes_on():
    d = definition(TWO.replace("data.count == 0", "1 / data.count == 0"))
    run = told(d, opened(d), "go")
    assert sorted(run.places) == ["both", "both.left.b", "both.right.c"]
    assert run.incidents["both.right.c"]["kind"] == "guard"
