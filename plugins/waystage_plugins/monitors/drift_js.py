"""The monitor `drift.js`."""

from __future__ import annotations

from math import log, sqrt
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from waystage_plugins.monitors.drifting import DriftMonitor, Found

if TYPE_CHECKING:
    from waystage_plugins.monitors.profile import Cells


class JsMonitor(DriftMonitor):
    """Measure how far scores and inputs have moved from the baseline (Jensen-Shannon distance).

        - use: drift.js
          with: {bins: 10}

    The value is that of the farthest column, from 0 to 1: the root of the divergence in bits,
    over the same frozen bins as of `drift.psi`. It needs no floor for empty bins. Of samples of
    the same population its square is about (1/n + 1/m) · χ² / (8 ln 2).
    """

    use: ClassVar[str] = "drift.js"
    values: ClassVar[tuple[float | None, float | None]] = (0, 1)

    bins: int = Field(default=10, ge=2, le=100)

    @property
    def cells(self) -> int:
        """Deciles, unless said otherwise."""
        return self.bins

    def compare(self, base: Cells, now: Cells, level: float) -> Found:
        """Give the distance of a column, and its distribution without drift."""
        from waystage_plugins.monitors.statistics import divergence as d

        value = float(d.js(base.counts, now.counts))
        scale = d.noise_scale(base.counts, now.counts) / (8 * log(2))
        cells = d.used_cells(base.counts, now.counts)
        noise = min(sqrt(scale * d.chi2_point(cells, level)), 1.0)
        return Found(value, d.chi2_tail(value**2 / scale, cells), noise)

    def reach(self, base: Cells, now: Cells) -> tuple[float, float]:
        """Resample both samples."""
        from waystage_plugins.monitors.statistics import divergence as d

        low, high = d.interval(d.js, base.counts, now.counts, power=2)
        return low, min(high, 1.0)
