"""Counted steps: one of a service at a time, within budget and cooldown, whatever dies."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from waystage.errors import Hopeless
from waystage.kernel import Event, Run, events
from waystage.kernel.replay import rebuild
from waystage.plugin import Allowance, Done, Refused, Waiting

DAY = timedelta(days=1)
TEXT = """
lifecycle: counting
services: [s]
data: {{again: {{type: string, default: ""}}}}
initial: rest
states:
  rest: {{signals: [go, leave], next: {{go: work, leave: left}}}}
  work:
    steps: [{{use: test.counted, with: {{do: work, {limits}}}}}]
    signals: [leave]
    next: {{done: rest, refused: no, leave: left}}
  no: {{signals: [go], next: {{go: work}}}}
  left: {{final: true}}
"""


def counting(bench, limits: str = ""):
    return bench.lifecycle(TEXT.format(limits=limits))


def go(bench, run: str) -> str:
    """Have the run try, and give where it then rests."""
    bench.send(run, events.signal("go", {}, "dana"))
    bench.settle()
    return bench.places(run)[0]


def begin(bench, definition, key: str = "k", answer=None) -> str:
    """Open a run whose work goes on until its plan says otherwise."""
    bench.play.answers["work"] = [answer or Waiting(DAY)]
    run = bench.open(definition, key)
    go(bench, run)
    return run


def why(bench, run: str) -> str:
    return [line for line in bench.said(run) if line.startswith("refused")][-1]


def test_two_runs_of_a_service_never_have_it_under_way_at_once(bench):
    definition = counting(bench)
    first = begin(bench, definition, "one")
    second = bench.open(definition, "two")
    assert go(bench, second) == "no"
    assert f"{first} has had a work of s under way since 2026-03-01 12:00 UTC" in why(bench, second)
    assert len(bench.play.calls) == 1, "what is refused is not called"
    bench.turn(DAY)
    assert bench.places(first) == ("rest",)
    assert go(bench, second) == "rest", "the first one is done"


def test_what_is_left_while_it_is_under_way_holds_nobody_up(bench):
    definition = counting(bench)
    first = begin(bench, definition, "one")
    bench.send(first, events.signal("leave", {}, "dana"))
    second = bench.open(definition, "two")
    assert go(bench, second) == "rest"


def test_what_is_under_way_is_known_to_the_next_daemon(bench):
    definition = counting(bench)
    begin(bench, definition, "one")
    bench.stop()
    bench.boot()
    second = bench.open(definition, "two")
    assert go(bench, second) == "no"


def test_a_budget_counts_the_last_period_over_runs_and_daemons(bench):
    definition = counting(bench, "most: 2, per: P10D")
    run = bench.open(definition, "one")
    assert go(bench, run) == "rest"
    bench.turn(DAY)
    assert go(bench, run) == "rest"
    bench.stop()
    bench.boot()
    other = bench.open(definition, "two")
    assert go(bench, other) == "no"
    assert "2 work of s began within P10D, which is the budget" in why(bench, other)
    assert "again from 2026-03-11 12:00 UTC" in why(bench, other)
    bench.turn(8 * DAY)
    assert go(bench, other) == "no"
    bench.turn(DAY)
    assert go(bench, other) == "rest"


def test_a_cooldown_is_counted_from_when_the_last_one_ended(bench):
    definition = counting(bench, "cooldown: P3D")
    run = begin(bench, definition)
    bench.turn(DAY)
    assert bench.places(run) == ("rest",)
    bench.turn(2 * DAY)
    assert go(bench, run) == "no"
    told = [row.event["data"] for row in bench.store.history(run)
            if row.event["kind"] == "step.refused"]  # fmt: skip
    assert told[-1]["output"] == {"again": "2026-03-05T12:00:00+00:00"}
    bench.turn(DAY)
    assert go(bench, run) == "rest"


def test_what_the_plugin_refuses_is_not_counted(bench):
    definition = counting(bench, "most: 1, per: P10D, cooldown: P3D")
    bench.play.answers["work"] = [Refused("too few rows"), Done({}), Done({})]
    run = bench.open(definition)
    assert go(bench, run) == "no"
    assert go(bench, run) == "rest"
    assert go(bench, run) == "no"
    assert len(bench.play.calls) == 2


def test_what_failed_is_counted_and_may_be_finished_by_a_person(bench):
    definition = counting(bench, "most: 1, per: P10D, cooldown: P3D")
    run = begin(bench, definition, answer=Hopeless("the disk is full"))
    (incident,) = bench.store.incidents(run=run)
    second = bench.open(definition, "two")
    assert go(bench, second) == "no", "it counts"
    bench.send(run, events.repair("retry", incident.state, {}, "otto"))
    bench.settle()
    assert bench.places(run) == ("rest",), "and is no second one"
    assert len(bench.play.calls) == 2


def test_a_person_cannot_have_two_under_way_by_trying_again(bench):
    definition = counting(bench)
    first = begin(bench, definition, "one", Hopeless("the disk is full"))
    begin(bench, definition, "two")
    (incident,) = bench.store.incidents(run=first)
    bench.send(first, events.repair("retry", incident.state, {}, "otto"))
    bench.settle()
    assert bench.places(first) == ("no",)
    assert len(bench.play.calls) == 2


def test_the_history_leads_to_the_same_run_without_counting_again(bench):
    definition = counting(bench, "cooldown: P3D")
    run = bench.open(definition)
    go(bench, run)
    assert go(bench, run) == "no"
    said = [(Event.from_json(r.event, r.actor), r.at) for r in bench.store.history(run)]
    assert rebuild(definition, said) == Run.from_json(bench.store.run_body(run))


WATCHED = """
lifecycle: watched
services: [s]
monitors:
  ks:
    use: test.gauge
    window: {length: P7D}
    breach: {below: 0.2}
