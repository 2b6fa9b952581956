"""Words of the language at work in a daemon: misfire, overlap, reminders, leases, deadlines."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from waystage.daemon import decisions
from waystage.errors import Conflict
from waystage.kernel import events
from waystage.plugin import Waiting
from waystage.spec.load import parse_lifecycle
from waystage.store.codec import load, micros

TICKING = """
lifecycle: ticking
services: [s]
initial: live
states:
  live:
    initial: rest
    timers: {tick: {cron: "0 * * * *", misfire: MISFIRE}}
    states:
      rest: {}
      look:
        steps: [{use: test.act, with: {do: look}}]
        next: {done: rest, refused: rest}
    next: {tick: live.look}
"""


def looks(bench: Any) -> int:
    return len(bench.play.calls)


@pytest.mark.parametrize(("misfire", "made_up_for"), [("once", 1), ("skip", 0)])
def test_ticks_that_no_daemon_saw_are_made_up_for_once_or_not_at_all(bench, misfire, made_up_for):
    run = bench.open(bench.lifecycle(TICKING.replace("MISFIRE", misfire)))
    bench.settle()
    bench.stop()
    bench.clock.turn(timedelta(hours=9, minutes=30))
    bench.boot()
    bench.settle()
    assert looks(bench) == made_up_for
    assert any(line.startswith("missed") for line in bench.said(run)) == (misfire == "skip")
    bench.turn(timedelta(minutes=30, seconds=1))
    assert looks(bench) == made_up_for + 1


def test_a_tick_while_the_last_one_s_work_goes_on_is_skipped_and_said(bench):
    bench.play.answers["look"] = [Waiting(timedelta(hours=1, minutes=30), {"ref": 1})]
    run = bench.open(bench.lifecycle(TICKING.replace("MISFIRE", "once")))
    bench.settle()
    for _ in range(4):
        bench.turn(timedelta(minutes=30, seconds=1))
    assert [line for line in bench.said(run) if line.startswith("skipped")] == [
        "skipped live.look tick it is still at work"
    ]
    bench.turn(timedelta(minutes=45))
    bench.until(lambda: bench.places(run) == ("live.rest",))
    assert bench.play.calls == [bench.play.calls[0]] * 2


ASKING = """
lifecycle: asking
services: [s]
data: {level: {type: number, default: 0}}
initial: ask
states:
  ask:
    task:
      title: Release?
      for: [role:owner]
      due: P3D
      remind: [P1D, P2D]
      escalate: {after: PT84H, to: [role:head]}
      outcomes: [go, stop]
    next: {go: over, stop: over}
  over: {final: true}
"""


def messages(bench: Any) -> list[str]:
    rows = bench.store.due_messages(micros(bench.clock.now()), 99)
    return [load(row.body)["text"] for row in rows]


def test_a_task_reminds_comes_due_and_escalates_by_messages_and_goes_on_waiting(bench):
    run = bench.open(bench.lifecycle(ASKING))
    told: list[list[str]] = []
    for day in range(1, 5):
        bench.clock.turn(timedelta(days=1))
        bench.engine.turned()
        bench.until(lambda day=day: len(messages(bench)) == day)
        told.append(messages(bench))
    assert "waits for an answer (for role:owner)" in told[0][0]
    assert "is due now" in told[2][-1]
    assert "has waited too long (for role:owner, role:head)" in told[3][-1]
    task = bench.store.tasks(run=run)[0]
    assert (task.status, task.body["for"]) == ("open", ["role:owner", "role:head"])


LEASED = """
lifecycle: leased
services: [s]
initial: work
states:
  work:
    lease: one
    timers: {over: {after: P1D}}
    signals: [enough]
    next: {over: done, enough: done}
  done: {final: true}
"""


def test_a_lease_goes_round_in_the_order_of_asking_past_who_gave_up_waiting(bench):
    definition = bench.lifecycle(LEASED)
    runs = [bench.open(definition, key) for key in "abcd"]
    bench.send(runs[1], events.signal("enough", {}))
    ended = []
    for _ in range(3):
        bench.turn(timedelta(days=1, seconds=1))
        ended.append([run for run in runs if bench.store.run(run).status == "ended"])
    first, second, third, last = runs
    assert ended == [[first, second], [first, second, third], [first, second, third, last]]


LATE = """
lifecycle: late
services: [s]
initial: a
states:
  a:
    steps: [{use: test.act, with: {do: late}, deadline: PT10M, retry: {max: 50}}]
    next: {done: over, refused: over}
  over: {final: true}
"""


def test_a_step_that_still_waits_at_its_deadline_has_failed(bench):
    bench.play.answers["late"] = [Waiting(timedelta(minutes=4))] * 9
    run = bench.open(bench.lifecycle(LATE))
    bench.settle()
    for calls in range(1, 4):
        bench.until(lambda calls=calls: len(bench.play.calls) == calls)
        bench.clock.turn(timedelta(minutes=4, seconds=1))
        bench.engine.turned()
    bench.until(lambda: len(bench.store.incidents(run=run)) == 1)
    assert "still waiting at its deadline" in bench.store.incidents(run=run)[0].message
    assert len(bench.play.calls) == 3


@pytest.mark.parametrize(
    ("values", "text"),
    [({"level": "high"}, "'high' is no number"), ({"levle": 1}, "is no variable; it has level")],
)
def test_an_operator_s_value_that_does_not_fit_is_refused(values, text):
    fields = parse_lifecycle(ASKING).spec.data
    decisions._settable(fields, {"level": 2})
    with pytest.raises(Conflict, match=text):
        decisions._settable(fields, values)
