"""What one event does to a run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from waystage.kernel import Definition, Run, advance, compile_lifecycle, events
from waystage.kernel import commands as c
from waystage.kernel.advance import Step
from waystage.spec.load import parse_lifecycle

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def definition(text: str) -> Definition:
    loaded = parse_lifecycle(text)
    return compile_lifecycle(loaded.spec, loaded.digest)


def opened(d: Definition, **more: object) -> Step:
    snapshot = {"name": "credit", "version": "1", "digest": "sha256:" + "0" * 64, "tags": {}}
    run = Run("s-1", d.spec.lifecycle, d.hash, "s", snapshot, {}, **more)  # type: ignore[arg-type]  # free test values
    return advance(d, run, events.start(), NOW)


def orders(step: Step, kind: type) -> list[object]:
    return [command for command in step.commands if isinstance(command, kind)]


def answer(d: Definition, step: Step, output: dict[str, object] | None = None) -> Step:
    """Answer the step that is under way."""
    state, activity = next((s, a) for s, a in step.run.activities.items() if a.get("busy"))
    entry = step.run.entered[state]
    return advance(
        d, step.run, events.step_done(state, entry, activity["index"], output or {}), NOW
    )


def fail(d: Definition, step: Step, times: int = 1, *, hopeless: bool = False) -> Step:
    for _ in range(times):
        state, activity = next((s, a) for s, a in step.run.activities.items() if a.get("busy"))
        event = events.step_failed(
            state, step.run.entered[state], activity["index"], "boom", hopeless=hopeless
        )
        step = advance(d, step.run, event, NOW)
    return step


STAGES = """
lifecycle: promote
services: [s]
initial: promote
states:
  promote:
    stages: [DEV, SIT]
    lease: "{{ service }}/{{ stage }}"
    states:
      deploy:
        steps:
          - use: runtime.deploy
            undo: {use: runtime.restore}
          - use: runtime.probe
        next: {done: passed, refused: stopped}
      passed: {final: true}
    next: {done: good}
  good: {final: true}
  stopped: {final: true, outcome: rejected}
"""


def test_a_stage_waits_for_its_lease_before_any_step_starts():
    d = definition(STAGES)
    step = opened(d)
    assert orders(step, c.TakeLease) == [c.TakeLease("promote.DEV", 2, "s/DEV")]
    assert not orders(step, c.StartStep)
    granted = advance(d, step.run, events.lease_granted("promote.DEV", 2), NOW)
    assert [o.use for o in orders(granted, c.StartStep)] == ["runtime.deploy"]


def test_the_last_stage_done_is_the_whole_promotion_done():
    d = definition(STAGES)
    step = opened(d)
    for stage in ("DEV", "SIT"):
        path = f"promote.{stage}"
        assert step.run.places == [f"{path}.deploy"]
        step = advance(d, step.run, events.lease_granted(path, step.run.entered[path]), NOW)
        step = answer(d, answer(d, step))
    assert (step.run.status, step.run.outcome) == ("ended", "done")


def test_leaving_a_stage_frees_its_lease_in_the_same_transaction():
    d = definition(STAGES)
    step = advance(d, opened(d).run, events.lease_granted("promote.DEV", 2), NOW)
    step = answer(d, answer(d, step))
    assert orders(step, c.FreeLease) == [c.FreeLease("promote.DEV")]


def test_a_failed_step_is_tried_three_times_then_undone_then_parked():
    d = definition(STAGES)
    step = advance(d, opened(d).run, events.lease_granted("promote.DEV", 2), NOW)
    step = answer(d, step)
    first = fail(d, step)
    assert [o.attempt for o in orders(first, c.StartStep)] == [2]
    assert orders(first, c.StartStep)[0].due > NOW
    undoing = fail(d, first, 2)
    assert [(o.use, o.kind) for o in orders(undoing, c.StartStep)] == [("runtime.restore", "undo")]
    parked = answer(d, undoing)
    assert parked.run.incidents["promote.DEV.deploy"]["kind"] == "failed"
    assert "boom" in orders(parked, c.OpenIncident)[0].message


def test_who_asks_to_be_left_alone_is_not_called_before():
    d = definition(STAGES)
    step = advance(d, opened(d).run, events.lease_granted("promote.DEV", 2), NOW)
    (order,) = orders(step, c.StartStep)
    event = events.step_failed(order.state, order.entry, 0, "busy", after=90.0)
    (order,) = orders(advance(d, step.run, event, NOW), c.StartStep)
    assert (order.attempt, order.due) == (2, NOW + timedelta(seconds=90))


def test_after_undoing_a_retry_is_a_new_visit_with_new_keys():
    d = definition(STAGES)
    step = advance(d, opened(d).run, events.lease_granted("promote.DEV", 2), NOW)
    key = orders(step, c.StartStep)[0].key
    parked = answer(d, fail(d, answer(d, step), 3))
    again = advance(d, parked.run, events.repair("retry", "promote.DEV.deploy", {}, "otto"), NOW)
    assert orders(again, c.StartStep)[0].key != key
    assert not again.run.incidents


def test_a_hopeless_error_is_not_tried_again():
    d = definition(STAGES)
    step = advance(d, opened(d).run, events.lease_granted("promote.DEV", 2), NOW)
    parked = fail(d, step, hopeless=True)
    assert not orders(parked, c.StartStep)
    assert parked.run.incidents


def test_skipping_goes_on_behind_the_failed_step_and_names_who_said_so():
    d = definition(STAGES)
    step = advance(d, opened(d).run, events.lease_granted("promote.DEV", 2), NOW)
    parked = fail(d, step, hopeless=True)
    event = events.repair("skip", "promote.DEV.deploy", {"reason": "done by hand"}, "otto")
    skipped = advance(d, parked.run, event, NOW)
    assert [o.use for o in orders(skipped, c.StartStep)] == ["runtime.probe"]
    assert any("otto: done by hand" in record.detail for record in skipped.records)


def test_an_answer_of_an_earlier_visit_moves_nothing():
    d = definition(STAGES)
    step = advance(d, opened(d).run, events.lease_granted("promote.DEV", 2), NOW)
    late = advance(d, step.run, events.step_done("promote.DEV.deploy", 99, 0, {}), NOW)
    assert late.run.places == step.run.places
    assert late.records[0].what == "ignored"


GUARDED = """
lifecycle: guarded
services: [s]
data: {level: {type: number, default: 1.0}}
initial: start
states:
  start:
    steps: [{use: x.y, id: probe}]
    next:
      done:
        - {if: "steps.probe.value > 0.5", to: high, set: {level: "{{ steps.probe.value }}"}}
        - {to: low}
  high: {final: true}
  low: {final: true}
