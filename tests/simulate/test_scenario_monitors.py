"""Scenarios: assessments of monitors, signals in time, and when a scenario is over."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from waystage.simulate import Played

WATCH = """\
params: {floor: {type: number, default: 0.2}}
data: {bad: {type: integer, default: 0}}
monitors:
  ks:
    use: performance.ks
    window: {length: P7D}
    warn: {below: 0.3}
    breach: {below: "{{ params.floor }}", datapoints: 2, of: 3}
    cooldown: P30D
initial: serving
states:
  serving:
    timers: {week: {every: P7D}}
    signals: [snapshot.superseded]
    next: {week: assess, snapshot.superseded: closed}
  assess:
    verify: [ks]
    next:
      ok: serving
      warn: serving
      insufficient: serving
      breach: {to: serving, set: {bad: "{{ data.bad + 1 }}"}}
  closed: {final: true}
"""


def texts(played: Played) -> list[str]:
    return [str(problem) for problem in played.differences]


def test_verdict_words_hold_whatever_thresholds_say(played: Any) -> None:
    found = played(
        WATCH, "monitors: {ks: [breach, breach, warn, ok, insufficient]}\nexpect: {data: {bad: 2}}"
    )
    assert texts(found) == []
    assert found.why == "monitors: has no more assessments of ks"
    assert found.ended - found.began == timedelta(days=35)


def test_values_go_through_thresholds_m_of_n_and_cooldown(played: Any) -> None:
    values = "monitors: {ks: [0.5, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1]}\n"
    found = played(WATCH, values + "expect: {data: {bad: 2}}")
    assert texts(found) == []  # the second and the seventh low one: 35 days are past the cooldown


def test_parameters_of_the_scenario_reach_the_thresholds(played: Any) -> None:
    body = "params: {floor: 0.05}\nmonitors: {ks: [0.1, 0.1, 0.1]}\nexpect: {data: {bad: 0}}"
    assert texts(played(WATCH, body)) == []


def test_the_end_is_where_the_run_was_before_the_question_without_an_answer(played: Any) -> None:
    found = played(WATCH, "monitors: {ks: [ok]}\nexpect: {ends_in: serving}")
    assert texts(found) == []
    assert [visit.state for visit in found.visits] == ["serving", "assess", "serving"]


def test_an_assessment_that_no_timer_led_to_must_be_answered(played: Any) -> None:
    at_once = WATCH.replace("initial: serving", "initial: assess")
    (problem,) = texts(played(at_once, "expect: {}"))
    assert "ks is assessed, and there is no answer; write monitors: {ks: [ok]}" in problem


def test_one_word_is_for_all_assessments_and_ends_when_all_repeats(played: Any) -> None:
    found = played(WATCH, "monitors: {ks: ok}\nexpect: {ends_in: serving}")
    assert texts(found) == []
    assert found.why == "from here on everything repeats itself"
    longer = played(WATCH, "until: P365D\nmonitors: {ks: ok}\nexpect: {ends_in: serving}")
    assert longer.ended - longer.began == timedelta(days=364)


def test_assessments_that_were_never_made_are_told(played: Any) -> None:
    body = "until: P10D\nmonitors:\n  ks: [ok, ok, ok]\nexpect: {}"
    (problem,) = texts(played(WATCH, body))
    assert problem.startswith("test.yaml:8:12: monitors.ks[1]: ks was assessed 1 times")


def test_a_verdict_that_thresholds_cannot_give_is_told(played: Any) -> None:
    only = WATCH.replace("    warn: {below: 0.3}\n", "").replace(", datapoints: 2, of: 3", "")
    no_cooldown = only.replace("    cooldown: P30D\n", "")
    assert texts(played(only, "monitors: {ks: [warn]}\nexpect: {}")) == []
    (problem,) = texts(played(no_cooldown, "monitors: {ks: [warn]}\nexpect: {}"))
    assert "ks never comes to warn" in problem


def test_signals_come_so_long_after_a_state_or_the_beginning(played: Any) -> None:
    for at in ("at: serving, ", ""):
        body = (
            f"signals: [{{{at}name: snapshot.superseded, after: P3D}}]\nexpect: {{outcome: done}}"
        )
        found = played(WATCH, body)
        assert texts(found) == []
        assert found.ended - found.began == timedelta(days=3)


def test_a_signal_that_never_came_is_told(played: Any) -> None:
    body = "monitors: {ks: [ok]}\nsignals: [{at: closed, name: snapshot.superseded}]\nexpect: {}"
    (problem,) = texts(played(WATCH, body))
    assert "signals[0]: snapshot.superseded was never sent" in problem
