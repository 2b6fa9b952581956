"""The monitor `drift.psi`."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from waystage_plugins.monitors.drifting import DriftMonitor, Found

if TYPE_CHECKING:
    from waystage_plugins.monitors.profile import Cells


class PsiMonitor(DriftMonitor):
    """Measure how far scores and inputs have moved from the baseline (population stability index).

        - use: drift.psi
          with: {bins: 10}

    The value is the largest Σ (now − then) ln(now / then) of all columns, over bins that are
    frozen with the baseline: deciles for numbers, the commonest 50 categories, and bins for what
    is missing and for what the baseline has never seen. Shares are at least 0.0001 (`floor`).
    Of samples of the same population the index is about (1/n + 1/m) · χ² (Yurdakul, 2018): where
    its 95 % point, over all columns, exceeds the warn threshold the verdict is `insufficient`.
    """

    use: ClassVar[str] = "drift.psi"

    bins: int = Field(default=10, ge=2, le=100)

    @property
    def cells(self) -> int:
        """Deciles, unless said otherwise."""
        return self.bins

    def compare(self, base: Cells, now: Cells, level: float) -> Found:
        """Give the index of a column, and Yurdakul's distribution of it without drift."""
        from waystage_plugins.monitors.statistics import divergence as d

        value, scale = float(d.psi(base.counts, now.counts)), d.noise_scale(base.counts, now.counts)
        cells = d.used_cells(base.counts, now.counts)
        return Found(value, d.chi2_tail(value / scale, cells), scale * d.chi2_point(cells, level))

    def reach(self, base: Cells, now: Cells) -> tuple[float, float]:
        """Resample both samples, and reckon cells that are all but empty one by one."""
        from waystage_plugins.monitors.statistics import stability

        return stability.interval(base.counts, now.counts)

    def more_notes(self, base: Cells, now: Cells) -> dict[str, str | float | bool]:
        """Say the floor, and what is missing and unseen now."""
        from waystage_plugins.monitors.statistics import divergence as d

        missing, unseen = d.shares(now.counts)[-2:].tolist()
        return {"floor": d.FLOOR, "missing": missing, "unseen": unseen}
