"""When a stage is open, and how a state that changes it waits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from waystage.errors import Invalid
from waystage.kernel import Definition, Run, advance, compile_lifecycle, events
from waystage.kernel import commands as c
from waystage.kernel.advance import Step
from waystage.kernel.windows import Closed, Stop, closed
from waystage.spec.load import parse_lifecycle, parse_stage
from waystage.spec.windows import ChangeWindow

NOW = datetime(2026, 12, 24, 12, tzinfo=UTC)
LATER = "2027-01-04T05:00:00+00:00"
FREEZE = {"from": "2026-12-20T00:00", "to": "2027-01-04T06:00", "zone": "Europe/Berlin"}


def window(**says: Any) -> ChangeWindow:
    return ChangeWindow.model_validate(says)


def test_a_freeze_closes_until_its_end_in_its_own_zone():
    found = closed([window(deny=FREEZE | {"why": "year-end"})], [], "forward", NOW)
    assert found == Closed("year-end", datetime(2027, 1, 4, 5, tzinfo=UTC))


def test_going_back_is_held_up_by_strict_freezes_alone():
    assert closed([window(deny=FREEZE)], [], "back", NOW) is None
    assert closed([window(deny=FREEZE | {"strict": True})], [], "back", NOW)
    assert closed([], [Stop("otto", "smoke")], "back", NOW) is None
    assert closed([], [Stop("otto", "smoke", strict=True)], "back", NOW)


def test_where_there_is_an_allow_one_of_them_must_be_active():
    allow = window(allow={"from": "2026-12-25T00:00Z", "to": "2026-12-25T06:00Z"})
    found = closed([allow], [], "forward", NOW)
    assert found == Closed("no window for changes is open", datetime(2026, 12, 25, tzinfo=UTC))
    assert closed([allow], [], "forward", NOW + timedelta(hours=13)) is None
    past = closed([allow], [], "forward", NOW + timedelta(days=9))
    assert past
    assert past.until is None
    assert closed([allow], [], "back", NOW) is None


def test_a_stopped_line_has_no_end_and_says_who_stopped_it():
    found = closed([window(deny=FREEZE)], [Stop("otto", "smoke")], "forward", NOW)
    assert found == Closed("otto stopped the line: smoke", None)


hours = st.integers(0, 60)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.booleans(), hours, st.integers(1, 30)), max_size=5), hours)
def test_it_opens_at_the_first_instant_at_which_it_is_open(spans, at):
    zero = datetime(2026, 1, 1, tzinfo=UTC)
    windows = [
        window(**{"deny" if deny else "allow": {
            "from": zero + timedelta(hours=start), "to": zero + timedelta(hours=start + length)}})
        for deny, start, length in spans
    ]  # fmt: skip

    def is_open(hour: int) -> bool:
        denied = any(d and s <= hour < s + n for d, s, n in spans)
        allows = [s <= hour < s + n for d, s, n in spans if not d]
        return not denied and (not allows or any(allows))

    found = closed(windows, [], "forward", zero + timedelta(hours=at))
    assert (found is None) == is_open(at)
    if found:
        first = next((hour for hour in range(at, 100) if is_open(hour)), None)
        assert found.until == (None if first is None else zero + timedelta(hours=first))


def test_strict_belongs_to_a_freeze_and_conditions_have_names_that_there_are():
    with pytest.raises(ValidationError):
        window(allow=FREEZE | {"strict": True})
    with pytest.raises(Invalid):
        parse_stage("stage: PROD\nrequires: {tagz: {reviewed: yes}}\n")


TEXT = """
lifecycle: release
services: [s]
initial: live
states:
  live:
    stage: PROD
    signals: [enough]
    steps: [{use: a.note}, {use: a.deploy}]
    next: {done: over, refused: no, enough: no}
  over: {final: true}
  no: {final: true, outcome: rejected}
"""


def definition() -> Definition:
    loaded = parse_lifecycle(TEXT)
    return compile_lifecycle(
        loaded.spec, loaded.digest, lambda use: "forward" if use == "a.deploy" else "none"
    )


def opened(d: Definition) -> Step:
    return advance(d, Run("s-1", "release", d.hash, "s", {}, {}), events.start(), NOW)


def told(d: Definition, step: Step, answer: str, **data: Any) -> Step:
    return advance(d, step.run, events.stage_answered("live", 1, answer, data, "otto"), NOW)


def kinds(step: Step) -> list[type]:
    return [type(command) for command in step.commands]


def test_a_state_that_changes_its_stage_asks_before_its_first_step():
    d = definition()
    step = opened(d)
    assert step.commands == [c.AskStage("live", 1, "PROD", "forward")]
    begun = told(d, step, "open")
    assert [o.use for o in begun.commands if isinstance(o, c.StartStep)] == ["a.note"]
    assert not begun.records


def test_a_closed_stage_is_waited_for_and_asked_again_when_it_should_be_open():
    d = definition()
    step = told(d, opened(d), "closed", until=LATER, why="year-end")
    waits = {"stage": "PROD", "until": LATER, "why": "year-end"}
    due = datetime.fromisoformat(LATER)
    assert step.commands == [c.SetTimer("live", 1, "@window", None, due, waits)]
    assert [r.to_json() for r in step.records] == [
        ["waits", "live", "PROD", f"until {LATER}: year-end"]
    ]
    again = advance(d, step.run, events.timer_fired("live", 1, "@window"), due)
    assert kinds(again) == [c.AskStage]
    begun = told(d, again, "open")
    assert kinds(begun) == [c.CancelTimers, c.StartStep]


def test_an_override_goes_on_and_says_who_and_why():
    d = definition()
    step = told(d, opened(d), "closed", until=None, why="otto stopped the line")
    begun = told(d, step, "override", reason="the regulator asked")
    assert c.StartStep in kinds(begun)
    assert "otto overrides: the regulator asked" in begun.records[0].detail


def test_an_unmet_condition_is_a_refusal():
    d = definition()
    step = told(d, opened(d), "unmet", why="PROD takes only onnx")
    assert step.run.outcome == "rejected"


def test_leaving_while_waiting_takes_the_timer_along():
    d = definition()
    step = told(d, opened(d), "closed", until=LATER, why="year-end")
    left = advance(d, step.run, events.signal("enough", {}), NOW)
    assert c.CancelTimers("live") in left.commands
    late = told(d, left, "open")
    assert not late.commands
