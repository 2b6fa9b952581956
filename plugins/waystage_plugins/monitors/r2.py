"""The monitor `performance.r2`."""

from __future__ import annotations

from typing import ClassVar, Literal

from waystage.plugin import Context, Measurement, Minimum, Monitor, Window
from waystage_plugins.monitors.labelled import coverage, insufficient
from waystage_plugins.monitors.valued import predicted


class R2Monitor(Monitor):
    """Measure the share of the variance of the true values that a regression explains.

        - use: performance.r2

    It is 1 − Σ(true − predicted)² / Σ(true − mean)²: 1 is perfect, 0 as good as always saying the
    mean, below 0 worse. True values come to the scoring log as outcomes, not as labels. The
    minimum's `rows` counts pairs of a prediction and a true value; unsaid, 200 are needed. The
    interval is Fieller's with the quantiles of a skew mean (Hall, 1992).
    """

    use: ClassVar[str] = "performance.r2"
    better: ClassVar[Literal["higher", "lower", "neither"]] = "higher"
    values: ClassVar[tuple[float | None, float | None]] = (None, 1)

    def measure(self, ctx: Context, window: Window, minimum: Minimum) -> Measurement:
        """Measure the run's snapshot, as champion, on the labelled requests of the window."""
        found = predicted(ctx, window, minimum)
        if isinstance(found, Measurement):
            return found
        from waystage_plugins.monitors.statistics import regression

        errors, sizes = found
        if errors.spread <= 0:
            why = f"all true values are {errors.mean:.6g}, so there is no variance to explain"
            return insufficient(ctx, window, sizes, why)
        low, high = regression.r2_interval(errors)
        return Measurement(
            value=errors.r2,
            low=low,
            high=high,
            method="hall",
            counts=sizes,
            notes={"coverage": coverage(sizes), "mean": errors.mean},
        )
