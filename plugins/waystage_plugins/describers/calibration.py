"""The describer `describe.calibration`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from waystage.plugin import (
    Axis,
    Context,
    Describer,
    Figure,
    Section,
    Series,
    Table,
    Watched,
    Window,
)
from waystage_plugins.describers.labelled import Facts, Labelled, labelled, of_numbers_alone
from waystage_plugins.monitors.statistics.shares import wilson

if TYPE_CHECKING:
    from waystage_plugins.monitors.statistics.calibration import Bins

TITLE = "Calibration"


class CalibrationDescriber(Describer):
    """Show whether of those who are given 20%, 20 in 100 become events.

        - use: describe.calibration
          with: {bins: 10}

    Bins hold about as many requests each; equal scores are never parted. Intervals of a bin's
    event rate are Wilson's.
    """

    use: ClassVar[str] = "describe.calibration"
    place: ClassVar[int] = 20

    bins: int = Field(default=10, ge=2, le=50)

    def describe(
        self, ctx: Context, window: Window, watched: Sequence[Watched]
    ) -> Sequence[Section]:
        """Draw the event rates from the labelled requests of the window."""
        if of_numbers_alone(watched):
            return []
        found = labelled(ctx, window)
        if isinstance(found, str):
            return [Section(id="calibration", title=TITLE, missing=found)]
        low, high = float(found.score[0]), float(found.score[-1])
        if low < 0 or high > 1:
            why = f"Scores reach from {low:.4g} to {high:.4g}: they are no probabilities."
            return [Section(id="calibration", title=TITLE, missing=why)]
        return [self._section(found)]

    def _section(self, found: Labelled) -> Section:
        from waystage_plugins.monitors.statistics import calibration

        bins = calibration.binned(found.score, found.counts, self.bins)
        error, (low, high) = calibration.ece(bins), calibration.interval(bins)
        noise = calibration.noise(bins)
        told = "more than" if error > noise else "no more than"
        ratio = found.sizes["events"] / max(float(bins.expected.sum()), 1e-300)
        about = (
            f"Predicted and observed rates differ by {error:.4f} on average (calibration error, "
            f"95% interval {low:.4f} to {high:.4f}): {told} chance alone makes of a perfect model "
            f"({noise:.4f}). {ratio:.2f} times as many events came as were predicted.{found.rough}"
        )
        facts: Facts = {"ece": error, "low": low, "high": high, "noise": noise,
                 "observed_to_expected": ratio, "method": "triangle", **found.sizes}  # fmt: skip
        return Section(id="calibration", title=TITLE, about=about, facts=facts,
                       figures=(_reliability(bins), _sizes(bins)),
                       tables=(_table(bins),), digest=found.digest)  # fmt: skip


def _rates(bins: Bins) -> list[tuple[float, float, float, float, int, int]]:
    found = []
    for number in range(len(bins.rows)):
        rows, events = int(bins.rows[number]), int(bins.events[number])
        low, high = wilson(events, rows)
        found.append((float(bins.predicted[number]), events / rows, low, high, rows, events))
    return found


def _reliability(bins: Bins) -> Figure:
    rates = _rates(bins)
    most = min(1.0, 1.05 * max(max(predicted, high) for predicted, _, _, high, _, _ in rates))
    return Figure(
        title="Predicted and observed",
        about=(
            f"The {len(rates)} bins with the intervals of their event rates. On the dashed line as "
            "many events came as were predicted; above it more did."
        ),
        square=True,
        x=Axis(title="mean predicted probability", low=0, high=most, unit="share"),
        y=Axis(title="observed event rate", low=0, high=most, unit="share"),
        series=(
            Series(name="as predicted", tone="reference", x=(0, most), y=(0, most)),
            Series(
                name="observed, with 95% interval", form="points",
                x=tuple(rate[0] for rate in rates), y=tuple(rate[1] for rate in rates),
                low=tuple(rate[2] for rate in rates), high=tuple(rate[3] for rate in rates),
                label=tuple(f"{rate[4]:,} requests, {rate[5]:,} events" for rate in rates),
            ),
        ),
    )  # fmt: skip


def _sizes(bins: Bins) -> Figure:
    places = tuple(float(place) for place in range(len(bins.rows)))
    return Figure(
        title="Requests behind each point",
        about="How many requests each of the bins has, and how many of them became events.",
        x=Axis(title="mean predicted probability of the bin",
               labels=tuple(f"{share:.1%}" for share in bins.predicted.tolist())),
        y=Axis(title="requests", low=0),
        series=(
            Series(name="requests", form="bars", tone="other", x=places,
                   y=tuple(float(each) for each in bins.rows)),
            Series(name="events", form="bars", x=places,
                   y=tuple(float(each) for each in bins.events)),
        ),
    )  # fmt: skip


def _table(bins: Bins) -> Table:
    names = ("bin", "predicted", "observed", "low", "high", "requests", "events")
    rows = tuple((number, *rate) for number, rate in enumerate(_rates(bins), 1))
    return Table(title="Predicted and observed by bin", columns=names, rows=rows)
