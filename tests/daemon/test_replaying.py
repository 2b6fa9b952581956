"""Measurements that a daemon stored, judged by other thresholds."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from waystage.cli.replay import _show_judged
from waystage.daemon.replaying import _measured
from waystage.errors import Retryable
from waystage.planning.rejudge import changed, rejudged

WATCHED = """
lifecycle: watched
services: [s]
params: {floor: {type: number, default: 0.1}}
monitors:
  ks:
    use: test.gauge
    window: {length: P7D}
    breach: {below: "{{ params.floor }}"}
    cooldown: P30D
initial: serving
states:
  serving: {timers: {week: {every: P7D}}, signals: [stop], next: {week: look, stop: over}}
  look:
    verify: [ks]
    next: {ok: serving, warn: serving, insufficient: serving, breach: serving, error: serving}
  over: {final: true}
"""


def test_stored_measurements_are_judged_anew_and_nothing_is_written(
    bench: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    values = [0.4, 0.25, 0.05, 0.08, 0.3]
    bench.play.answers["gauge"] = list(values)
    run = bench.open(bench.lifecycle(WATCHED))
    for _ in values:
        bench.turn(timedelta(days=7))
        bench.until(lambda: bench.places(run) == ("serving",))
    rows = bench.store.measurements(monitor="ks")
    assert [row.verdict for row in rows] == ["ok", "ok", "breach", "warn", "ok"]
    history = bench.store.history(run)
    spec = bench.lifecycle(WATCHED).spec.monitors["ks"]
    found = list(_measured(bench.store, "watched", rows))
    same = rejudged(spec, spec, found, {})
    assert [each.verdict for each in same] == [row.verdict for row in rows]
    other, params = changed(spec, ["breach.below=0.35", "cooldown=P1D"])
    anew = rejudged(spec, other, found, params)
    assert [each.verdict for each in anew] == ["ok", "breach", "breach", "breach", "breach"]
    assert list(_measured(bench.store, "another", rows)) == []
    assert bench.store.history(run) == history
    _show_judged(anew, as_json=False)
    told = capfd.readouterr().out
    assert "This would have breached 4 times; it did once." in told
    assert told.count("●") == len(values) + 1  # and one in the legend


def test_a_measurement_that_failed_stays_failed_by_any_threshold(bench: Any) -> None:
    bench.play.answers["gauge"] = [Retryable("no log")] * 3
    run = bench.open(bench.lifecycle(WATCHED))
    bench.turn(timedelta(days=7))
    for _ in range(4):
        bench.turn(timedelta(minutes=2))
    bench.until(lambda: bench.places(run) == ("serving",))
    rows = bench.store.measurements(monitor="ks")
    spec = bench.lifecycle(WATCHED).spec.monitors["ks"]
    (found,) = rejudged(spec, spec, _measured(bench.store, "watched", rows), {})
    assert (rows[0].verdict, found.verdict) == ("error", "error")
    assert "no log" in found.reason
