"""What the engine does with runs, on a real database."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from waystage.daemon.workers import Workers
from waystage.errors import Hopeless, NotFound, Retryable, StoreLocked
from waystage.kernel import Run, events
from waystage.kernel.replay import rebuild
from waystage.plugin import Done, Refused, Waiting
from waystage.store import Store
from waystage.store.codec import chained, dump, micros

CHAIN = """
lifecycle: chain
services: [s]
initial: a
states:
  a: {steps: [{use: test.act, id: first, with: {do: one}}], next: {done: b, refused: no}}
  b:
    steps: [{use: test.pooled, with: {do: "{{ steps.first.did }}"}}]
    next: {done: c, refused: no}
  c: {timers: {later: {after: P1D}}, next: {later: yes}}
  yes: {final: true}
  no: {final: true, outcome: rejected}
"""


def test_steps_run_one_after_the_other_and_their_outputs_are_read(bench):
    run = bench.open(bench.lifecycle(CHAIN))
    bench.until(lambda: bench.places(run) == ("c",))
    assert bench.play.calls == [f"{run}/1/first", f"{run}/2/0"]


def test_a_timer_fires_when_the_clock_says_so_and_not_before(bench):
    run = bench.open(bench.lifecycle(CHAIN))
    bench.until(lambda: bench.places(run) == ("c",))
    bench.turn(timedelta(hours=23))
    assert bench.places(run) == ("c",)
    bench.turn(timedelta(hours=2))
    bench.until(lambda: bench.store.run(run).outcome == "done")


def test_the_same_key_opens_one_run(bench):
    definition = bench.lifecycle(CHAIN)
    assert bench.open(definition, "same") == bench.open(definition, "same")
    assert bench.open(definition, "other") != bench.open(definition, "same")


def test_a_refusal_is_not_tried_again(bench):
    bench.play.answers["one"] = [Refused("the gate says no")]
    run = bench.open(bench.lifecycle(CHAIN))
    bench.until(lambda: bench.store.run(run).outcome == "rejected")
    assert len(bench.play.calls) == 1
    assert any("the gate says no" in line for line in bench.said(run))


def test_a_failure_is_tried_again_later_with_the_same_key(bench):
    bench.play.answers["one"] = [Retryable("not now"), Retryable("not now")]
    run = bench.open(bench.lifecycle(CHAIN))
    bench.settle()
    assert bench.places(run) == ("a",)
    bench.turn(timedelta(seconds=3))
    bench.turn(timedelta(seconds=5))
    bench.until(lambda: bench.places(run) == ("c",))
    assert bench.play.calls[:3] == [f"{run}/1/first"] * 3


def test_a_hopeless_failure_parks_the_run_and_a_person_mends_it(bench):
    bench.play.answers["one"] = [Hopeless("no such thing")]
    run = bench.open(bench.lifecycle(CHAIN))
    bench.until(lambda: len(bench.store.incidents()) == 1)
    incident = bench.store.incidents()[0]
    assert "no such thing" in incident.message
    bench.settle()  # the message that nobody sends here keeps nobody busy
    bench.send(run, events.repair("retry", "a", {"reason": "mended"}, "otto"))
    bench.until(lambda: bench.places(run) == ("c",))
    assert bench.store.incidents() == []
    assert bench.store.incidents(open_only=False)[0].how == "retried"


@pytest.mark.parametrize(
    "output", [{"x": float("nan")}, {"x": [float("inf")]}, {"x": "y" * 300_000}]
)
def test_an_output_that_is_no_finite_small_json_parks_the_run(bench, output):
    bench.play.answers["one"] = [Done(output)]
    run = bench.open(bench.lifecycle(CHAIN))
    bench.until(lambda: len(bench.store.incidents(run=run)) == 1)
    assert bench.places(run) == ("a",)


def test_a_plugin_that_raises_anything_is_a_failed_attempt(bench):
    bench.play.answers["one"] = [ZeroDivisionError("oops")]
    run = bench.open(bench.lifecycle(CHAIN))
    bench.until(lambda: any("ZeroDivisionError: oops" in line for line in bench.said(run)))


def test_a_plugin_that_answers_nonsense_is_told_so(bench):
    bench.play.answers["one"] = ["yes"]
    run = bench.open(bench.lifecycle(CHAIN))
    bench.until(lambda: len(bench.store.incidents(run=run)) == 1)
    assert "answered str" in bench.store.incidents(run=run)[0].message


def test_waiting_frees_the_worker_and_comes_back_with_its_memo(bench):
    seen = []

    def look(ctx):
        seen.append(ctx.memo)
        return Done({"did": "x"}) if ctx.memo else Waiting(timedelta(minutes=5), {"ref": 7})

    bench.play.answers["one"] = [look, look]
    run = bench.open(bench.lifecycle(CHAIN))
    bench.until(lambda: len(seen) == 1)
    bench.settle()
    assert bench.places(run) == ("a",)
    bench.turn(timedelta(minutes=6))
    bench.until(lambda: bench.places(run) == ("c",))
    assert seen == [{}, {"ref": 7}]


LEFT = """
lifecycle: left
services: [s]
initial: a
states:
  a:
    steps: [{use: test.pooled, with: {do: poll}}]
    signals: [go]
    next: {done: c, refused: c, go: b}
  b: {steps: [{use: test.pooled, with: {do: act}}], next: {done: c, refused: c}}
  c: {final: true}
