"""Whether an open run can follow a changed text, and what no mapping may take away."""

from __future__ import annotations

from typing import Any

import pytest
from walking import answered, definition, fired, opened, voted

from waystage.kernel import Run
from waystage.planning.fit import Fit, fit_of

TEXT = """
lifecycle: l
services: [s]
params: {floor: {type: number, default: 0.3}}
data: {looks: {type: integer, default: 0}}
initial: build
states:
  build:
    steps: [{use: a.one, id: one}, {use: a.two}]
    next: {done: soak, refused: over}
  soak: {timers: {soaked: {after: PT1H}}, next: {soaked: approve}}
  approve:
    task: {title: Sure?, for: [x], quorum: 2, form: {tag: {type: string}}}
    next: {approve: both, reject: over}
  both:
    branches:
      left:
        initial: a
        states:
          a: {timers: {tick: {after: PT1H}}, next: {tick: ok}}
          ok: {final: true}
      right:
        initial: a
        states:
          a: {task: {title: Right?, for: [x]}, next: {approve: ok, reject: ok}}
          ok: {final: true}
    next: {done: over}
  over: {final: true}
"""
OLD = definition(TEXT)


def at(state: str) -> Run:
    """Give a run that rests in that state of the old text."""
    run = opened(OLD)
    if state == "build":
        return run
    run = answered(OLD, answered(OLD, run))
    if state == "soak":
        return run
    run = fired(OLD, run, "soak", "soaked")
    if state == "approve":
        return run
    return voted(OLD, voted(OLD, run, "approve", "approve"), "approve", "approve", "victor")


def fit(run: Run, *changes: tuple[str, str], mapping: dict[str, str] | None = None,
        given: dict[str, Any] | None = None) -> Fit:  # fmt: skip
    text = TEXT
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    return fit_of(OLD, definition(text), run, mapping, given)


def test_a_run_of_the_same_text_is_the_same() -> None:
    assert fit_of(OLD, OLD, at("soak")).verdict == "same"


@pytest.mark.parametrize(
    "change",
    [
        ("reject: over", "reject: soak"),
        ("after: PT1H}}, next: {soaked", "after: PT9H}}, next: {soaked"),
        ("title: Right?", "title: Left?"),
    ],
)
def test_what_changes_elsewhere_lets_a_run_move_as_it_is(change: tuple[str, str]) -> None:
    found = fit(at("build"), change)
    assert found.verdict == "auto"
    assert found.migration is not None
    assert found.migration.shifts == ()


def test_a_step_that_comes_later_may_change_and_one_that_has_begun_may_not() -> None:
    assert fit(at("build"), ("a.two", "a.three")).verdict == "auto"
    begun = fit(at("build"), ("a.one", "a.other"))
    assert begun.verdict == "blocked"
    assert "under way" in begun.reasons[0]


def test_a_changed_timer_of_the_present_state_needs_a_person() -> None:
    change = ("after: PT1H}}, next: {soaked", "after: PT9H}}, next: {soaked")
    assert fit(at("soak"), change).verdict == "map"
    anew = fit(at("soak"), change, mapping={"soak": "soak"})
    assert anew.migration is not None
    assert [shift.to for shift in anew.migration.shifts] == ["soak"]


def test_a_state_that_is_gone_needs_a_mapping_and_takes_it() -> None:
    rename = (("  soak:", "  settle:"), ("done: soak", "done: settle"))
    assert fit(at("soak"), *rename).homeless == ("soak",)
    moved = fit(at("soak"), *rename, mapping={"soak": "settle"})
    assert moved.migration is not None
    assert fit(at("soak"), *rename, mapping={"soak": "nowhere"}).verdict == "blocked"


def test_an_open_task_whose_form_changed_is_never_taken_away() -> None:
    change = ("{tag: {type: string}}", "{tag: {type: string, required: true}}")
    for mapping in (None, {"approve": "approve"}, {"approve": "over"}):
        found = fit(at("approve"), change, mapping=mapping)
        assert found.verdict == "blocked"
    assert "form changed (tag)" in fit(at("approve"), change).reasons[0]
    assert fit(at("soak"), change).verdict == "auto"


def test_an_open_task_may_not_be_closed_without_an_answer() -> None:
    found = fit(at("approve"), ("PT1H", "PT2H"), mapping={"approve": "soak"})
    assert found.verdict == "blocked"
    assert "without an answer" in found.reasons[0]
    inside = fit(at("both"), ("quorum: 2", "quorum: 1"), mapping={"both": "over"})
    assert "both.right.a" in inside.reasons[0]


def test_an_open_task_asked_of_others_is_asked_anew_by_a_mapping() -> None:
    change = ("quorum: 2", "quorum: 3")
    assert fit(at("approve"), change).verdict == "map"
    assert fit(at("approve"), change, mapping={"approve": "approve"}).migration is not None


def test_votes_that_were_cast_are_told_to_be_void() -> None:
    run = voted(OLD, at("approve"), "approve", "approve")
    found = fit(run, ("title: Right?", "title: Left?"))
    assert found.verdict == "auto"
    assert found.notes == ("approve: 1 votes are void, they are asked anew",)


def test_a_branch_that_waits_for_time_may_go_elsewhere_within_its_branch() -> None:
    change = ("          a: {timers: {tick: {after: PT1H}}, next: {tick: ok}}",
              "          b: {timers: {tick: {after: PT1H}}, next: {tick: ok}}")  # fmt: skip
    changes = (
        change,
        ("initial: a\n        states:\n          b", "initial: b\n        states:\n          b"),
    )
    assert fit(at("both"), *changes).homeless == ("both.left.a",)
    moved = fit(at("both"), *changes, mapping={"both.left.a": "both.left.b"})
    assert moved.migration is not None
    assert moved.migration.shifts[0].region == "both.left"
    out = fit(at("both"), *changes, mapping={"both.left.a": "over"})
    assert out.verdict == "blocked"


def test_a_parameter_that_was_a_default_follows_the_text_and_one_that_was_set_stays() -> None:
    run = at("soak")
    change = ("default: 0.3", "default: 0.2")
    assert fit(run, change).migration.params == {"floor": 0.2}  # type: ignore[union-attr]  # it is there
    assert fit(run, change, given={"floor": 0.25}).migration.params == {"floor": 0.25}  # type: ignore[union-attr]  # it is there
    run.params = {"floor": 0.4}
    assert fit(run, change).migration.params == {}  # type: ignore[union-attr]  # it is there


def test_a_variable_of_another_type_blocks_and_a_new_one_begins_with_its_default() -> None:
    wrong = fit(at("soak"), ("{type: integer, default: 0}", "{type: string, default: none}"))
    assert wrong.verdict == "blocked"
    assert "data.looks" in wrong.reasons[0]
    new = fit(at("soak"), ("data: {", "data: {why: {type: string, default: none}, "))
    assert new.migration.data == {"why": "none"}  # type: ignore[union-attr]  # it is there
