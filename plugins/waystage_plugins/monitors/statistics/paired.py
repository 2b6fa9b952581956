"""Two models on the same labelled requests: the gain of one over the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, sqrt
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from waystage_plugins.monitors.statistics.auc import auc
from waystage_plugins.monitors.statistics.bootstrap import RESAMPLES, drawn, generator
from waystage_plugins.monitors.statistics.counts import (
    Floats,
    Integers,
    ranked,
    raw,
    shares,
)
from waystage_plugins.monitors.statistics.ks import ks
from waystage_plugins.monitors.statistics.shares import t, together, z

GROUPS = 256  # per model; more distinct scores are merged for the resamples, never for the values
AT_ONCE = 2_000_000  # numbers drawn at once, so that memory stays below some 50 MB
BEYOND = 10  # resamples that must lie beyond a percentile for it to be believed


@dataclass(frozen=True, slots=True)
class Pairs:
    """One row per request: the scores of both models, both finite, and what became of it."""

    champion: Floats
    challenger: Floats
    event: Integers

    @property
    def identical(self) -> bool:
        """Whether the models answered every request alike."""
        return bool((self.champion == self.challenger).all())


@dataclass(frozen=True, slots=True)
class Gain:
    """Both values, the challenger's gain over the champion, and the gain's interval.

    A gain is above 0 where the challenger does better, whichever way the values go.
    """

    champion: float
    challenger: float
    gain: float
    low: float
    high: float


def auc_gain(pairs: Pairs, level: float = 0.95) -> Gain:
    """Give the difference of two AUC with its paired interval: DeLong's variance, t's quantile."""
    champion, challenger, variance, freedom = delong(pairs)
    reach = t(freedom, level) * sqrt(variance)
    return around(champion, challenger, challenger - champion - reach,
                  challenger - champion + reach)  # fmt: skip


def delong(pairs: Pairs) -> tuple[float, float, float, float]:
    """Give both AUC, the variance of their difference (DeLong et al., 1988), and its freedom."""
    champion, events, nonevents = _placements(pairs.champion, pairs.event)
    challenger, its_events, its_nonevents = _placements(pairs.challenger, pairs.event)
    apart = its_events - events, its_nonevents - nonevents
    return champion, challenger, *together(*map(_variance, apart))


def ks_gain(pairs: Pairs, level: float = 0.95) -> Gain:
    """Give the difference of two KS with a normal interval, as it is and freed of its bias.

    The spread is that of the two gaps at the cut-offs that were found, which is no smaller than
    that of their maxima. Both KS overstate; how much of it does not cancel is told by a paired,
    stratified bootstrap: whole requests are drawn, events and non-events apart. What is freed of
    a bias that is itself an estimate spreads more (Efron and Tibshirani, 1993, section 10.6), by
    a sixth with twenty events, so the interval reaches as far as either.
    """
    champion, challenger = (_ks(scores, pairs) for scores in (pairs.champion, pairs.challenger))
    gain = challenger - champion
    if pairs.identical:
        return Gain(champion, challenger, gain, gain, gain)
    bins = _bins(pairs.champion, pairs.event), _bins(pairs.challenger, pairs.event)
    differences = _resampled_differences(*bins, pairs.event)
    bias = float(differences.mean()) - (_ks(bins[1], pairs) - _ks(bins[0], pairs))
    apart = _below(pairs.champion, pairs.event) - _below(pairs.challenger, pairs.event)
    if not apart.any() and not differences.any():  # both rank all requests alike
        return Gain(champion, challenger, gain, gain, gain)
    at_cuts, freedom = together(
        *(_variance_of_moves(apart[pairs.event == kind]) for kind in (1, 0))
    )
    reach = t(freedom, level) * max(sqrt(at_cuts), float(differences.std(ddof=1)))
    low, high = gain - reach - max(bias, 0.0), gain + reach - min(bias, 0.0)
    return around(champion, challenger, low, high)


def around(champion: float, challenger: float, low: float, high: float) -> Gain:
    """Give the gain with this interval, which holds the gain and lies within -1 and 1."""
    gain = challenger - champion
    return Gain(champion, challenger, gain, max(min(low, gain), -1.0), min(max(high, gain), 1.0))


def gini_gain(pairs: Pairs, level: float = 0.95) -> Gain:
    """Give the difference of two Gini coefficients, 2 · AUC − 1, with the AUC's interval."""
    return of_gini(auc_gain(pairs, level))


def of_gini(found: Gain) -> Gain:
    """Give the gain in Gini that a gain in AUC is."""
    return Gain(
        2 * found.champion - 1, 2 * found.challenger - 1, 2 * found.gain, 2 * found.low,
        2 * found.high,
    )  # fmt: skip


def brier_gain(pairs: Pairs, level: float = 0.95) -> Gain:
    """Give by how much the Brier score falls, with the interval of a stratified bootstrap.

    Whole requests are drawn, events and non-events apart, as for KS.
    """
    before, after = (pairs.champion - pairs.event) ** 2, (pairs.challenger - pairs.event) ** 2
    champion, challenger = float(before.mean()), float(after.mean())
    gain = champion - challenger
    if pairs.identical:
        return Gain(champion, challenger, 0.0, 0.0, 0.0)
    random = generator(pairs.event, np.rint((before - after) * 1e12).astype(np.int64))
    parts = [(before - after)[pairs.event == kind] for kind in (1, 0)]
    means = sum(_resampled_sums(random, part) for part in parts if len(part)) / len(pairs.event)
    low, high = ends(np.asarray(means), level)
    return Gain(champion, challenger, gain, max(min(low, gain), -1.0), min(max(high, gain), 1.0))


