"""The monitor `performance.f1`."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from waystage_plugins.monitors.at_cut_off import AtCutOff, Shown

if TYPE_CHECKING:
    from waystage_plugins.monitors.statistics.confusion import Confusion


class F1Monitor(AtCutOff):
    """Measure the F1 score at a cut-off: the harmonic mean of precision and recall.

        - use: performance.f1
          with: {threshold: 0.5}

    A score at or above `threshold` is called an event. Precision and recall are in the notes; both
    are 0 where nothing is called an event. The interval is Wilson's, of the share of hits among
    all but the true rejections, on the scale of F1.
    """

    use: ClassVar[str] = "performance.f1"

    def shown(self, cut: Confusion, sizes: dict[str, int]) -> Shown:
        """Give the value, its interval and what is told besides."""
        from waystage_plugins.monitors.statistics.confusion import f1_interval

        return cut.f1, f1_interval(cut), {"precision": cut.precision, "recall": cut.recall}
