"""A window that is not over where it is measured: two machines whose clocks disagree."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from waystage.daemon.calls import call
from waystage.plugin import Context, Measurement, Minimum, Monitor, Window
from waystage.store.rows import Claim
from waystage.testing import FakeContext


class Gauge(Monitor):
    """Measure nothing: the value is 7."""

    use = "test.gauge"

    def measure(self, ctx: Context, window: Window, minimum: Minimum) -> Measurement:
        """Give the value."""
        return Measurement(value=7)


@pytest.mark.parametrize(
    ("ahead", "over"),
    [(timedelta(), True), (timedelta(seconds=59), True), (timedelta(minutes=2), False)],
    ids=["in time", "a little ahead", "ahead"],
)
def test_a_window_in_the_future_is_insufficient_and_says_what_time_it_is_here(
    tmp_path: Path, ahead: timedelta, over: bool
) -> None:
    ctx = FakeContext(tmp_path)
    end = ctx.now + ahead
    window = {"start": (end - timedelta(days=1)).isoformat(), "end": end.isoformat()}
    config = {"with": {}, "window": window, "minimum": {}}
    order = {"state": "look", "entry": 1, "index": 0, "use": "test.gauge", "kind": "monitor",
             "config": config}  # fmt: skip
    claim = Claim(1, "look", 1, order)
    answered = call(Gauge, claim, ctx)  # type: ignore[arg-type]  # it has all that is asked for
    assert answered.event is not None
    output: dict[str, Any] = answered.event.data
    assert output.get("value") == (7 if over else None)
    said = f"is not over: here it is {ctx.now.isoformat()}; see to this machine's clock"
    assert output["insufficient"].endswith("" if over else said)
    assert bool(output["insufficient"]) is not over