"""


def test_guards_choose_in_order_and_set_variables():
    d = definition(GUARDED)
    high = answer(d, opened(d), {"value": 0.75})
    assert high.run.data["level"] == 0.75
    assert any(record.detail == "high" for record in high.records)
    low = answer(d, opened(d), {"value": 0.25})
    assert any(record.detail == "low" for record in low.records)


@pytest.mark.parametrize("output", [{}, {"value": None}, {"value": "0.9"}, {"value": float("nan")}])
def test_a_guard_that_cannot_be_evaluated_parks_the_run_and_takes_no_way(output):
    d = definition(GUARDED)
    step = answer(d, opened(d), output)
    assert step.run.places == ["start"]
    assert step.run.incidents["start"]["kind"] == "guard"


def test_a_guard_incident_is_evaluated_again_on_retry():
    d = definition(GUARDED)
    parked = answer(d, opened(d), {})
    parked.run.steps["probe"] = {"value": 0.9}
    again = advance(d, parked.run, events.repair("retry", "start", {}, "otto"), NOW)
    assert any(record.detail == "high" for record in again.records)


APPROVAL = """
lifecycle: approval
services: [s]
initial: ask
states:
  ask:
    task:
      title: "Approve {{ snapshot.name }}?"
      for: [role:validator]
      quorum: 2
      required: [role:risk]
      due: P3D
      remind: [P1D]
      escalate: {after: P2D, to: [role:head]}
      outcomes: [approve, reject]
    next: {approve: good, reject: bad}
  good: {final: true}
  bad: {final: true, outcome: rejected}
"""


def cast(d: Definition, step: Step, who: str, outcome: str, *roles: str) -> Step:
    event = events.vote("ask", step.run.entered["ask"], outcome, {"roles": list(roles)}, who)
    return advance(d, step.run, event, NOW)


def test_a_quorum_counts_distinct_people_and_needs_the_required_role():
    d = definition(APPROVAL)
    step = opened(d)
    assert orders(step, c.OpenTask)[0].body["title"] == "Approve credit?"
    step = cast(d, step, "vera", "approve", "validator")
    step = cast(d, step, "vera", "approve", "validator")
    assert step.run.status == "open"
    step = cast(d, step, "victor", "approve", "validator")
    assert step.run.status == "open", "nobody of risk has approved"
    step = cast(d, step, "rita", "approve", "risk")
    assert step.run.outcome == "done"
    assert step.run.tasks["ask"]["people"] == ["vera", "victor", "rita"]


def test_one_rejection_ends_the_task_at_once():
    d = definition(APPROVAL)
    step = cast(d, opened(d), "vera", "reject", "validator")
    assert step.run.outcome == "rejected"


def test_a_deadline_reminds_and_escalates_but_never_approves():
    d = definition(APPROVAL)
    step = opened(d)
    names = {o.name for o in orders(step, c.SetTimer)}
    assert names == {"@due", "@remind.0", "@escalate"}
    for name in ("@remind.0", "@escalate", "@due"):
        step = advance(d, step.run, events.timer_fired("ask", step.run.entered["ask"], name), NOW)
        assert orders(step, c.Notify)
    assert step.run.places == ["ask"]
    assert "role:head" in step.run.activities["ask"]["body"]["for"]


PRODUCTION = """
lifecycle: production
services: [s]
monitors:
  ks:
    use: performance.ks
    window: {length: P7D, label_delay: P1D}
    warn: {below: 0.33}
    breach: {below: 0.3, datapoints: 2, of: 3}
