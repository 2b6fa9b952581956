"""The monitor `drift.wasserstein`."""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from waystage_plugins.monitors.drifting import DriftMonitor, Found

if TYPE_CHECKING:
    from waystage_plugins.monitors.profile import Cells
    from waystage_plugins.monitors.statistics.counts import Floats
    from waystage_plugins.monitors.statistics.divergence import Distance


class WassersteinMonitor(DriftMonitor):
    """Measure how far scores and numbers have moved, in standard deviations (Wasserstein distance).

        - use: drift.wasserstein
          with: {bins: 100}

    The value is the area between the distribution functions of then and now of the farthest
    column, divided by the baseline's standard deviation: what every value must move on the
    average to make now into then. Within the frozen cells both functions are taken as straight,
    beyond the outermost ones by the mean of what lies there. Missing values are left out;
    where a column that had numbers has none the answer is `insufficient`.
    Texts and booleans are not compared. What noise reaches is drawn, and p is at least 0.001.
    """

    use: ClassVar[str] = "drift.wasserstein"
    numbers_only: ClassVar[bool] = True

    bins: int = Field(default=100, ge=10, le=500)

    @property
    def cells(self) -> int:
        """Percentiles, unless said otherwise."""
        return self.bins

    def compare(self, base: Cells, now: Cells, level: float) -> Found:
        """Give the distance of a column, and draws of it without drift."""
        from waystage_plugins.monitors.statistics import divergence as d

        value = float(_distance(base, now)(base.seen, now.seen))
        draws = d.null_distances(_distance(base, base), base.seen, now.seen)
        p = (1 + int((draws >= value).sum())) / (1 + len(draws))
        return Found(value, p, d.gamma_point(draws, level))

    def reach(self, base: Cells, now: Cells) -> tuple[float, float]:
        """Resample the noise of both samples."""
        import numpy as np

        from waystage_plugins.monitors.statistics import divergence as d
        from waystage_plugins.monitors.statistics.reach import of_area
        from waystage_plugins.monitors.statistics.shares import LEVEL, z

        value = float(_distance(base, now)(base.seen, now.seen))
        # beyond the outermost edges values are as far out as those of the wider sample
        wide = np.maximum(_beyond(base), _beyond(now))
        noise = _distance(base, now, (wide, wide))(*d.mixed(base.seen, now.seen))
        # their own spread, which cells do not tell, is taken to be the baseline's
        far = sum(
            float(d.shares(each.seen)[[0, -1]].sum() / each.seen.sum()) for each in (base, now)
        )
        return of_area(value, np.hypot(2 * noise, z(LEVEL) * sqrt(far)))


def _beyond(cells: Cells) -> Floats:
    """Give how far beyond the outermost edges the values there are on the average."""
    import numpy as np

    inside = cells.seen[[0, -1]]
    return cells.outside / np.maximum(inside, 1)


def _distance(base: Cells, now: Cells, beyond: tuple[Floats, Floats] | None = None) -> Distance:
    """Give the distance as a function of counts in these cells, in standard deviations."""
    import numpy as np

    from waystage_plugins.monitors.statistics import divergence as d

    edges = np.zeros(0) if base.edges is None else base.edges
    widths = np.concatenate([[0.0], np.diff(edges), [0.0]])[: len(edges) + 1]
    unit = base.spread or 1.0  # a constant has no deviation: its own unit stands
    far, today_far = beyond or (_beyond(base), _beyond(now))

    def distance(then: d.Numbers, today: d.Numbers) -> Floats:
        area = d.wasserstein(then, today, widths)
        for side in (0, -1):
            before, after = d.shares(then)[..., side], d.shares(today)[..., side]
            area = area + np.abs(before * far[side] - after * today_far[side])
        found: Floats = area / unit
        return found

    return distance
