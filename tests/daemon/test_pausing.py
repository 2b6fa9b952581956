"""Paused runs and lifecycles on a real engine: nothing is called, nothing is lost."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from tests.daemon.conftest import CATALOG

from waystage.daemon import pausing
from waystage.daemon.auditing import Audit
from waystage.errors import Conflict, Forbidden, NotFound
from waystage.kernel import events
from waystage.people import Caller
from waystage.plugin import Done, Measurement, Monitor
from waystage.spec.load import parse_project
from waystage.store.audit import unmoved

PROJECT = """
project: p
people: {otto: {roles: [operator]}, vera: {roles: [validator]}}
roles: {operator: [operate], validator: [decide]}
"""
STEPS = """
lifecycle: steps
services: [s]
initial: work
states:
  work:
    steps: [{use: test.pooled, with: {do: one}}, {use: test.act, with: {do: two}}]
    next: {done: rest, refused: over}
  rest: {timers: {tick: {every: PT1H}}, next: {tick: counted}}
  counted:
    steps: [{use: test.act, with: {do: three}}]
    next: {done: over, refused: over}
  over: {final: true}
"""
MEASURED = """
lifecycle: measured
services: [s]
monitors: {gauge: {use: test.interrupted, window: {length: P1D}, breach: {below: 0.3}}}
initial: watch
states:
  watch: {verify: [gauge], next: {ok: over, breach: over}}
  over: {final: true}
