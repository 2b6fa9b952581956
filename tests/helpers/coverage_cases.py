"""All cases that docs/coverage.md tells of: the usual populations, decays, and corners."""

from __future__ import annotations

from math import inf

import numpy as np
from populations import (
    NORMAL,
    Case,
    Found,
    Interval,
    Probabilities,
    Random,
    auc_of,
    fairness_of,
    gain_of,
    ks_of,
    two_normals,
    usual_cases,
)

from waystage.plugin import Measurement
from waystage_plugins.monitors import DecayMonitor
from waystage_plugins.monitors.statistics import auc, bootstrap
from waystage_plugins.monitors.statistics.counts import Counts
from waystage_plugins.monitors.statistics.ks import ks

FIVE = ((0.1, 0.1, 0.2, 0.3, 0.3), (0.3, 0.3, 0.2, 0.1, 0.1))  # shares of events, of others
TWO = ((0.1, 0.9), (0.95, 0.05))


def rated_auc_of(
    shares: tuple[tuple[float, ...], tuple[float, ...]], events: int, others: int
) -> Case:
    """Case of the AUC of a few ratings."""
    p, q = map(np.array, shares)
    truth = float(p @ (np.cumsum(q) - q / 2))

    def window(random: Random) -> tuple[Interval, float]:
        counts = Counts(random.multinomial(events, p), random.multinomial(others, q))
        return auc.interval(auc.auc(counts), counts), truth

    return Case("auc, gini", f"{len(p)} ratings, AUC {truth:.3f}, {events} and {others}", window)


def decay_of(metric: str, of: str, then: Probabilities, now: Probabilities) -> Case:
    """Case of the decay of a metric between windows of two populations."""
    before, after = (float(each.truth()[metric]) for each in (then, now))

    def window(random: Random) -> tuple[Interval, float]:
        first, second = then.drawn(metric, random), now.drawn(metric, random)
        return lost(metric, of, first, second), true_loss(metric, of, before, after)

    where = f"{of}, {metric} {before:.3f} to {after:.3f}, {then.size} requests each"
    return Case("decay", where, window)


def normal_decay_of(metric: str, of: str, then: float, now: float, size: int) -> Case:
    """Case of the decay of an AUC or a KS, from one shift of two normals to another."""

    def truth(shift: float) -> float:
        return NORMAL.cdf(shift / 2**0.5) if metric == "auc" else 2 * NORMAL.cdf(shift / 2) - 1

    def drawn(random: Random, shift: float) -> Found:
        counts = two_normals(random, shift, size, size)
        if metric == "auc":
            area = auc.auc(counts)
            return area.value, auc.interval(area, counts)
        return ks(counts).value, bootstrap.interval(counts)

    def window(random: Random) -> tuple[Interval, float]:
        first, second = drawn(random, then), drawn(random, now)
        return lost(metric, of, first, second), true_loss(metric, of, truth(then), truth(now))

    told = f"{metric.upper()} {truth(then):.3f} to {truth(now):.3f}"
    return Case("decay", f"{of}, {told}, {size} and {size}", window)


def true_loss(metric: str, of: str, before: float, after: float) -> float:
    """Give the decay between two truths; the Brier score is better when lower."""
    found = before - after if of == "absolute" else 1 - after / before
    return -found if metric == "brier" else found


def lost(metric: str, of: str, then: Found, now: Found) -> Interval:
    """Give the interval of the decay as the monitor tells it; where it tells none, everything."""
    part = {"use": f"performance.{metric}"}
    monitor = DecayMonitor.model_validate({"metric": part, "of": of})
    today = Measurement(value=now[0], low=now[1][0], high=now[1][1])
    kept = {"value": then[0], "low": then[1][0], "high": then[1][1], "source": "first"}
    found = monitor._measured(today, kept)
    return (
        -inf if found.low is None else found.low,
        inf if found.high is None else found.high,
    )


def decays() -> list[Case]:
    """Give the cases of `decay`: where a metric got worse, and where it stayed."""
    usual, weak = Probabilities(-1.0, 1.0, 2000), Probabilities(-1.0, 0.6, 2000)
    return [
        normal_decay_of("auc", "absolute", 1.5, 1.0, 200),
        normal_decay_of("auc", "relative", 1.5, 1.0, 200),
        normal_decay_of("auc", "relative", 1.0, 1.0, 200),
        normal_decay_of("ks", "absolute", 1.5, 1.0, 200),
        normal_decay_of("ks", "relative", 1.5, 1.0, 200),
        normal_decay_of("ks", "relative", 0.8, 0.8, 1000),
        *(decay_of(metric, of, usual, weak)
          for metric in ("lift", "brier", "f1", "accuracy") for of in ("absolute", "relative")),
        *(decay_of(metric, "relative", usual, usual) for metric in ("lift", "brier")),
    ]  # fmt: skip


def corners() -> list[Case]:
    """Give cases of few events, of one in a hundred, of scores that are all alike or nearly."""
    one_of_100 = Probabilities(-5.2, 1.2, 3000, cut=0.02)
    truth = one_of_100.truth()
    return [
        auc_of(0, 10, 990), auc_of(1, 5, 495), auc_of(2.5, 5, 495), auc_of(2.5, 10, 990),
        auc_of(3.5, 10, 990), auc_of(2.5, 30, 2970), auc_of(3.5, 100, 9900), auc_of(1, 30, 30),
        rated_auc_of(FIVE, 10, 990), rated_auc_of(TWO, 10, 990), rated_auc_of(TWO, 200, 2000),
        ks_of(0, 10, 990), ks_of(1, 10, 990), ks_of(1, 30, 2970), ks_of(3, 30, 2970),
        *(one_of_100.case(name, truth[name]) for name in truth if name != "ks"),
        fairness_of(0.02, 0.05, 50),
        *(gain_of(name, how, (0.9, 0.4), 20, 980)
          for name in ("AUC", "KS", "Brier") for how in ("paired", "apart")),
        *(gain_of(name, "apart", (0.5, 0.5), 200, 800, fewer=10)
          for name in ("AUC", "KS", "Brier")),
        gain_of("KS", "apart", (9.0, 9.0), 500, 2000, fewer=10),  # both next to useless
        *(gain_of("KS", how, (9.0, 0.4), 100, 400) for how in ("paired", "apart")),
    ]  # fmt: skip


def all_cases() -> list[Case]:
    """Give all of them, intervals of one kind together."""
    found = [*usual_cases(), *decays(), *corners()]
    order = list(dict.fromkeys(case.interval for case in found))
    return sorted(found, key=lambda case: order.index(case.interval))


CASES = all_cases()