"""


def test_a_step_that_wants_to_be_called_again_after_its_state_was_left_stops_nothing(
    bench, monkeypatch
):
    polled, polling, acting, late = (threading.Event() for _ in range(4))

    def poll(ctx):
        polling.set()
        polled.wait(10)
        return Waiting(timedelta(minutes=5))

    def act(ctx):
        acting.wait(10)
        return Done({"did": "act"})

    def postpone(workers, *given):
        own(workers, *given)
        late.set()

    own = Workers._postpone
    monkeypatch.setattr(Workers, "_postpone", postpone)
    bench.play.answers |= {"poll": [poll], "act": [act]}
    run = bench.open(bench.lifecycle(LEFT))
    assert polling.wait(10)
    bench.send(run, events.signal("go", {}))
    polled.set()
    assert late.wait(10)
    bench.engine.act(lambda tx: None).result(timeout=120)  # what it came to is committed
    acting.set()
    bench.until(lambda: bench.places(run) == ("c",))
    assert not any("late answer" in line for line in bench.said(run))


def test_what_a_dead_daemon_was_calling_is_called_again_with_the_same_key(bench):
    gate, entered = threading.Event(), threading.Event()

    def hang(ctx):
        entered.set()
        gate.wait(10)
        return Done({"did": "late"})

    bench.play.answers["one"] = [hang]
    run = bench.open(
        bench.lifecycle(CHAIN.replace("test.act, id: first", "test.pooled, id: first"))
    )
    assert entered.wait(10)
    bench.stop()
    bench.boot()
    bench.until(lambda: bench.places(run) == ("c",))
    gate.set()
    assert bench.play.calls[:2] == [f"{run}/1/first"] * 2


def test_an_effect_that_must_not_be_repeated_waits_for_a_person_after_a_crash(bench):
    gate, entered = threading.Event(), threading.Event()

    def hang(ctx):
        entered.set()
        gate.wait(10)
        return Done({})

    asking = CHAIN.replace("use: test.act, id: first", "use: test.asking, id: first")
    bench.play.answers["one"] = [hang]
    bench.engine.workers._catalog["test.asking"].inline = False
    try:
        run = bench.open(bench.lifecycle(asking))
        assert entered.wait(10)
        bench.stop()
        bench.boot()
        bench.until(lambda: len(bench.store.incidents(run=run)) == 1)
    finally:
        bench.engine.workers._catalog["test.asking"].inline = True
        gate.set()
    assert bench.store.incidents()[0].kind == "uncertain"
    assert len(bench.play.calls) == 1


def test_an_answer_past_its_timeout_is_dropped(bench):
    gate = threading.Event()

    def hang(ctx):
        gate.wait(10)
        return Done({"did": "late"})

    text = CHAIN.replace("test.act, id: first", "test.pooled, timeout: PT0.1S, id: first")
    bench.play.answers["one"] = [hang]
    run = bench.open(bench.lifecycle(text))
    bench.until(lambda: any("no answer within" in line for line in bench.said(run)))
    gate.set()
    bench.until(lambda: any("late answer dropped" in line for line in bench.said(run)))
    bench.settle()
    bench.turn(timedelta(minutes=2))
    bench.until(lambda: bench.places(run) == ("c",))


LEASED = """
lifecycle: leased
services: [s]
initial: hold
states:
  hold:
    lease: "one at a time"
    timers: {free: {after: PT1H}}
    next: {free: over}
  over: {final: true}
