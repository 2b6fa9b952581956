"""Populations whose truth is known, and how the intervals of the monitors do on windows of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from waystage_plugins.monitors import (
    Chi2Monitor,
    DriftKsMonitor,
    JsMonitor,
    PsiMonitor,
    WassersteinMonitor,
)
from waystage_plugins.monitors.drifting import DriftMonitor
from waystage_plugins.monitors.profile import Cells, edges_of
from waystage_plugins.monitors.statistics import (
    auc,
    bootstrap,
    brier,
    calibration,
    confusion,
    lift,
    mannwhitney,
    paired,
    rates,
    regression,
    unpaired,
)
from waystage_plugins.monitors.statistics import divergence as d
from waystage_plugins.monitors.statistics.counts import Counts, Floats, raw
from waystage_plugins.monitors.statistics.ks import ks
from waystage_plugins.monitors.statistics.shares import wilson

Random: TypeAlias = np.random.Generator
Interval: TypeAlias = tuple[float, float]
Found: TypeAlias = tuple[float, Interval]  # a value and its interval
Window: TypeAlias = Callable[[Random], tuple[Interval, float]]
NORMAL = NormalDist()


@dataclass(frozen=True)
class Case:
    """One interval on one population; `window` draws a window: its interval, and the truth."""

    interval: str
    population: str
    window: Window

    def missed(self, random: Random, times: int) -> NDArray[np.int64]:
        """Give, for each of so many windows, -1 below the truth, 1 above it, 0 if it held it."""
        found = np.zeros(times, np.int64)
        for number in range(times):
            (low, high), truth = self.window(random)
            # an end that is the truth but for rounding holds it
            found[number] = int(low > truth + 1e-12) - int(high < truth - 1e-12)
        return found


# scores of two normal distributions, a shift apart


def two_normals(random: Random, shift: float, events: int, others: int) -> Counts:
    """Draw non-events of N(0, 1) and events of N(shift, 1)."""
    scores = np.concatenate([random.normal(shift, 1, events), random.normal(0, 1, others)])
    return raw(scores, np.repeat([1, 0], [events, others]))


def auc_of(shift: float, events: int, others: int) -> Case:
    """Case of the AUC, which is Φ(shift / √2)."""
    truth = NORMAL.cdf(shift / 2**0.5)

    def window(random: Random) -> tuple[Interval, float]:
        counts = two_normals(random, shift, events, others)
        return auc.interval(auc.auc(counts), counts), truth

    return Case("auc, gini", f"two normals, AUC {truth:.3f}, {events} and {others}", window)


def ks_of(shift: float, events: int, others: int) -> Case:
    """Case of KS, which is 2 Φ(shift / 2) − 1."""
    truth = 2 * NORMAL.cdf(shift / 2) - 1

    def window(random: Random) -> tuple[Interval, float]:
        return bootstrap.interval(two_normals(random, shift, events, others)), truth

    return Case("ks", f"two normals, KS {truth:.3f}, {events} and {others}", window)


def rated_ks_of(events: list[float], others: list[float], size: int) -> Case:
    """Case of KS of a few ratings with these shares."""
    p, q = np.array(events), np.array(others)
    truth = float(max((np.cumsum(q) - np.cumsum(p)).max(), 0))

    def window(random: Random) -> tuple[Interval, float]:
        drawn = Counts(random.multinomial(size, p), random.multinomial(size, q))
        return bootstrap.interval(drawn), truth

    return Case("ks", f"{len(events)} ratings, KS {truth:.3f}, {size} and {size}", window)


# probabilities, too low by a power, and events as often as they say


@dataclass(frozen=True)
class Probabilities:
    """Scores that are chances to the power of 1.2; logits of the chances are normal."""

    level: float
    spread: float
    size: int
    cut: float = 0.2
    top: float = 0.1

    def chances(self, random: Random, size: int) -> Floats:
        """Draw chances of the event, ascending."""
        drawn: Floats = 1 / (1 + np.exp(-(self.level + self.spread * random.normal(size=size))))
        return np.sort(drawn)

    def truth(self) -> dict[str, float]:
        """Give what the statistics are in two million chances."""
        chances = self.chances(np.random.default_rng(1), 2_000_000)
        scores, rate = chances**1.2, chances.mean()
        called = scores >= self.cut
        at_top = scores >= np.quantile(scores, 1 - self.top)
        # events rise with the score, so the AUC is the mean rank of events among non-events
        below = np.cumsum(1 - chances) - (1 - chances) / 2
        return {
            "auc": float((chances * below).sum() / (chances.sum() * (1 - chances).sum())),
            "ks": float(np.max(np.cumsum(1 - chances) / (1 - chances).sum()
                               - np.cumsum(chances) / chances.sum())),
            "brier": float(np.mean(chances * (1 - scores) ** 2 + (1 - chances) * scores**2)),
            "accuracy": float(np.mean(np.where(called, chances, 1 - chances))),
            "f1": float(2 * np.mean(chances * called) / (called.mean() + rate)),
            "lift": float(np.mean(chances * at_top) / rate / at_top.mean()),
        }  # fmt: skip

    def measured(self, name: str, score: Floats, counts: Counts) -> Found:
        """Give a statistic with its interval."""
        if name == "auc":
            area = auc.auc(counts)
            return area.value, auc.interval(area, counts)
        if name == "ks":
            return ks(counts).value, bootstrap.interval(counts)
        if name == "brier":
            missed = brier.brier(score, counts)
            return missed.value, brier.interval(missed)
        if name == "lift":
            top = lift.lift(counts, self.top)
            return top.value, lift.interval(top, counts, self.top)
        cut = confusion.confusion(score, counts, self.cut)
        if name == "f1":
            return cut.f1, confusion.f1_interval(cut)
        return cut.accuracy, confusion.accuracy_interval(cut)

    def drawn(self, name: str, random: Random) -> Found:
        """Draw a window; give a statistic of it with its interval."""
        chances = self.chances(random, self.size)
        event = (random.random(self.size) < chances).astype(np.int64)
        return self.measured(name, chances**1.2, Counts(event, 1 - event))

    def case(self, name: str, truth: float) -> Case:
        """Give the case of one statistic."""

        def window(random: Random) -> tuple[Interval, float]:
            return self.drawn(name, random)[1], truth

        rate = self.chances(np.random.default_rng(1), 100_000).mean()
        where = f"{self.size} requests, {rate:.0%} events, truth {truth:.3f}"
        return Case("auc, gini" if name == "auc" else name, where, window)


def calibration_of(error: float, size: int) -> Case:
    """Case of the calibration error of ten bins that are off by so much, half of them by half."""

    def window(random: Random) -> tuple[Interval, float]:
        chances = np.repeat(np.linspace(0.05, 0.65, 10), size // 10)
        score = chances + error * np.where(chances > 0.3, 1, 0.5)
        event = (random.random(size) < chances).astype(np.int64)
        bins = calibration.binned(score, Counts(event, 1 - event), 10)
        return calibration.interval(bins), float(np.abs(score - chances).mean())

    return Case("calibration", f"off by up to {error:g}, {size} requests", window)


# regressions


def regression_of(name: str, noise: str, size: int) -> Case:
    """Case of RMSE or R² of predictions that are off by noise of variance 0.49."""

    def window(random: Random) -> tuple[Interval, float]:
        predicted = random.normal(size=size)
        off = {
            "normal": lambda: random.normal(0, 0.7, size),
            "Laplace": lambda: random.laplace(0, 0.7 / 2**0.5, size),
            "uneven": lambda: random.normal(0, 1, size) * 0.7 * np.abs(predicted),
        }[noise]()
        true = predicted + off
        found = regression._around_mean(regression._powers(off, true) / size, size, 0.0)
        if name == "rmse":
            return regression.rmse_interval(found), 0.7
        return regression.r2_interval(found), 1 - 0.49 / 1.49

    return Case(name, f"{noise} errors, {size} requests", window)


# drift


DISTANCES: dict[str, tuple[d.Distance, type[DriftMonitor]]] = {
    "drift.psi": (d.psi, PsiMonitor), "drift.js": (d.js, JsMonitor),
    "drift.chi2": (d.cramers_v, Chi2Monitor), "drift.ks": (d.ks, DriftKsMonitor),
    "drift.wasserstein": (d.ks, WassersteinMonitor),
}  # fmt: skip


def distance_of(name: str, cells: int, tilt: float, base: int, now: int) -> Case:
    """Case of a distance over cells whose shares rise by `tilt` from the first to the last."""
    distance, monitor = DISTANCES[name]
    p = np.full(cells, 1 / cells)
    q = p * np.linspace(1 - tilt, 1 + tilt, cells)
    # V depends on the sizes: the truth is what the shares give in these sizes
    truth = float(distance(p * base, q * now))
    values = [str(cell) for cell in range(cells)]

    def window(random: Random) -> tuple[Interval, float]:
        then, today = (
            Cells(np.arange(1.0, cells), values, 1.0, np.append(random.multinomial(*of), [0, 0]))
            for of in ((base, p), (now, q))
        )
        return monitor().reach(then, today), truth

    return Case(name, f"{cells} cells, truth {truth:.3f}, {base} and {now}", window)


def frozen_of(name: str, shift: float, size: int) -> Case:
    """Case of cells that are frozen with a baseline of N(0, 1); now it is N(shift, 1).

    The truth is the distance of both distributions over the cells that were frozen; Wasserstein's
    is the shift, in the deviation that was frozen.
    """
    distance, kind = DISTANCES[name]
    monitor = kind()

    def window(random: Random) -> tuple[Interval, float]:
        drawn = random.normal(size=size)
        base = Cells(edges_of(drawn, monitor.cells), [], float(drawn.std()))
        now = base.empty()
        base.add(drawn.tolist())
        now.add((random.normal(size=size) + shift).tolist())
        if name == "drift.wasserstein":
            return monitor.reach(base, now), shift / base.spread  # in the frozen unit
        assert base.edges is not None
        then, today = (np.diff([NORMAL.cdf(edge - by) for edge in base.edges], prepend=0, append=1)
                       for by in (0.0, shift))  # fmt: skip
        return monitor.reach(base, now), float(distance(then, today))

    where = f"normal, moved by {shift:g}, {monitor.cells} frozen cells, {size} and {size}"
    return Case(name, where, window)


# shares, ratios, comparisons


def share_of(truth: float, size: int) -> Case:
    """Case of a share: Wilson's, exactly summed over what can be drawn."""

    def window(random: Random) -> tuple[Interval, float]:
        return wilson(int(random.binomial(size, truth)), size), truth

    return Case("quality.log", f"share {truth:g} of {size}", window)


