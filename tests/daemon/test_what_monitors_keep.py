"""What a monitor keeps comes back to its next measurement, also from another daemon."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from waystage.plugin import Measurement

WATCHED = """
lifecycle: watched
services: [s]
monitors:
  psi:
    use: test.gauge
    window: {length: P1D}
    warn: {above: 0.1, clear: 0.05}
    breach: {above: 0.25}
    stale_after: P2D
initial: serving
states:
  serving:
    timers: {daily: {every: P1D}}
    next: {daily: look}
  look:
    verify: psi
    next:
      ok: serving
      warn: serving
      breach: bad
      insufficient: [{if: monitors.psi.stale, to: bad}, {to: serving}]
  bad: {final: true, outcome: bad}
"""


@pytest.fixture
def memos(bench, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Have the gauge keep how often it was asked; give what it found in its memo."""
    seen: list[Any] = []
    planned: list[Any] = bench.play.answers.setdefault("gauge", [])

    def measure(self: Any, ctx: Any, window: Any, minimum: Any) -> Measurement:
        seen.append(dict(ctx.memo))
        value = planned.pop(0)
        if value is None:
            return Measurement(insufficient="too few")
        if value == "noisy":
            return Measurement(value=0.3, noise=0.2)
        return Measurement(value=value, keep={"asked": len(seen)} if len(seen) < 3 else None)

    monkeypatch.setattr(bench.engine.workers._catalog["test.gauge"], "measure", measure)
    return seen


def test_what_a_monitor_kept_comes_back_also_after_a_restart(bench, memos: list[Any]) -> None:
    bench.play.answers["gauge"] += [0.01, 0.02, 0.03, 0.04]
    run = bench.open(bench.lifecycle(WATCHED))
    for _ in range(2):
        bench.turn(timedelta(days=1))
    bench.stop()
    bench.boot()
    for _ in range(2):
        bench.turn(timedelta(days=1))
    assert memos == [{}, {"asked": 1}, {"asked": 2}, {"asked": 2}]
    rows = bench.store.measurements(service="s")
    assert [row.verdict for row in rows] == ["ok"] * 4
    assert all("kept" not in row.body and "recent" not in row.body for row in rows)
    assert bench.places(run) == ("serving",)


def test_an_alarm_is_held_and_a_guard_knows_of_staleness(bench, memos: list[Any]) -> None:
    bench.play.answers["gauge"] += [0.2, 0.07, None, None, None]
    run = bench.open(bench.lifecycle(WATCHED))
    for _ in range(4):
        bench.turn(timedelta(days=1))
    assert bench.places(run) == ("serving",)
    bench.turn(timedelta(days=1))
    assert bench.store.run(run).outcome == "bad"
    rows = bench.store.measurements(service="s")
    assert [row.verdict for row in rows] == ["warn", "warn"] + ["insufficient"] * 3
    assert [row.body.get("stale", False) for row in rows] == [False] * 4 + [True]


def test_a_threshold_within_the_noise_is_insufficient(bench, memos: list[Any]) -> None:
    bench.play.answers["gauge"] += ["noisy"]
    bench.open(bench.lifecycle(WATCHED))
    bench.turn(timedelta(days=1))
    (row,) = bench.store.measurements(service="s")
    assert row.verdict == "insufficient"
    assert "up to 0.2 in 95 of 100 windows in which nothing has changed" in row.body["reason"]
