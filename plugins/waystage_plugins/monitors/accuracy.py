"""The monitor `performance.accuracy`."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from waystage_plugins.monitors.at_cut_off import AtCutOff, Shown

if TYPE_CHECKING:
    from waystage_plugins.monitors.statistics.confusion import Confusion


class AccuracyMonitor(AtCutOff):
    """Measure the share of requests that are on the right side of a cut-off.

        - use: performance.accuracy
          with: {threshold: 0.5}

    A score at or above `threshold` is called an event. With rare events accuracy is high for a
    model that never calls one: the note `majority` is what that one would reach. The interval
    is Wilson's.
    """

    use: ClassVar[str] = "performance.accuracy"

    def shown(self, cut: Confusion, sizes: dict[str, int]) -> Shown:
        """Give the value, its interval and what is told besides."""
        from waystage_plugins.monitors.statistics.confusion import accuracy_interval

        majority = max(sizes["events"], sizes["nonevents"]) / sizes["usable"]
        return cut.accuracy, accuracy_interval(cut), {"majority": majority}