def fairness_of(lower: float, higher: float, size: int) -> Case:
    """Case of the ratio of the rates of two groups."""

    def window(random: Random) -> tuple[Interval, float]:
        hits, others = random.binomial(size, [lower, higher])
        return rates.ratio_interval(int(hits), size, int(others), size), lower / higher

    return Case("fairness", f"rates {lower:g} and {higher:g} of {size} each", window)


GAINS = {"AUC": "auc", "Gini": "gini", "KS": "ks", "Brier": "brier"}


def gain_of(
    name: str, how: str, noises: tuple[float, float], events: int, others: int, fewer: int = 1
) -> Case:
    """Case of the gain of a challenger: both see one signal, each through noise of its own.

    They do so on the same requests (`paired`), or on others (`apart`), of which the challenger
    has so many times `fewer` than the champion.
    """
    truth = true_gain(name, noises, events / (events + others))
    event = np.repeat([1, 0], [events, others]).astype(np.int64)
    its = np.repeat([1, 0], [events // fewer, others // fewer]).astype(np.int64)

    def seen(signal: Floats, noise: float, random: Random) -> Floats:
        drawn: Floats = signal + random.normal(0, noise, len(signal))
        return 1 / (1 + np.exp(-drawn)) if name == "Brier" else drawn

    def window(random: Random) -> tuple[Interval, float]:
        signals = [each + random.normal(size=len(each)) for each in (event, its)]
        if how == "paired":
            both = [seen(signals[0], noise, random) for noise in noises]
            found = paired.GAINS[GAINS[name]](paired.Pairs(both[0], both[1], event), 0.95)
        else:
            scores = [seen(*of, random) for of in zip(signals, noises, strict=True)]
            champion, challenger = map(unpaired.Sample, scores, (event, its))
            found = unpaired.GAINS[GAINS[name]](champion, challenger, 0.95)
        return (found.low, found.high), truth

    against = f" against {events // fewer} and {others // fewer}" if fewer > 1 else ""
    where = f"{how}, gain {truth:.3f}, {events} and {others}{against}"
    return Case(f"gain in {name}", where, window)


def true_gain(name: str, noises: tuple[float, float], rate: float) -> float:
    """Give the gain that the noises are: events lie 1 higher, and the signal's own noise is 1."""
    if name == "Gini":
        return 2 * true_gain("AUC", noises, rate)

    def value(noise: float) -> float:
        spread = (1 + noise**2) ** 0.5
        if name == "AUC":
            return NORMAL.cdf(1 / spread / 2**0.5)
        if name == "KS":
            return 2 * NORMAL.cdf(0.5 / spread) - 1
        at = (np.arange(200_000) + 0.5) / 200_000
        z = spread * ndtri(at)
        missed = np.mean((1 - 1 / (1 + np.exp(-z - 1))) ** 2)
        return -float(rate * missed + (1 - rate) * np.mean((1 / (1 + np.exp(-z))) ** 2))

    return value(noises[1]) - value(noises[0])


def canary_of(name: str, shift: float, size: int) -> Case:
    """Case of Cliff's delta, or of the shift, of a canary whose values lie that much higher."""

    def window(random: Random) -> tuple[Interval, float]:
        found = mannwhitney.compare(random.normal(shift, 1, size), random.normal(size=size))
        if name == "effect":
            return (found.low, found.high), 2 * NORMAL.cdf(shift / 2**0.5) - 1
        return (found.shift_low, found.shift_high), shift

    return Case(f"canary.judge, {name}", f"normal, moved by {shift:g}, {size} and {size}", window)


def usual_cases() -> list[Case]:
    """Give those of populations as they are usual."""
    usual, rare = Probabilities(-1.0, 1.0, 2000), Probabilities(-2.5, 1.2, 5000)
    of_usual, of_rare = usual.truth(), rare.truth()
    both = [each.case(name, truth[name]) for name in of_usual
            for each, truth in ((usual, of_usual), (rare, of_rare))]  # fmt: skip
    return [
        auc_of(0, 50, 50), auc_of(1, 30, 300), auc_of(1, 200, 2000), auc_of(2.5, 200, 200),
        auc_of(3.5, 50, 50),
        ks_of(0, 200, 200), ks_of(0.3, 200, 200), ks_of(0.8, 200, 2000), ks_of(1.5, 200, 200),
        ks_of(3, 200, 200), rated_ks_of([0.1, 0.1, 0.2, 0.3, 0.3], [0.3, 0.3, 0.2, 0.1, 0.1], 200),
        *both,
        calibration_of(0, 2000), calibration_of(0.02, 2000), calibration_of(0.3, 2000),
        *(regression_of(name, noise, 400)
          for name in ("rmse", "r2") for noise in ("normal", "Laplace", "uneven")),
        *(distance_of(name, cells, tilt, base, now)
          for name in ("drift.psi", "drift.js", "drift.chi2", "drift.ks")
          for cells, tilt, base, now in ((10, 0, 4000, 2000), (10, 0.1, 4000, 2000),
                                         (10, 0.4, 4000, 2000), (10, 0.9, 4000, 2000),
                                         (20, 0.3, 1000, 500), (3, 0.1, 1000, 1000))),
        *(frozen_of(name, shift, 1000)
          for name in ("drift.psi", "drift.js", "drift.ks", "drift.wasserstein")
          for shift in (0.0, 0.1, 0.5, 3.0)),
        *(frozen_of("drift.psi", *far) for far in ((1.0, 200), (1.5, 1000), (2.0, 1000),
                                                   (5.0, 1000), (3.0, 10_000))),
        *(share_of(truth, size) for truth, size in ((0.01, 1000), (0.3, 200), (0.5, 1000))),
        *(fairness_of(*each) for each in ((0.3, 0.5, 200), (0.02, 0.05, 200), (0.8, 0.8, 1000))),
        *(gain_of(name, how, *of)
          for name in GAINS for how in ("paired", "apart")
          for of in (((0.9, 0.4), 250, 250), ((0.5, 0.5), 100, 400))),
        *(canary_of(name, shift, 60) for name in ("effect", "shift") for shift in (0.0, 0.5, 1.5)),
    ]  # fmt: skip
