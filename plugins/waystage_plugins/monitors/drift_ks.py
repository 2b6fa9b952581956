"""The monitor `drift.ks`."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from waystage_plugins.monitors.drifting import DriftMonitor, Found

if TYPE_CHECKING:
    from waystage_plugins.monitors.profile import Cells


class DriftKsMonitor(DriftMonitor):
    """Measure how far scores and numbers have moved from the baseline (Kolmogorov-Smirnov).

        - use: drift.ks
          with: {bins: 100}

    The value is the largest gap between the distribution functions of then and now, from 0 to
    1, of the farthest column of numbers. It is looked at between `bins` frozen cells; the true
    gap is larger by at most the note `resolution`. Missing values are left out of it;
    where a column that had numbers has none the answer is `insufficient`. Texts and
    booleans are not compared: `drift.psi` and `drift.chi2` do that. It is not `performance.ks`,
    which compares events with non-events.
    """

    use: ClassVar[str] = "drift.ks"
    values: ClassVar[tuple[float | None, float | None]] = (0, 1)
    numbers_only: ClassVar[bool] = True

    bins: int = Field(default=100, ge=10, le=500)

    @property
    def cells(self) -> int:
        """Percentiles, unless said otherwise."""
        return self.bins

    def compare(self, base: Cells, now: Cells, level: float) -> Found:
        """Give the gap of a column, and Kolmogorov's distribution of it without drift."""
        from waystage_plugins.monitors.statistics import divergence as d

        value, scale = float(d.ks(base.seen, now.seen)), d.noise_scale(base.seen, now.seen)
        return Found(value, d.ks_tail(value, scale), d.ks_point(scale, level))

    def reach(self, base: Cells, now: Cells) -> tuple[float, float]:
        """Resample both samples."""
        from waystage_plugins.monitors.statistics import divergence as d

        low, high = d.ks_interval(base.seen, now.seen)
        return low, min(high, 1.0)

    def more_notes(self, base: Cells, now: Cells) -> dict[str, str | float | bool]:
        """Say how much larger the true gap may be."""
        from waystage_plugins.monitors.statistics import divergence as d

        return {"resolution": d.ks_resolution(base.seen, now.seen)}