def ends(draws: Floats, level: float) -> tuple[float, float]:
    """Give the ends of an interval by resampled values.

    They are percentiles where enough resamples lie beyond them, and farther out those of the
    normal distribution with the resamples' moments: resamples do not reach there.
    """
    if (1 - level) / 2 * len(draws) >= BEYOND:
        low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
        return float(low), float(high)
    middle, reach = float(draws.mean()), z(level) * float(draws.std(ddof=1))
    return middle - reach, middle + reach


def _resampled_sums(random: np.random.Generator, values: Floats) -> Floats:
    """Draw as many of the values as there are, with replacement, many times; give the sums."""
    size, step = len(values), max(1, AT_ONCE // len(values))
    sums = np.zeros(RESAMPLES)
    for start in range(0, RESAMPLES, step):
        rows = slice(start, min(start + step, RESAMPLES))
        sums[rows] = values[random.integers(size, size=(rows.stop - rows.start, size))].sum(axis=1)
    return sums


def _ks(scores: ArrayLike, pairs: Pairs) -> float:
    return ks(ranked(scores, pairs.event)).value


def _below(scores: Floats, event: Integers) -> Floats:
    """Give 1 for each row that is not above the cut-off of the largest gap, and 0 for others."""
    found = ks(ranked(scores, event))
    below = found.events_below + found.nonevents_below
    if below == 0:
        return np.zeros(len(scores))
    flags: Floats = (scores <= np.partition(scores, below - 1)[below - 1]).astype(np.float64)
    return flags


def _placements(scores: Floats, event: Integers) -> tuple[float, Floats, Floats]:
    """Give the AUC and, per event and per non-event, the share of the others it is right of."""
    _, group = np.unique(scores, return_inverse=True)
    counts = raw(scores, event)
    above = (np.cumsum(counts.nonevents) - counts.nonevents / 2) / counts.n_nonevents
    below = 1 - (np.cumsum(counts.events) - counts.events / 2) / counts.n_events
    return auc(counts).value, above[group[event == 1]], below[group[event == 0]]


def _variance(difference: Floats) -> tuple[float, float]:
    """Give the variance of the mean, and its degrees of freedom; of one row nothing is known."""
    if len(difference) < 2:
        return inf, inf
    return float(difference.var(ddof=1) / len(difference)), len(difference) - 1


def _variance_of_moves(moves: Floats) -> tuple[float, float]:
    """Give the variance of the mean of what is 1, -1 or 0, and its degrees of freedom.

    Half a row more of either way and one of none (Agresti and Min, 2005): few rows that all stay
    where they are prove nothing.
    """
    size = len(moves) + 2
    mean, square = moves.sum() / size, (moves @ moves + 1) / size
    return float(square - mean**2) / size, max(len(moves) - 1, 1)


def _bins(scores: Floats, event: Integers) -> NDArray[np.intp]:
    """Give each row the number of its group, in score order, at most `GROUPS` of them."""
    distinct, group = np.unique(scores, return_inverse=True)
    counts = raw(scores, event)
    return shares(counts, GROUPS)[group] if len(distinct) > GROUPS else group


def _resampled_differences(
    champion: NDArray[np.intp], challenger: NDArray[np.intp], event: Integers
) -> Floats:
    """Draw the cells (champion's group × challenger's group) of each class anew, many times."""
    cells, of_row = np.unique(champion * GROUPS + challenger, return_inverse=True)
    events = np.bincount(of_row, weights=event, minlength=len(cells)).astype(np.int64)
    nonevents = np.bincount(of_row, minlength=len(cells)) - events
    random = generator(cells, events, nonevents)
    of_events = _resampled_shares(random, cells[events > 0], events[events > 0])
    of_nonevents = _resampled_shares(random, cells[nonevents > 0], nonevents[nonevents > 0])
    # per model and resample; the last group holds both shares at 1, so this is never below 0
    highest: Floats = (of_nonevents - of_events).max(axis=2)
    gains: Floats = highest[1] - highest[0]
    return gains


def _resampled_shares(
    random: np.random.Generator, cells: NDArray[np.intp], counts: Integers
) -> Floats:
    """Give, per model and resample, the share of one class up to each group."""
    size, step = int(counts.sum()), max(1, AT_ONCE // len(cells))
    below = np.zeros((2, RESAMPLES, GROUPS))
    for start in range(0, RESAMPLES, step):
        rows = slice(start, min(start + step, RESAMPLES))
        again = drawn(random, counts, rows.stop - rows.start)
        for model, group in enumerate((cells // GROUPS, cells % GROUPS)):
            below[model, rows] = np.cumsum(_sums(again, group), axis=1) / size
    return below


def _sums(drawn: Integers, group: NDArray[np.intp]) -> Floats:
    """Add up the columns of each group; groups without a column stay 0."""
    order = np.argsort(group, kind="stable")
    present, first = np.unique(group[order], return_index=True)
    sums = np.zeros((len(drawn), GROUPS))
    sums[:, present] = np.add.reduceat(drawn[:, order], first, axis=1)
    return sums


Compare: TypeAlias = Callable[[Pairs, float], Gain]
GAINS: dict[str, Compare] = {
    "auc": auc_gain, "gini": gini_gain, "ks": ks_gain, "brier": brier_gain
}  # fmt: skip
