"""The describer `describe.regression`."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
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
from waystage_plugins.describers.labelled import Facts, of_regression
from waystage_plugins.monitors.labelled import slice_of
from waystage_plugins.monitors.valued import pairs

if TYPE_CHECKING:
    from waystage_plugins.monitors.statistics.counts import Floats

NAME, TITLE = "regression", "Predicted and true values"
FEW = 200  # pairs below which the curves are called rough, as the monitors do
TAIL = 0.005  # of the errors at each end, which share the first and the last bar


@dataclass(frozen=True, slots=True)
class Bin:
    """Requests with neighboring predictions; `low` and `high` are for the mean true value."""

    rows: int
    predicted: float
    true: float
    low: float
    high: float


class RegressionDescriber(Describer):
    """Show how far the predictions of a regression are from what came true, and where.

        - use: describe.regression
          with: {bins: 10}

    It has a section where the lifecycle watches the service by `performance.rmse` or
    `performance.r2`, or by their `decay`. Bins hold about as many requests each, by their
    prediction; equal predictions are never parted. Intervals of a bin's mean are Student's.
    """

    use: ClassVar[str] = "describe.regression"
    place: ClassVar[int] = 25

    bins: int = Field(default=10, ge=2, le=50)
    bars: int = Field(default=30, ge=5, le=100, description="bars of the errors")

    def describe(
        self, ctx: Context, window: Window, watched: Sequence[Watched]
    ) -> Sequence[Section]:
        """Draw both figures from the requests of the window whose true value is known."""
        if not any(map(of_regression, watched)):
            return []
        import numpy as np

        counts = dict.fromkeys(("rows", "labelled", "excluded", "usable"), 0)
        found = pairs(ctx, ctx.scoring_log.valued(slice_of(ctx, window)), counts)
        flat = np.fromiter((value for pair in found for value in pair), dtype=np.float64)
        both = flat.reshape(-1, 2)
        if not len(both):
            why = (
                f"{counts['rows']:,} requests were scored; of none of them is the true value known."
            )
            return [Section(id=NAME, title=TITLE, missing=why)]
        return [self._section(both[np.lexsort((both[:, 1], both[:, 0]))], counts)]

    def _section(self, both: Floats, counts: dict[str, int]) -> Section:
        import numpy as np

        from waystage_plugins.monitors.statistics import regression

        found = regression.errors((float(p), float(t)) for p, t in both)
        if not found.finite:
            why = "The predictions or the true values are so large that no curve can be drawn."
            return Section(id=NAME, title=TITLE, missing=why)
        low, high = regression.rmse_interval(found)
        error = both[:, 1] - both[:, 0]
        bias, r2 = float(error.mean()), found.r2 if found.spread > 0 else None
        explained = "" if r2 is None else f" R² is {r2:.3f}."
        rough = "" if len(both) >= FEW else f" It stands on {len(both):,} requests only."
        side = "above" if bias > 0 else "below"
        about = (
            f"Predictions and true values of {len(both):,} requests differ by {found.rmse:.4g} "
            f"(RMSE, 95% interval {low:.4g} to {high:.4g}).{explained} True values lie "
            f"{abs(bias):.4g} {side} the predictions on average.{rough}"
        )
        facts: Facts = {"rmse": found.rmse, "low": low, "high": high, "r2": r2, "bias": bias,
                        "method": "hall", **counts}  # fmt: skip
        bins = binned(both, self.bins)
        seen = np.ascontiguousarray(both, dtype="<f8").tobytes()
        return Section(id=NAME, title=TITLE, about=about, facts=facts,
                       figures=(_reliability(bins), _spread(error, self.bars)),
                       tables=(_table(bins),),
                       digest=f"sha256:{hashlib.sha256(seen).hexdigest()}")  # fmt: skip


def binned(both: Floats, count: int) -> list[Bin]:
    """Put (predicted, true) pairs, in the order of predictions, into bins of about as many."""
    import numpy as np
    from scipy.special import stdtrit

    _, place = np.unique(both[:, 0], return_inverse=True)
    sizes = np.bincount(place)
    middle = np.cumsum(sizes) - sizes / 2
    number = np.minimum((middle / len(both) * count).astype(np.int64), count - 1)[place]
    found = []
    for each in np.unique(number):
        mine = both[number == each]
        mean = mine.mean(axis=0)
        half = 0.0
        if len(mine) > 1:
            half = float(stdtrit(len(mine) - 1, 0.975) * mine[:, 1].std(ddof=1) / len(mine) ** 0.5)
        true = float(mean[1])
        found.append(Bin(len(mine), float(mean[0]), true, true - half, true + half))
    return found


def _reliability(bins: Sequence[Bin]) -> Figure:
    least = min(min(each.predicted, each.low) for each in bins)
    most = max(max(each.predicted, each.high) for each in bins)
    room = 0.05 * ((most - least) or abs(most) or 1.0)
    ends = (least - room, most + room)
    return Figure(
        title="Predicted and true",
        about=(
            f"The mean true value of {len(bins)} bins of predictions, with its interval. On the "
            "dashed line it is as predicted; above it, more came than was predicted."
        ),
        square=True,
        x=Axis(title="mean prediction", low=ends[0], high=ends[1]),
        y=Axis(title="mean true value", low=ends[0], high=ends[1]),
        series=(
            Series(name="as predicted", tone="reference", x=ends, y=ends),
            Series(
                name="true, with 95% interval", form="points",
                x=tuple(each.predicted for each in bins), y=tuple(each.true for each in bins),
                low=tuple(each.low for each in bins), high=tuple(each.high for each in bins),
                label=tuple(f"{each.rows:,} requests" for each in bins),
            ),
        ),
    )  # fmt: skip


def _spread(error: Floats, bars: int) -> Figure:
    """Draw how many requests have which error; the farthest share the bars at the ends."""
    import numpy as np

    low, high = (float(each) for each in np.quantile(error, (TAIL, 1 - TAIL)))
    room = (high - low) or abs(high) or 1.0
    edges = np.linspace(low - room / 100, high + room / 100, bars + 1)
    shares = np.histogram(np.clip(error, edges[0], edges[-1]), edges)[0] / len(error)
    points = [(float(edges[0]), 0.0)]
    for place, share in enumerate(shares.tolist()):
        points += [(float(edges[place]), share), (float(edges[place + 1]), share)]
    points.append((float(edges[-1]), 0.0))
    return Figure(
        title="Errors",
        about=(
            "How large the errors are (true less predicted), as shares of the requests. Half a "
            "percent at each end is put into the outermost steps."
        ),
        x=Axis(title="true less predicted"),
        y=Axis(title="share of requests", low=0, unit="share"),
        series=(
            Series(name="requests", x=tuple(x for x, _ in points), y=tuple(y for _, y in points)),
            Series(name="no error", tone="reference", x=(0.0, 0.0),
                   y=(0.0, float(shares.max()))),
        ),
    )  # fmt: skip


def _table(bins: Sequence[Bin]) -> Table:
    names = ("bin", "predicted", "true", "low", "high", "requests")
    rows = tuple(
        (number, each.predicted, each.true, each.low, each.high, each.rows)
        for number, each in enumerate(bins, 1)
    )
    return Table(title="Predicted and true by bin", columns=names, rows=rows)
