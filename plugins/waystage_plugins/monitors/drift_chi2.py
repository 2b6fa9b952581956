"""The monitor `drift.chi2`."""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from waystage_plugins.monitors.drifting import DriftMonitor, Found

if TYPE_CHECKING:
    from waystage_plugins.monitors.profile import Cells


class Chi2Monitor(DriftMonitor):
    """Measure how far scores and inputs have moved from the baseline (Cramér's V, by χ²).

        - use: drift.chi2
          with: {bins: 10}

    The value is Cramér's V of the farthest column, from 0 to 1: the root of χ² / n of the table
    of then and now, over the same frozen bins as of `drift.psi`. χ² itself grows with the number
    of requests, V does not; Pearson's test of independence gives the p-value.
    """

    use: ClassVar[str] = "drift.chi2"
    values: ClassVar[tuple[float | None, float | None]] = (0, 1)

    bins: int = Field(default=10, ge=2, le=100)

    @property
    def cells(self) -> int:
        """Deciles, unless said otherwise."""
        return self.bins

    def compare(self, base: Cells, now: Cells, level: float) -> Found:
        """Give V of a column, and its distribution without drift."""
        from waystage_plugins.monitors.statistics import divergence as d

        value, test = (float(f(base.counts, now.counts)) for f in (d.cramers_v, d.chi2))
        cells = d.used_cells(base.counts, now.counts)
        rows = int(base.counts.sum() + now.counts.sum())
        noise = min(sqrt(d.chi2_point(cells, level) / rows), 1.0)
        return Found(value, d.chi2_tail(test, cells), noise)

    def reach(self, base: Cells, now: Cells) -> tuple[float, float]:
        """Resample both samples."""
        from waystage_plugins.monitors.statistics import divergence as d

        low, high = d.interval(d.cramers_v, base.counts, now.counts, power=2)
        return low, min(high, 1.0)