"""


def test_a_lease_has_one_holder_and_the_next_in_line_gets_it(bench):
    definition = bench.lifecycle(LEASED)
    first, second = bench.open(definition, "1"), bench.open(definition, "2")
    assert any(line == "lease hold" for line in bench.said(first))
    assert not any(line == "lease hold" for line in bench.said(second))
    bench.turn(timedelta(hours=2))
    bench.until(lambda: any(line == "lease hold" for line in bench.said(second)))


def test_the_row_rebuilt_from_its_history_equals_the_row(bench):
    bench.play.answers["one"] = [Retryable("not now")]
    definition = bench.lifecycle(CHAIN)
    run = bench.open(definition)
    bench.settle()
    bench.turn(timedelta(minutes=2))
    bench.until(lambda: bench.places(run) == ("c",))
    bench.turn(timedelta(days=2))
    bench.until(lambda: bench.store.run(run).status == "ended")
    history = [
        (events.Event.from_json(row.event, row.actor), row.at) for row in bench.store.history(run)
    ]
    again = rebuild(definition, history)
    assert again == Run.from_json(bench.store.run_body(run))


def test_every_history_row_carries_the_hash_of_the_one_before(bench):
    run = bench.open(bench.lifecycle(CHAIN))
    bench.until(lambda: bench.places(run) == ("c",))
    head = b"\0" * 32
    for row in bench.store.history(run):
        body = dump({"event": row.event, "records": row.records})
        head = chained(head, row.seq, micros(row.at), row.actor, body)
        assert head.hex() == row.hash


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_second_daemon_on_the_same_file_is_refused_in_one_line(bench):
    other = Store(bench.url)
    try:
        with pytest.raises(StoreLocked, match=r"another daemon .* is at work"):
            other.occupy()
    finally:
        other.close()


def test_a_refused_action_leaves_nothing_behind_and_the_others_go_on(bench):
    def refuse(tx):
        raise NotFound("there is no such thing")

    run = bench.open(bench.lifecycle(CHAIN))
    future = bench.engine.act(refuse)
    with pytest.raises(NotFound):
        future.result(timeout=120)
    bench.until(lambda: bench.places(run) == ("c",))


GAUGED = """
lifecycle: gauged
services: [s]
monitors:
  ks: {use: test.gauge, window: {length: P7D}, warn: {below: 0.4}, breach: {below: 0.3}}
initial: look
states:
  look: {verify: ks, next: {ok: fine, warn: fine, breach: bad, insufficient: bad}}
  fine: {final: true}
  bad: {final: true, outcome: bad}
"""


def test_a_measurement_is_kept_with_its_window_and_verdict(bench):
    bench.play.answers["gauge"] = [0.25]
    run = bench.open(bench.lifecycle(GAUGED))
    bench.until(lambda: bench.store.run(run).outcome == "bad")
    (row,) = bench.store.measurements(service="s")
    assert (row.monitor, row.verdict, row.body["value"]) == ("ks", "breach", 0.25)
    assert (row.end - row.start) == timedelta(days=7)


def test_a_monitor_that_cannot_measure_is_an_error_and_never_healthy(bench):
    bench.play.answers["gauge"] = [Hopeless("no log")]
    run = bench.open(bench.lifecycle(GAUGED))
    bench.until(lambda: len(bench.store.incidents(run=run)) == 1)
    assert "no log" in bench.store.incidents(run=run)[0].message


def test_hundreds_of_overdue_timers_fire_once_each(bench):
    definition = bench.lifecycle(CHAIN)
    for number in range(200):
        bench.open(definition, f"k{number}")
    bench.until(lambda: all(r.places == ("c",) for r in bench.store.runs(limit=500)))
    bench.turn(timedelta(days=9))
    bench.until(lambda: all(r.status == "ended" for r in bench.store.runs(limit=500)))
    for row in bench.store.runs(limit=5):
        assert sum("moved c later" in line for line in bench.said(row.id)) == 1


def test_a_retry_that_fails_leaves_one_open_incident(bench):
    bench.play.answers["one"] = [Hopeless("no"), Hopeless("still no")]
    run = bench.open(bench.lifecycle(CHAIN))
    bench.until(lambda: len(bench.store.incidents(run=run)) == 1)
    bench.send(run, events.repair("retry", "a", {}, "otto"))
    bench.until(lambda: any("still no" in i.message for i in bench.store.incidents(run=run)))
    assert [i.message.count("still no") for i in bench.store.incidents(run=run)] == [1]
    assert len(bench.store.incidents(run=run, open_only=False)) == 2
