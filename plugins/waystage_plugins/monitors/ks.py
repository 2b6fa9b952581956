"""The monitor `performance.ks`."""

from __future__ import annotations

from typing import ClassVar, Literal

from waystage.plugin import Context, Grouped, Measurement, Minimum, Monitor, Window
from waystage_plugins.monitors.labelled import by_score, common_notes, counts_of, usable


class KsMonitor(Monitor):
    """Measure how far the scores of events and non-events are apart (Kolmogorov-Smirnov).

        - use: performance.ks
          with: {method: exact}

    The value is max(0, max(TPR − FPR)): one-sided, so that a model that ranks backwards does
    not look good; the note `inverted` says so then. `exact` cuts between all distinct scores,
    `grid` at 0.00, 0.01, … 1.00 as SAS does. The interval allows for a maximum
    being overstated, by resamples that draw events and non-events apart; the same data always
    give the same interval.
    """

    use: ClassVar[str] = "performance.ks"
    better: ClassVar[Literal["higher", "lower", "neither"]] = "higher"
    values: ClassVar[tuple[float | None, float | None]] = (0, 1)

    method: Literal["exact", "grid"] = "exact"

    def measure(self, ctx: Context, window: Window, minimum: Minimum) -> Measurement:
        """Measure the run's snapshot, as champion, on the labelled requests of the window."""
        found = usable(ctx, window, minimum)
        return found if isinstance(found, Measurement) else self._measured(found)

    def _measured(self, found: Grouped) -> Measurement:
        from waystage_plugins.monitors.statistics import bootstrap
        from waystage_plugins.monitors.statistics.counts import on_grid
        from waystage_plugins.monitors.statistics.ks import ks

        if self.method == "grid":
            counts = on_grid(found.score, found.n_event, found.n_nonevent)
        else:
            counts = by_score(found)
        value, (low, high) = ks(counts), bootstrap.interval(counts)
        sizes = counts_of(found)
        return Measurement(
            value=value.value,
            low=low,
            high=high,
            method="bootstrap",
            counts=sizes,
            notes={
                **common_notes(found),
                "cut_offs": self.method,
                "inverted": value.inverted,
            },
        )