initial: production
states:
  production:
    signals: [snapshot.superseded]
    initial: serving
    states:
      serving:
        timers: {assess: {every: P7D}}
        next: {assess: assess}
      assess:
        verify: [ks]
        next: {ok: serving, warn: serving, breach: alarm, insufficient: serving}
      alarm: {timers: {again: {after: PT1H}}, next: {again: serving}}
    next: {snapshot.superseded: retired}
  retired: {final: true}
"""


def assess(d: Definition, step: Step, output: dict[str, object], now: datetime) -> Step:
    fired = events.timer_fired(
        "production.serving", step.run.entered["production.serving"], "assess"
    )
    measuring = advance(d, step.run, fired, now)
    entry = measuring.run.entered["production.assess"]
    return advance(d, measuring.run, events.step_done("production.assess", entry, 0, output), now)


def test_a_breach_needs_its_datapoints_and_is_a_warning_until_then():
    d = definition(PRODUCTION)
    step, verdicts = opened(d), []
    for week, value in enumerate((0.5, 0.2, 0.5, 0.2, 0.1)):
        step = assess(d, step, {"value": value}, NOW + timedelta(weeks=week))
        verdicts.append(step.run.monitors["ks"]["verdict"])
        if step.run.places == ["production.alarm"]:
            break
    assert verdicts == ["ok", "warn", "ok", "breach"]


def test_the_same_window_measured_twice_counts_once():
    d = definition(PRODUCTION)
    step = opened(d)
    for _ in range(3):
        step = assess(d, step, {"value": 0.1}, NOW)
    assert step.run.monitors["ks"]["verdict"] == "warn"


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), "0.9", True])
def test_what_is_no_finite_number_is_an_error_and_parks_the_run(value):
    d = definition(PRODUCTION)
    step = assess(d, opened(d), {"value": value}, NOW)
    assert step.run.monitors["ks"]["verdict"] == "error"
    assert step.run.incidents


def test_too_little_data_is_never_healthy():
    d = definition(PRODUCTION)
    step = assess(d, opened(d), {"value": 0.9, "insufficient": "3 events of 200"}, NOW)
    assert step.run.monitors["ks"]["verdict"] == "insufficient"


def test_a_signal_is_answered_by_the_state_around_and_ends_what_is_below():
    d = definition(PRODUCTION)
    step = advance(d, opened(d).run, events.signal("snapshot.superseded", {}), NOW)
    assert step.run.status == "ended"
    assert orders(step, c.CancelTimers) == [c.CancelTimers("production.serving")]


def test_a_signal_nobody_waits_for_is_recorded_and_ignored():
    d = definition(PRODUCTION)
    step = advance(d, opened(d).run, events.signal("hello", {}), NOW)
    assert step.run.places == ["production.serving"]
    assert step.records[-1].what == "ignored"


def test_a_lifecycle_that_goes_in_circles_is_parked_after_a_hundred_transitions():
    d = definition("""
lifecycle: circle
services: [s]
initial: a
states:
  a: {steps: [{use: x.y}], next: b}
  b: {steps: [{use: x.y}], next: a}
""")
    step = opened(d)
    for _ in range(150):
        if step.run.incidents:
            break
        step = answer(d, step)
    assert [i["kind"] for i in step.run.incidents.values()] == ["endless"]


def test_branches_run_side_by_side_and_join_when_all_are_final():
    d = definition("""
lifecycle: branches
services: [s]
initial: both
states:
  both:
    branches:
      risk: {initial: check, states: {check: {steps: [{use: a.b}], next: ok}, ok: {final: true}}}
      law: {initial: check, states: {check: {steps: [{use: c.d}], next: ok}, ok: {final: true}}}
    next: {done: good}
  good: {final: true}
""")
    step = opened(d)
    assert step.run.places == ["both", "both.law.check", "both.risk.check"]
    step = answer(d, step)
    assert step.run.status == "open"
    assert answer(d, step).run.outcome == "done"


def test_a_whole_number_written_to_a_double_stays_a_double():
    d = definition(GUARDED.replace("value > 0.5", "value > 0.5 && data.level + 0.5 < 9.0"))
    step = answer(d, opened(d, data={"level": 1.0}), {"value": 0.75})
    assert isinstance(step.run.data["level"], float)
    whole = answer(d, opened(d, data={"level": 1.0}), {"value": 3})
    assert isinstance(whole.run.data["level"], float)