"""
OTTO = Caller("otto", "own token")


class Interrupted(Monitor):
    """Measure, and meanwhile have something else happen.

    - use: test.interrupted
      with: {}
    """

    use: ClassVar[str] = "test.interrupted"
    during: ClassVar[Any] = None

    def measure(self, ctx: Any, window: Any, minimum: Any) -> Measurement:
        if Interrupted.during is not None:
            Interrupted.during(ctx.run)
        return Measurement(value=0.5)


class Paused:
    """A bench with the acts of pausing."""

    def __init__(self, bench: Any) -> None:
        self.bench = bench
        self.lifecycles = {"steps": bench.lifecycle(STEPS), "measured": bench.lifecycle(MEASURED)}
        files = SimpleNamespace(project=parse_project(PROJECT), lifecycles=self.lifecycles)
        self.daemon: Any = SimpleNamespace(files=files, engine=bench.engine, store=bench.store)

    def open(self, name: str = "steps", key: str = "k") -> str:
        return str(self.bench.open(self.lifecycles[name], key))

    def pause(self, run: str) -> None:
        pausing.pause_run(self.daemon, run, OTTO, "look first")

    def resume(self, run: str) -> None:
        pausing.resume_run(self.daemon, run, OTTO)
        self.bench.settle()

    def sound(self) -> bool:
        with unmoved(self.bench.store.engine) as connection:
            return not list(Audit(connection, self.bench.definitions).findings())

    def while_called(self, run_name: str, act: Any) -> str:
        """Open a run whose first step does something else before it answers."""
        box: list[str] = []

        def during(ctx: Any) -> Done:
            box.append(ctx.run)
            act(ctx.run)
            return Done({"did": "one"})

        self.bench.play.answers["one"] = [during]
        run = self.open(key=run_name)
        self.bench.until(lambda: bool(box))
        return run

    def at_rest(self) -> None:
        self.bench.until(lambda: not self.bench.engine.workers.busy()
                         and self.bench.engine.under_way() == 0)  # fmt: skip


@pytest.fixture
def paused(bench: Any, monkeypatch: pytest.MonkeyPatch) -> Paused:
    monkeypatch.setitem(CATALOG, "test.interrupted", Interrupted)
    monkeypatch.setattr(Interrupted, "during", None)
    return Paused(bench)


def test_the_answer_of_a_step_that_was_being_called_is_kept_and_no_other_is_called(
    paused: Paused,
) -> None:
    bench = paused.bench
    run = paused.while_called("k", paused.pause)
    bench.until(lambda: any("held" in said for said in bench.said(run)))
    assert len(bench.play.calls) == 1
    (row,) = bench.store.pauses()
    assert (row["run"], row["by"], row["reason"]) == (run, "otto", "look first")
    assert bench.places(run) == ("work",)
    paused.resume(run)
    assert bench.places(run) == ("rest",)
    assert len(bench.play.calls) == 2
    assert bench.store.pauses() == []
    assert paused.sound()


def test_a_timer_that_comes_due_waits_until_the_run_goes_on(paused: Paused) -> None:
    bench = paused.bench
    run = paused.open()
    bench.settle()
    paused.pause(run)
    bench.turn(timedelta(hours=3))
    assert bench.places(run) == ("rest",)
    assert "held rest tick the run is paused" in bench.said(run)
    paused.resume(run)
    assert bench.store.run(run).outcome == "done"
    assert paused.sound()


def test_a_step_that_is_to_be_called_again_later_is_not_called_while_its_run_is_paused(
    paused: Paused, answers: Any
) -> None:
    bench = paused.bench
    again = answers["waiting"](timedelta(minutes=5))
    bench.play.answers["one"] = [again, again, Done({})]
    run = paused.open()
    bench.until(lambda: len(bench.play.calls) == 1)
    paused.at_rest()
    paused.pause(run)
    bench.turn(timedelta(hours=1))
    assert len(bench.play.calls) == 1
    paused.resume(run)
    bench.until(lambda: len(bench.play.calls) == 2)
    bench.turn(timedelta(minutes=6))
    assert bench.places(run) == ("rest",)


def test_a_step_that_answers_later_while_its_run_is_paused_is_not_called_until_it_goes_on(
    paused: Paused, answers: Any
) -> None:
    bench = paused.bench
    waits = answers["waiting"](timedelta(minutes=5))
    seen: list[str] = []

    def during(ctx: Any) -> Any:
        seen.append(ctx.run)
        paused.pause(ctx.run)
        return waits

    bench.play.answers["one"] = [during, Done({})]
    run = paused.open()
    bench.until(lambda: bool(bench.store.pauses()))
    paused.at_rest()
    bench.turn(timedelta(hours=1))
    assert len(bench.play.calls) == 1
    paused.resume(run)
    assert bench.places(run) == ("rest",)


def test_a_pause_outlives_a_restart(paused: Paused) -> None:
    bench = paused.bench
    run = paused.open()
    bench.settle()
    paused.pause(run)
    bench.stop()
    bench.boot()
    bench.definitions._compiled.update({d.hash: d for d in paused.lifecycles.values()})
    paused.daemon.engine, paused.daemon.store = bench.engine, bench.store
    bench.turn(timedelta(hours=3))
    assert bench.places(run) == ("rest",)
    paused.resume(run)
    assert bench.store.run(run).outcome == "done"


def test_a_lifecycle_is_paused_with_its_open_runs_and_those_that_are_opened(paused: Paused) -> None:
    bench = paused.bench
    runs = [paused.open(key=f"k{n}") for n in range(5)]
    other = paused.open("measured", "m")
    bench.settle()
    paused.pause(runs[0])
    told = pausing.pause_lifecycle(paused.daemon, "steps", OTTO, "the plugin is broken")
    assert told["runs"] == 4
    again = pausing.pause_lifecycle(paused.daemon, "steps", OTTO, "the plugin is broken")
    assert again["runs"] == 0
    calls = len(bench.play.calls)
    late = paused.open(key="late")
    bench.settle()
    bench.turn(timedelta(hours=3))
    assert len(bench.play.calls) == calls
    assert {bench.store.run(run).status for run in (*runs, late)} == {"open"}
    assert bench.store.run(other).status == "ended"

    told = pausing.resume_lifecycle(paused.daemon, "steps", OTTO)
    bench.settle()
    bench.turn(timedelta(hours=3))
    assert told["runs"] == 5
    assert [bench.store.run(run).status for run in (*runs, late)] == ["open", *["ended"] * 5]
    assert [each["run"] for each in bench.store.pauses()] == [runs[0]]
    assert paused.sound()


def test_what_was_measured_while_a_run_was_paused_is_kept_when_it_goes_on(paused: Paused) -> None:
    bench = paused.bench
    Interrupted.during = paused.pause
    run = paused.open("measured")
    bench.until(lambda: any("held" in said for said in bench.said(run)))
    assert bench.store.measurements() == []
    paused.resume(run)
    (row,) = bench.store.measurements()
    assert (row.run, row.monitor, row.verdict, row.body["value"]) == (run, "gauge", "ok", 0.5)
    assert row.end - row.start == timedelta(days=1)
    assert bench.store.run(run).outcome == "done"


def test_pausing_needs_the_right_a_reason_and_an_open_run(paused: Paused) -> None:
    run = paused.open()
    paused.bench.settle()
    with pytest.raises(Forbidden):
        pausing.pause_run(paused.daemon, run, Caller("vera", ""), "because")
    with pytest.raises(Conflict, match="needs a reason"):
        pausing.pause_run(paused.daemon, run, OTTO, " ")
    with pytest.raises(Conflict, match="is not paused"):
        pausing.resume_run(paused.daemon, run, OTTO)
    with pytest.raises(Conflict, match="'steps' is not paused"):
        pausing.resume_lifecycle(paused.daemon, "steps", OTTO)
    with pytest.raises(NotFound, match="no lifecycle 'stepz'"):
        pausing.pause_lifecycle(paused.daemon, "stepz", OTTO, "because")
    paused.pause(run)
    with pytest.raises(Conflict, match="is paused by otto: look first"):
        paused.pause(run)
    paused.bench.send(run, events.repair("abort", "", {"reason": "enough"}, "otto"))
    with pytest.raises(Conflict, match="has ended"):
        paused.pause(run)
    assert paused.bench.store.pauses() == []
