"""The monitor `performance.lift`."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from waystage.plugin import Context, Grouped, Measurement, Minimum, Monitor, Window
from waystage_plugins.monitors.labelled import (
    by_score,
    common_notes,
    counts_of,
    insufficient,
    usable,
)

FEWEST = 50  # rows at the top: the interval was tried down to as many


class LiftMonitor(Monitor):
    """Measure how much more often events come among the highest scores than among all.

        - use: performance.lift
          with: {at: 0.1}

    `at` is the share of the requests that counts as the top. 1 is useless; the best there can be is
    1 / max(`at`, event rate), told as the note `best`. Equal scores at the cut give their events
    in proportion. `captured` is the share of all events that the top holds. The interval is
    Wilson's, on the effective number of events behind an estimated cut.
    """

    use: ClassVar[str] = "performance.lift"
    better: ClassVar[Literal["higher", "lower", "neither"]] = "higher"
    values: ClassVar[tuple[float | None, float | None]] = (0, None)

    at: float = Field(default=0.1, gt=0, le=1, description="share of the requests at the top")

    def measure(self, ctx: Context, window: Window, minimum: Minimum) -> Measurement:
        """Measure the run's snapshot, as champion, on the labelled requests of the window."""
        found = usable(ctx, window, minimum)
        if isinstance(found, Measurement):
            return found
        sizes = counts_of(found)
        if self.at * sizes["usable"] < FEWEST:
            top = f"the top {self.at:.4g} of {sizes['usable']} requests are fewer than {FEWEST}"
            return insufficient(ctx, window, sizes, top)
        return self._measured(found, sizes)

    def _measured(self, found: Grouped, sizes: dict[str, int]) -> Measurement:
        from waystage_plugins.monitors.statistics import lift

        counts = by_score(found)
        value = lift.lift(counts, self.at)
        low, high = lift.interval(value, counts, self.at)
        return Measurement(
            value=value.value,
            low=low,
            high=high,
            method="wilson",
            counts=sizes,
            notes={
                **common_notes(found),
                "at": self.at,
                "captured": value.captured,
                "best": 1 / max(self.at, sizes["events"] / sizes["usable"]),
            },
        )