initial: rest
states:
  rest: {signals: [go], next: {go: assess}}
  assess: {verify: ks, next: {ok: rest, warn: rest, breach: work, insufficient: rest}}
  work: {steps: [{use: test.counted, with: {do: work}}], next: {done: rest, refused: rest}}
"""


def test_labels_that_come_late_measure_a_window_anew_and_start_nothing_twice(bench):
    bench.play.answers["gauge"] = [0.1, 0.05, 0.12]
    run = bench.open(bench.lifecycle(WATCHED))
    assert [go(bench, run) for _ in range(2)] == ["rest", "rest"]
    calls = [key for key in bench.play.calls if not key.endswith("/ks")]
    assert len(calls) == 1, "the second measurement of the window supersedes the first one"
    kept = bench.store.run_body(run)["monitors"]["ks"]
    assert (kept["value"], kept["verdict"]) == (0.05, "warn")
    assert kept["reason"] == "the breach of this window was told already"
    bench.turn(DAY)
    go(bench, run)
    calls = [key for key in bench.play.calls if not key.endswith("/ks")]
    assert len(calls) == 2, "another window is another breach"


@pytest.mark.parametrize("limits", ["most: 1, per: P10D", ""])
def test_of_two_daemons_one_begins(make_bench, postgres_url, limits):
    first = make_bench(postgres_url, lease=60)
    benches = [first, make_bench(postgres_url, clock=first.clock, lease=60)]
    definition = counting(first, limits)
    for bench in benches:
        bench.definitions._compiled[definition.hash] = definition
    first.play.answers["work"] = [Waiting(DAY)] * 12
    runs = [first.open(definition, f"k{n}") for n in range(12)]
    line = threading.Barrier(len(runs))

    def ask(number: int) -> None:
        line.wait()
        benches[number % 2].send(runs[number], events.signal("go", {}, "dana"))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(len(runs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    first.until(lambda: sorted(first.places(run)[0] for run in runs) == ["no"] * 11 + ["work"])
    first.until(lambda: len(first.play.calls) == 1)


def test_what_ended_while_its_run_was_paused_holds_nobody_up(bench):
    def paused_meanwhile(ctx):
        bench.send(ctx.run, events.pause("look first", "otto"))
        return Done()

    definition = counting(bench)
    first = begin(bench, definition, "one", paused_meanwhile)
    bench.until(lambda: (bench.store.run_body(first) or {}).get("held"))
    assert bench.places(first) == ("work",), "the answer is kept until it goes on"
    second = bench.open(definition, "two")
    bench.play.answers["work"] = [Done()]
    assert go(bench, second) == "rest"
    bench.send(first, events.resume("go on", "otto"))
    bench.settle()
    assert bench.places(first) == ("rest",)


def test_an_allowance_that_cannot_be_judged_parks_its_run_with_the_reason(bench, monkeypatch):
    def broken(self):
        raise OverflowError("date value out of range")

    monkeypatch.setattr(bench.engine.workers._catalog["test.counted"], "allowance", broken)
    run = bench.open(counting(bench))
    go(bench, run)
    (found,) = bench.store.incidents()
    assert "its allowance cannot be judged: OverflowError: date value" in found.message


@pytest.mark.parametrize("field", ["per", "cooldown"])
def test_a_span_that_leaves_the_calendar_is_refused(field):
    with pytest.raises(ValueError, match="36525 days"):
        Allowance.model_validate({"name": "work", field: timedelta(days=999_999)})
