"""The monitor `performance.calibration`."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from waystage.plugin import Context, Grouped, Measurement, Minimum, Monitor, Window
from waystage_plugins.monitors.labelled import (
    by_score,
    common_notes,
    counts_of,
    need_probabilities,
    usable,
)
from waystage_plugins.monitors.statistics.shares import wilson


class CalibrationMonitor(Monitor):
    """Measure how far the probabilities are from the event rates, bin by bin (ECE).

        - use: performance.calibration
          with: {bins: 10, binning: quantile}

    The value is the expected calibration error, Σ share · |observed − predicted|, over bins of
    equally many requests (`quantile`) or of equal width (`width`); equal scores are never
    parted. It depends on the bins, so compare it only with others of the same binning, and it
    is above 0 for a perfect model too: `noise` tells how far. The notes `bin_1`, … give each
    bin's rates with Wilson's interval, and Spiegelhalter's and Hosmer and Lemeshow's tests are
    shown. The interval covers whatever the truth is, and is wide for it. Scores outside 0..1
    are no probabilities and make it an `error`.
    """

    use: ClassVar[str] = "performance.calibration"
    better: ClassVar[Literal["higher", "lower", "neither"]] = "lower"
    values: ClassVar[tuple[float | None, float | None]] = (0, 1)

    bins: int = Field(default=10, ge=2, le=50)
    binning: Literal["quantile", "width"] = "quantile"

    def measure(self, ctx: Context, window: Window, minimum: Minimum) -> Measurement:
        """Measure the run's snapshot, as champion, on the labelled requests of the window."""
        found = usable(ctx, window, minimum)
        return found if isinstance(found, Measurement) else self._measured(found)

    def _measured(self, found: Grouped) -> Measurement:
        from waystage_plugins.monitors.statistics import calibration

        need_probabilities(self.use, found)
        counts, sizes = by_score(found), counts_of(found)
        bins = calibration.binned(found.score, counts, self.bins, self.binning)
        low, high = calibration.interval(bins)
        z, p = calibration.spiegelhalter(found.score, counts)
        statistic, its_p = calibration.hosmer_lemeshow(bins)
        notes: dict[str, str | float | bool] = {
            **common_notes(found),
            "binning": f"{len(bins.rows)} bins by {self.binning}",
            "observed_to_expected": sizes["events"] / max(float(bins.expected.sum()), 1e-300),
            "spiegelhalter_z": z,
            "spiegelhalter_p": p,
            "hosmer_lemeshow": statistic,
            "hosmer_lemeshow_p": its_p,
        }
        for number in range(len(bins.rows)):
            rows, events = int(bins.rows[number]), int(bins.events[number])
            least, most = wilson(events, rows)
            notes[f"bin_{number + 1}"] = (
                f"predicted {bins.predicted[number]:.4f}, observed {events / rows:.4f} "
                f"({least:.4f} to {most:.4f}), {rows} requests"
            )
        return Measurement(
            value=calibration.ece(bins),
            low=low,
            high=high,
            method="triangle",
            counts=sizes,
            notes=notes,
            noise=calibration.noise(bins),
        )
