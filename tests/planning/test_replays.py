"""Recorded history against a changed text or monitor."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from walking import NOW, definition, fresh

from waystage.cli.plot import plot
from waystage.kernel import Definition, Event, advance, events
from waystage.planning.rejudge import Judged, Measured, SettingUnfit, changed, rejudged
from waystage.planning.rerun import Recorded, Rerun, rerun
from waystage.spec.lifecycle import Monitor
from waystage.timers import next_fire

TEXT = """
lifecycle: l
services: [s]
params: {least: {type: integer, default: 3}}
initial: build
states:
  build:
    lease: "{{ service }}"
    steps: [{use: a.one, id: one}, {use: a.two, id: two}]
    next: {done: soak, refused: over}
  soak: {timers: {soaked: {after: PT1H}}, next: {soaked: judge}}
  judge:
    task: {title: Sure?, for: [x], outcomes: [yes, no]}
    next:
      yes: [{if: "steps.one.size >= params.least", to: live}, {to: small}]
      no: over
  live: {signals: [stop], next: {stop: over}}
  small: {signals: [stop], next: {stop: over}}
  over: {final: true}
"""
OLD = definition(TEXT)
LATER = NOW + timedelta(hours=2)


def history(size: int = 3) -> list[Recorded]:
    """Record a run that was built, soaked, judged and stopped."""
    run = fresh(OLD)
    told: list[tuple[Event, datetime]] = [
        (events.start("dana", run.to_json()), NOW),
        (events.lease_granted("build", 1), NOW),
        (events.step_done("build", 1, 0, {"size": size}), NOW),
        (events.step_done("build", 1, 1, {}), NOW),
        (events.timer_fired("soak", 2, "soaked"), NOW + timedelta(minutes=61)),
        (events.vote("judge", 3, "yes", {}, "vera"), LATER),
        (events.signal("stop", {}), LATER + timedelta(days=1)),
    ]
    for event, at in told:
        step = advance(OLD, run, event, at)
        assert not any(record.what == "ignored" for record in step.records)
        run = step.run
    assert run.outcome == "done"
    return [Recorded(n, at, event) for n, (event, at) in enumerate(told, 1)]


def replay(*change: str, size: int = 3) -> Rerun:
    new: Definition = definition(TEXT.replace(*change)) if change else OLD
    assert not change or new.hash != OLD.hash
    return rerun({OLD.hash: OLD}.__getitem__, new, history(size), next_fire)


def test_the_same_text_goes_the_same_way() -> None:
    found = replay()
    assert found.first is None
    assert found.unused == 0
    assert [row.now for row in found.rows][-1] == ("ended: done",)


def test_a_changed_guard_parts_the_ways_where_it_is_asked() -> None:
    found = replay("default: 3", "default: 4")
    assert found.first is not None
    assert (found.first.seq, found.first.was, found.first.now) == (6, ("live",), ("small",))
    assert found.rows[-1].now == ("ended: done",)


def test_a_longer_delay_makes_a_later_answer_come_too_early() -> None:
    found = replay("after: PT1H", "after: PT3H")
    assert found.first is not None
    assert (found.first.seq, found.first.now) == (5, ("soak",))
    assert [row.event for row in found.rows if not row.used] == ["vote yes in judge"]
    assert found.waits == ["judge: the task “Sure?”"]


def test_a_shorter_delay_changes_nothing_when_the_answer_came_later() -> None:
    assert replay("after: PT1H", "after: PT30M").first is None


def test_a_step_that_was_never_called_is_waited_for_and_not_made_up() -> None:
    found = replay("[{use: a.one", "[{use: a.new}, {use: a.one")
    assert found.first is not None
    assert found.first.seq == 4
    assert found.waits == ["build: the answer of a.new"]


def test_a_step_that_moved_gets_its_own_answer() -> None:
    found = replay("{use: a.one, id: one}, {use: a.two, id: two}",
                   "{use: a.one, id: one}, {use: a.two, id: two, timeout: PT1M}")  # fmt: skip
    assert found.first is None


def monitor(**more: Any) -> Monitor:
    body = {"use": "performance.ks", "window": {"length": "P7D"},
            "breach": {"below": "{{ params.floor }}"}}  # fmt: skip
    return Monitor.model_validate(body | more)


def measured(*values: float | None, run: str = "s-1") -> list[Measured]:
    found = []
    for number, value in enumerate(values):
        at = NOW + timedelta(days=7 * number)
        window = (at.isoformat(), (at + timedelta(days=7)).isoformat())
        body = {"insufficient": "too few"} if value is None else {"value": value}
        verdict = "insufficient" if value is None else "ok"
        found.append(
            Measured(run, "credit/1", window, at, verdict, body, {"params": {"floor": 0.1}})
        )
    return found


def judged(was: Monitor, found: list[Measured], *settings: str) -> list[Judged]:
    spec, params = changed(was, settings)
    return rejudged(was, spec, found, params)


def test_without_a_change_the_verdicts_are_those_of_then() -> None:
    found = judged(monitor(), measured(0.3, 0.2, None))
    assert [each.verdict for each in found] == ["ok", "ok", "insufficient"]


def test_a_higher_threshold_would_have_fired_and_knows_both_limits() -> None:
    found = judged(monitor(), measured(0.3, 0.2, 0.15, None, 0.12), "breach.below=0.25")
    verdicts = [each.verdict for each in found]
    assert verdicts == ["ok", "breach", "breach", "insufficient", "breach"]
    assert {(each.limit_was, each.limit) for each in found} == {(0.1, 0.25)}


def test_a_parameter_may_be_set_instead_of_the_threshold() -> None:
    found = judged(monitor(), measured(0.3, 0.2), "params.floor=0.25")
    assert [each.verdict for each in found] == ["ok", "breach"]


def test_datapoints_and_cooldown_are_counted_per_run() -> None:
    settings = ("breach.below=0.25", "breach.datapoints=2", "breach.of=3", "cooldown=P20D")
    one, other = measured(0.2, 0.2, 0.2, 0.2, 0.2), measured(0.2, run="s-2")
    found = judged(monitor(), [*one, *other], *settings)
    assert [each.verdict for each in found] == ["warn", "breach", "warn", "warn", "breach", "warn"]


@pytest.mark.parametrize(("setting", "said"), [
    ("breach.blow=0.2", "did you mean below"), ("brech.below=0.2", "did you mean breach"),
    ("breach.below", "say NAME=VALUE"), ("breach.datapoints=0", "datapoints"),
])  # fmt: skip
def test_a_setting_that_a_monitor_cannot_have_is_refused(setting: str, said: str) -> None:
    with pytest.raises(SettingUnfit, match=said):
        changed(monitor(), [setting])


def test_a_plot_shows_values_between_their_thresholds() -> None:
    lines = plot([(0.3, 0.1, 0.2), (0.15, 0.1, 0.2), (None, 0.1, 0.2), (0.05, 0.1, 0.2)])
    assert sum(line.count("●") for line in lines[:-1]) == 3
    assert lines[0].startswith("   0.300 ┤")
    assert plot([]) == []
    assert len(plot([(float(n), 1.0, 1.0) for n in range(1000)])[0]) <= 80
