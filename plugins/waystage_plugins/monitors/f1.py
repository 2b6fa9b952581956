"""The monitor `performance.f1`."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from waystage.plugin import Context, Grouped, Measurement, Minimum, Monitor, Window
from waystage_plugins.monitors.labelled import by_score, counts_of, coverage, usable


class F1Monitor(Monitor):
    """Measure the F1 score at a cut-off: the harmonic mean of precision and recall.

        - use: performance.f1
          with: {threshold: 0.5}

    A score at or above `threshold` is called an event. Precision and recall are in the notes; both
    are 0 where nothing is called an event. The interval is Wilson's, of the share of hits among
    all but the true rejections, on the scale of F1.
    """

    use: ClassVar[str] = "performance.f1"
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
        (low, high), sizes = confusion.f1_interval(cut), counts_of(found)
        return Measurement(
            value=cut.f1,
            low=low,
            high=high,
            method="wilson",
            counts=sizes,
            notes={
                "coverage": coverage(sizes),
                "threshold": self.threshold,
                "precision": cut.precision,
                "recall": cut.recall,
            },
        )
