"""The monitor `performance.rmse`."""

from __future__ import annotations

from typing import ClassVar, Literal

from waystage.plugin import Context, Measurement, Minimum, Monitor, Window
from waystage_plugins.monitors.labelled import coverage
from waystage_plugins.monitors.valued import predicted


class RmseMonitor(Monitor):
    """Measure how far the predictions of a regression are from the true values (RMSE).

        - use: performance.rmse

    It is the root of the mean of (true − predicted)², in the unit of the true values, whose mean
    is in the notes. True values come to the scoring log as outcomes, not as labels. The
    minimum's `rows` counts pairs of a prediction and a true value; unsaid, 200 are needed. The
    interval is that of a skew mean (Hall, 1992).
    """

    use: ClassVar[str] = "performance.rmse"
    better: ClassVar[Literal["higher", "lower", "neither"]] = "lower"
    values: ClassVar[tuple[float | None, float | None]] = (0, None)

    def measure(self, ctx: Context, window: Window, minimum: Minimum) -> Measurement:
        """Measure the run's snapshot, as champion, on the labelled requests of the window."""
        found = predicted(ctx, window, minimum)
        if isinstance(found, Measurement):
            return found
        from waystage_plugins.monitors.statistics import regression

        errors, sizes = found
        low, high = regression.rmse_interval(errors)
        return Measurement(
            value=errors.rmse,
            low=low,
            high=high,
            method="hall",
            counts=sizes,
            notes={"coverage": coverage(sizes), "mean": errors.mean},
        )
