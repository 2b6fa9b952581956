"""The monitor `staleness`."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import ClassVar, Literal

from pydantic import Field

from waystage.plugin import Context, Measurement, Minimum, Monitor, Window
from waystage_plugins.monitors.labelled import day, insufficient, slice_of

DAY = timedelta(days=1)


class StalenessMonitor(Monitor):
    """Measure how many days before the window's end the last sign of life came.

        - use: staleness
          with: {of: labels}

    The sign is the newest request of the snapshot (`requests`), the newest label of one of them
    by the label's own time (`labels`), or its deployment to the stage (`model`: its age). It is
    looked for over `lookback`; if there is none, nothing is known and the answer is
    `insufficient`. The interval is the value, for it is no estimate; the monitor's `minimum` is
    not looked at.
    """

    use: ClassVar[str] = "staleness"
    better: ClassVar[Literal["higher", "lower", "neither"]] = "lower"
    values: ClassVar[tuple[float | None, float | None]] = (0, None)

    of: Literal["requests", "labels", "model"] = "requests"
    lookback: timedelta = Field(default=timedelta(days=366), gt=timedelta())

    def measure(self, ctx: Context, window: Window, minimum: Minimum) -> Measurement:
        """Look for the newest sign before the window's end."""
        newest = self._newest(ctx, window)
        if newest is None:
            since = day(window.end - self.lookback)
            return insufficient(ctx, window, {}, f"none of its {self.of} are known since {since}")
        # what a clock that is ahead told is taken for the window's end
        age = max(window.end - newest, timedelta()) / DAY
        return Measurement(
            value=age,
            low=age,
            high=age,
            method="count",
            notes={"of": self.of, "newest": newest.isoformat()},
        )

    def _newest(self, ctx: Context, window: Window) -> datetime | None:
        which = replace(slice_of(ctx, window), start=window.end - self.lookback)
        if self.of == "requests":
            return ctx.scoring_log.newest(which)
        if self.of == "labels":
            return ctx.scoring_log.newest_label(which)
        placed = ctx.placements(stage=ctx.stage)
        since = [each.since for each in placed if each.snapshot.id == ctx.snapshot.id]
        return min(since, default=None)
