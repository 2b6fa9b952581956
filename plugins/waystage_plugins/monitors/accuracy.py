"""The monitor `performance.accuracy`."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from waystage.plugin import Context, Grouped, Measurement, Minimum, Monitor, Window
from waystage_plugins.monitors.labelled import by_score, counts_of, coverage, usable


class AccuracyMonitor(Monitor):
    """Measure the share of requests that are on the right side of a cut-off.

        - use: performance.accuracy
          with: {threshold: 0.5}

    A score at or above `threshold` is called an event. With rare events accuracy is high for a
    model that never calls one: the note `majority` is what that one would reach. The interval
    is Wilson's.
    """

    use: ClassVar[str] = "performance.accuracy"
    better: ClassVar[Literal["higher", "lower", "neither"]] = "higher"
    values: ClassVar[tuple[float | None, float | None]] = (0, 1)

    threshold: float = Field(default=0.5, description="a score from here on is called an event")

    def measure(self, ctx: Context, window: Window, minimum: Minimum) -> Measurement:
        """Measure the run's snapshot, as champion, on the labelled requests of the window."""
        found = usable(ctx, window, minimum)
        return found if isinstance(found, Measurement) else self._measured(found)

    def _measured(self, found: Grouped) -> Measurement:
        from waystage_plugins.monitors.statistics import confusion

        cut = confusion.confusion(found.score, by_score(found), self.threshold)
        (low, high), sizes = confusion.accuracy_interval(cut), counts_of(found)
        return Measurement(
            value=cut.accuracy,
            low=low,
            high=high,
            method="wilson",
            counts=sizes,
            notes={
                "coverage": coverage(sizes),
                "threshold": self.threshold,
                "majority": max(sizes["events"], sizes["nonevents"]) / sizes["usable"],
            },
        )
