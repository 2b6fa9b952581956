"""What a state that calls another lifecycle orders and answers."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from waystage.kernel import Definition, Run, advance, compile_lifecycle, events
from waystage.kernel import commands as c
from waystage.kernel.advance import Step
from waystage.spec.load import parse_lifecycle

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TEXT = """
lifecycle: parent
services: [s]
initial: check
states:
  check:
    signals: [enough]
    call: {lifecycle: child, with: {level: 2}}
    next: {good: over, enough: other}
  other:
    signals: [back]
    next: {back: check}
  over: {final: true}
"""


def definition(text: str = TEXT) -> Definition:
    loaded = parse_lifecycle(text)
    return compile_lifecycle(loaded.spec, loaded.digest)


def opened(d: Definition) -> Step:
    return advance(d, Run("s-1", "parent", d.hash, "s", {}, {}), events.start(), NOW)


def ordered(step: Step, kind: type) -> list[object]:
    return [command for command in step.commands if isinstance(command, kind)]


def test_entering_orders_one_child():
    step = opened(definition())
    assert ordered(step, c.StartChild) == [c.StartChild("check", 1, "child", {"level": 2})]


def test_the_child_s_parameters_are_what_expressions_give_when_the_state_is_entered():
    asked = TEXT.replace("{level: 2}", '{level: "{{ size(params.names) }}", on: "{{ run.id }}!"}')
    d = definition(asked)
    run = Run("s-1", "parent", d.hash, "s", {}, {"names": ["a", "b"]})
    step = advance(d, run, events.start(), NOW)
    (order,) = ordered(step, c.StartChild)
    assert order == c.StartChild("check", 1, "child", {"level": 2, "on": "s-1!"})


def test_a_parameter_that_has_no_value_parks_the_parent_before_a_child_is_called():
    d = definition(TEXT.replace("{level: 2}", '{level: "{{ params.gone }}"}'))
    step = opened(d)
    assert not ordered(step, c.StartChild)
    assert "gone" in step.run.incidents["check"]["message"]
    mended = Run.from_json(step.run.to_json() | {"params": {"gone": 3}})
    again = advance(d, mended, events.repair("retry", "check", {}, "otto"), NOW)
    assert ordered(again, c.StartChild) == [c.StartChild("check", 1, "child", {"level": 3})]


def test_the_child_s_outcome_is_the_state_s_event():
    d = definition()
    step = advance(d, opened(d).run, events.child_ended("check", 1, "good", {"run": "s-2"}), NOW)
    assert (step.run.outcome, step.run.steps["check"]) == ("done", {"run": "s-2"})
    assert not ordered(step, c.AbortChild)


def test_an_outcome_that_nothing_answers_parks_the_parent():
    d = definition()
    step = advance(d, opened(d).run, events.child_ended("check", 1, "odd", {}), NOW)
    assert step.run.incidents["check"]["kind"] == "unhandled"


def test_a_lost_child_is_a_failure_whose_retry_calls_anew():
    d = definition()
    lost = advance(d, opened(d).run, events.child_lost("check", 1, "aborted", "s-2"), NOW)
    assert lost.run.incidents["check"]["kind"] == "failed"
    again = advance(d, lost.run, events.repair("retry", "check", {}, "otto"), NOW)
    assert [order.entry for order in ordered(again, c.StartChild)] == [2]
    assert not again.run.incidents


def test_aborting_the_parent_aborts_the_child():
    d = definition()
    step = advance(d, opened(d).run, events.repair("abort", "check", {"reason": "r"}, "o"), NOW)
    assert ordered(step, c.AbortChild) == [c.AbortChild("check", 1)]
    assert ordered(step, c.EndRun) == [c.EndRun("aborted", aborted="o")]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(["ended", "lost", "late", "enough", "back", "retry"]), max_size=25))
def test_whatever_happens_no_child_is_left_alone_and_none_is_ordered_twice(happenings):
    d = definition()
    step = opened(d)
    living = {order.entry for order in ordered(step, c.StartChild)}
    for what in happenings:
        entry = step.run.entered.get("check", 0)
        event = {
            "ended": events.child_ended("check", entry, "odd", {}),
            "lost": events.child_lost("check", entry, "boom"),
            "late": events.child_ended("check", entry - 1, "good", {}),
            "enough": events.signal("enough", {}),
            "back": events.signal("back", {}),
            "retry": events.repair("retry", "check", {}, "otto"),
        }[what]
        if what in ("ended", "lost"):
            living.discard(entry)
        step = advance(d, step.run, event, NOW)
        for order in step.commands:
            if isinstance(order, c.AbortChild):
                living.remove(order.entry)
            if isinstance(order, c.StartChild):
                assert order.entry not in living
                living.add(order.entry)
        waits = step.run.activities.get("check", {}).get("child")
        assert living == ({step.run.entered["check"]} if waits else set())
