"""The monitors `performance.auc` and `performance.gini`."""

from __future__ import annotations

from typing import ClassVar, Literal

from waystage.plugin import Context, Measurement, Minimum, Monitor, Window
from waystage_plugins.monitors.labelled import by_score, common_notes, counts_of, usable


class AucMonitor(Monitor):
    """Measure how often an event has a higher score than a non-event (area under the ROC).

        - use: performance.auc

    Equal scores count ½. The interval is DeLong's, on the logit scale, and no narrower than
    Newcombe's where few rows are ranked wrongly; of one who separates perfectly it is the exact
    binomial bound for as many pairs as the smaller class has rows.
    """

    use: ClassVar[str] = "performance.auc"
    better: ClassVar[Literal["higher", "lower", "neither"]] = "higher"
    values: ClassVar[tuple[float | None, float | None]] = (0, 1)

    def measure(self, ctx: Context, window: Window, minimum: Minimum) -> Measurement:
        """Measure the run's snapshot, as champion, on the labelled requests of the window."""
        return _measured(ctx, window, minimum, factor=1, offset=0)


class GiniMonitor(Monitor):
    """Measure the Gini coefficient of the scores, 2 · AUC − 1: 0 is useless, 1 perfect.

        - use: performance.gini

    It is below 0 for a model that ranks backwards. The interval is that of the AUC.
    """

    use: ClassVar[str] = "performance.gini"
    better: ClassVar[Literal["higher", "lower", "neither"]] = "higher"
    values: ClassVar[tuple[float | None, float | None]] = (-1, 1)

    def measure(self, ctx: Context, window: Window, minimum: Minimum) -> Measurement:
        """Measure the run's snapshot, as champion, on the labelled requests of the window."""
        return _measured(ctx, window, minimum, factor=2, offset=-1)


def _measured(
    ctx: Context, window: Window, minimum: Minimum, *, factor: float, offset: float
) -> Measurement:
    found = usable(ctx, window, minimum)
    if isinstance(found, Measurement):
        return found
    from waystage_plugins.monitors.statistics.auc import auc, interval

    counts = by_score(found)
    area = auc(counts)
    value, low, high = (factor * each + offset for each in (area.value, *interval(area, counts)))
    sizes = counts_of(found)
    notes = common_notes(found) | {"inverted": area.value < 0.5}
    return Measurement(value=value, low=low, high=high, method="delong", counts=sizes, notes=notes)
