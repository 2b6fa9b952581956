"""What a daemon tells about itself while runs go through it: figures and traces."""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from typing import Any

import pytest

from waystage.cli.logs import Structured
from waystage.daemon import tracing
from waystage.daemon.meter import STAYS
from waystage.errors import Unavailable
from waystage.kernel import events
from waystage.plugin import Done
from waystage.store.codec import micros
from waystage.store.figures import figures, lag

STEPS = """
lifecycle: steps
services: [s]
initial: work
states:
  work:
    steps: [{use: test.pooled, with: {do: one}, retry: {max: 2}},
            {use: test.act, with: {do: two}}]
    next: {done: ask, refused: over}
  ask: {task: {title: T, for: [x]}, next: {approve: over, reject: over}}
  over: {final: true}
"""

WAITING = """
lifecycle: waits
services: [s]
initial: ask
states:
  ask:
    task: {title: T, for: [x], remind: [PT1H]}
    signals: [go]
    next: {approve: over, reject: over, go: over}
  over: {final: true}
"""


def test_calls_and_commits_are_counted_by_plugin_and_answer(bench: Any, answers: Any) -> None:
    bench.play.answers["one"] = [answers["retryable"]("no line"), Done({})]
    bench.open(bench.lifecycle(STEPS))
    bench.settle()
    bench.turn(timedelta(minutes=1))
    bench.until(lambda: bench.engine.meter.counted().events >= 4)  # the last commit counts, too
    counted = bench.engine.meter.counted()
    calls = {key: sum(each.counts) for key, each in counted.calls.items()}
    assert calls == {("test.pooled", "failed"): 1, ("test.pooled", "done"): 1,
                     ("test.act", "done"): 1}  # fmt: skip
    assert counted.events == 4
    assert sum(counted.commits.counts) >= 2


def test_figures_tell_what_waits_and_for_how_long(bench: Any, answers: Any) -> None:
    definition = bench.lifecycle(STEPS)
    bench.open(definition)
    bench.play.answers["one"] = [answers["hopeless"]("never")]
    bench.settle()
    bench.open(definition, "k2")
    bench.play.answers["one"] = [answers["hopeless"]("never")]
    bench.until(lambda: len(bench.store.incidents()) + len(bench.store.tasks()) == 2)
    bench.clock.turn(timedelta(hours=2))
    found = figures(bench.store, micros(bench.clock.now()))
    assert found.runs == {("steps", "open"): 2}
    assert sum(found.state_runs.values()) == 2
    assert found.task_oldest.get(("steps",), 7200) == 7200
    assert sum(found.incidents.values()) + sum(found.tasks.values()) == 2
    assert set(found.state_oldest.values()) == {7200}
    assert lag(bench.store, micros(bench.clock.now())) == 0


def test_the_time_in_a_state_counts_from_its_entry_and_is_kept_when_it_is_left(
    bench: Any,
) -> None:
    run = bench.open(bench.lifecycle(WAITING))
    bench.until(lambda: bench.places(run) == ("ask",))
    rows = len(bench.store.history(run))
    bench.turn(timedelta(hours=3))  # a reminder: the run changes, and stays where it is
    bench.turn(timedelta(hours=2))
    assert len(bench.store.history(run)) > rows
    found = figures(bench.store, micros(bench.clock.now()))
    assert found.state_oldest == {("waits", "ask"): 5 * 3600}
    bench.send(run, events.signal("go", {}))
    stays = bench.engine.meter.counted().stays
    assert set(stays) == {("waits", "ask")}
    assert stays["waits", "ask"].total == 5 * 3600
    assert stays["waits", "ask"].counts[STAYS.index(21600.0)] == 1


def test_a_run_and_all_its_calls_are_one_trace_whichever_daemon_called(bench: Any) -> None:
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    memory = InMemorySpanExporter()
    provider = tracing.provider_of(SimpleSpanProcessor(memory))
    tracing.Traces(bench.engine, "p", provider)
    bench.play.answers["two"] = [lambda ctx: ctx.scratch]  # no answer that a step may give
    definition = bench.lifecycle(STEPS.replace("ask, refused", "over, refused"))
    bench.state.mkdir(exist_ok=True)
    broken = bench.open(definition, "broken")
    bench.until(bench.store.incidents)
    bench.stop()
    bench.boot()
    bench.definitions._compiled[definition.hash] = definition
    tracing.Traces(bench.engine, "p", provider)
    fine = bench.open(definition, "fine")
    bench.until(lambda: bench.store.run(fine).status == "ended")
    bench.until(lambda: len(memory.get_finished_spans()) == 5)

    spans = memory.get_finished_spans()
    traces = {run: {s.context.trace_id for s in spans if s.attributes["waystage.run"] == run}
              for run in (broken, fine)}  # fmt: skip
    assert [len(found) for found in traces.values()] == [1, 1]
    assert traces[broken] != traces[fine]
    whole = next(span for span in spans if span.name == "run steps")
    mine = [s for s in spans if s.attributes["waystage.run"] == fine and s is not whole]
    assert {span.parent.span_id for span in mine} == {whole.context.span_id}
    assert [span.name for span in mine] == ["test.pooled", "test.act"]
    assert whole.attributes["waystage.outcome"] == "done"
    failed = [span for span in spans if not span.status.is_ok and span.status.description]
    assert [span.attributes["waystage.answer"] for span in failed] == ["failed"]
    provider.shutdown()


def test_traces_are_made_only_when_the_variables_of_opentelemetry_ask_for_them(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tracing.begin(bench.engine, "p") is None
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
    assert tracing.wanted()
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    assert not tracing.wanted()
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert not tracing.wanted()
    monkeypatch.delenv("OTEL_SDK_DISABLED")
    monkeypatch.setitem(__import__("sys").modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(Unavailable, match=r"waystage\[otel\]"):
        tracing.begin(bench.engine, "p")


def test_a_line_of_the_structured_log_names_the_run_and_the_step(bench: Any) -> None:
    heard: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: heard.append(Structured().format(record))
    log = logging.getLogger("waystage.plugin.test")
    log.addHandler(handler)
    bench.play.answers["one"] = [lambda ctx: log.warning("a “line”\nof two") or Done({})]
    run = bench.open(bench.lifecycle(STEPS))
    bench.settle()
    log.warning("outside of a step", extra={"run": "s-9"})
    log.removeHandler(handler)
    first, second = (json.loads(line) for line in heard)
    assert (first["run"], first["step"]) == (run, f"{run}/1/0")
    assert (first["message"], first["level"]) == ("a “line”\nof two", "warning")
    assert second["run"] == "s-9"
    assert "step" not in second
    assert all("\n" not in line for line in heard)
