"""The monitor `performance.brier`."""

from __future__ import annotations

from typing import ClassVar, Literal

from waystage.plugin import Context, Grouped, Measurement, Minimum, Monitor, Window
from waystage_plugins.monitors.labelled import (
    by_score,
    common_notes,
    counts_of,
    need_probabilities,
    usable,
)


class BrierMonitor(Monitor):
    """Measure how far the probabilities are from what happened (Brier score): 0 is perfect.

        - use: performance.brier

    It is the mean of (probability − outcome)², so it looks at ranking and calibration at once.
    `skill` is 1 − value / (p (1 − p)) with p the event rate: 0 for a model that always says p,
    below 0 for a worse one. Scores outside 0..1 are no probabilities and make it an `error`.
    The interval is that of a mean, on the logarithmic scale.
    """

    use: ClassVar[str] = "performance.brier"
    better: ClassVar[Literal["higher", "lower", "neither"]] = "lower"
    values: ClassVar[tuple[float | None, float | None]] = (0, 1)

    def measure(self, ctx: Context, window: Window, minimum: Minimum) -> Measurement:
        """Measure the run's snapshot, as champion, on the labelled requests of the window."""
        found = usable(ctx, window, minimum)
        return found if isinstance(found, Measurement) else self._measured(found)

    def _measured(self, found: Grouped) -> Measurement:
        from waystage_plugins.monitors.statistics import brier

        need_probabilities(self.use, found)
        value = brier.brier(found.score, by_score(found))
        (low, high), sizes = brier.interval(value), counts_of(found)
        return Measurement(
            value=value.value,
            low=low,
            high=high,
            method="delta",
            counts=sizes,
            notes={**common_notes(found), "skill": value.skill},
        )
