"""Looks that are declared: all of them together err no more often than one would."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import multivariate_normal, norm

from waystage_plugins.monitors.looks import Look, Spending, level_of, numbered, place_of
from waystage_plugins.monitors.statistics.paired import Pairs, auc_gain
from waystage_plugins.monitors.statistics.spending import FARTHEST, bound, spent

ALPHA = 0.025
BOTH: tuple[Spending, ...] = ("obrien_fleming", "pocock")
AT = datetime(2026, 1, 1, tzinfo=UTC)


def bounds(information: list[float], how: Spending, looks: int | None = None) -> list[float]:
    of = looks or len(information)
    shares = [spent(ALPHA, number / of, how) for number in range(1, len(information) + 1)]
    return [bound(information[:n], shares[:n]) for n in range(1, len(information) + 1)]


def integrated(information: list[float], shares: list[float]) -> list[float]:
    """Find bounds another way: sums, not z; Gauss and Legendre's nodes, Brent's root.

    Recursive integration over what has not crossed yet (Jennison and Turnbull, 2000, chapter 19).
    """
    nodes, weights = np.polynomial.legendre.leggauss(120)
    found: list[float] = []
    at, mass, before = np.zeros(1), np.ones(1), 0.0  # the sum is 0 before the first look
    for amount, share in zip(information, np.diff(shares, prepend=0.0), strict=True):
        step = (amount - before) ** 0.5

        def crossed(z: float) -> float:
            return float(mass @ norm.sf((z * amount**0.5 - at) / step) - share)  # noqa: B023  # called within the round

        found.append(float(brentq(crossed, -8, 9, xtol=1e-12)))
        low, high = -9 * amount**0.5, found[-1] * amount**0.5
        sums = (high - low) / 2 * nodes + (high + low) / 2
        density = norm.pdf((sums[:, None] - at) / step) / step @ mass
        at, mass, before = sums, density * weights * (high - low) / 2, amount
    return found


@pytest.mark.parametrize("how", BOTH)
@pytest.mark.parametrize(
    "information", [[1, 2, 3, 4, 5], [40, 300, 330, 2000, 9000], list(range(1, 11))], ids=str
)
def test_bounds_spend_what_was_declared(how: Spending, information: list[float]) -> None:
    looks = len(information)
    shares = [spent(ALPHA, number / looks, how) for number in range(1, looks + 1)]
    expected = integrated(information, shares)
    found = bounds(information, how)
    # no bound lies beyond FARTHEST, where next to nothing is spent
    assert found == pytest.approx(np.minimum(expected, FARTHEST), abs=2e-4)
    # and a third way: by the distribution of all looks together, without any recursion
    first = information[:4]
    tied = [[(min(a, b) / max(a, b)) ** 0.5 for a in first] for b in first]
    kept = multivariate_normal(cov=tied, seed=1).cdf(found[:4])
    assert 1 - kept == pytest.approx(shares[3], abs=2e-5)


def test_one_look_is_no_stricter_than_an_interval() -> None:
    for how in BOTH:
        assert bounds([7], how) == pytest.approx([1.959964], abs=1e-5)


@pytest.mark.parametrize("how", BOTH)
@pytest.mark.parametrize(
    "information", [[1, 2, 3, 4], [1, 1.2, 5, 5.5], [40, 300, 310, 2000, 2001, 9000]], ids=str
)
def test_a_model_that_is_no_better_is_promoted_no_more_often_than_declared(
    how: Spending, information: list[float]
) -> None:
    """200,000 simulated comparisons of a gain that is nothing, as sums of independent parts."""
    random, trials = np.random.default_rng(5), 200_000
    parts = np.diff([0.0, *information])
    scores = np.cumsum(random.normal(size=(trials, len(parts))) * np.sqrt(parts), axis=1)
    crossed = scores / np.sqrt(information) > bounds(information, how)
    rate, chance = crossed.any(axis=1).mean(), (ALPHA * (1 - ALPHA) / trials) ** 0.5
    assert rate <= ALPHA + 4 * chance
    assert rate > 0.8 * ALPHA, "so strict that nobody would ever win"
    if how == "pocock":
        naive = (scores / np.sqrt(information) > 1.96).any(axis=1).mean()
        assert naive > 1.5 * ALPHA, "without bounds looking again and again does err more often"


def test_two_thousand_comparisons_of_equal_models_promote_within_the_declared_error() -> None:
    """The step's own arithmetic: growing windows of real scores, four looks, DeLong's interval."""
    random, trials, looks, size = np.random.default_rng(11), 2000, 4, 60
    promoted = 0
    # how strict a look is depends on how much the data tell, which is the same in all trials
    levels = []
    looked: list[Look] = []
    for number in range(1, looks + 1):
        now = Look(number=number, start=AT, end=AT, data=str(number), information=number * 30.0)
        looked = [*looked, now]
        levels.append(level_of(looked, looks, 1 - 2 * ALPHA, "obrien_fleming"))
    event = np.tile([0, 1], size * looks // 2)
    for _ in range(trials):
        truth = random.normal(size=size * looks) + event
        champion, challenger = (truth + random.normal(size=size * looks) for _ in range(2))
        for number, level in enumerate(levels, start=1):
            kept = slice(number * size)
            if auc_gain(Pairs(champion[kept], challenger[kept], event[kept]), level).low > 0:
                promoted += 1
                break
    assert promoted / trials <= ALPHA + 3 * (ALPHA * (1 - ALPHA) / trials) ** 0.5
    assert promoted / trials > ALPHA / 4


@given(
    st.lists(st.floats(0.01, 1e6), min_size=1, max_size=8),
    st.sampled_from(BOTH),
    st.integers(0, 20),
)
def test_no_data_make_a_look_less_strict_than_one_alone(
    information: list[float], how: Spending, more: int
) -> None:
    looks = len(information) + more
    for found in bounds(information, how, looks)[:-1]:
        assert found >= 1.9599
    shares = [spent(ALPHA, n / looks, how) for n in range(1, looks + 1)]
    assert shares == sorted(shares)
    assert shares[-1] == ALPHA


def test_data_that_were_looked_at_are_no_other_look() -> None:
    first = Look(number=1, start=AT, end=AT, data="sha256:a", information=10)
    assert place_of([first], "sha256:a") == 1
    assert place_of([first], "sha256:b") == 2
    assert numbered([first], [first]) == [first]
    later = first.model_copy(update={"data": "sha256:b"})
    assert [look.data for look in numbered([first], [later])] == ["sha256:b", "sha256:a"]
    assert [look.number for look in numbered([first], [later])] == [1, 2]


@pytest.mark.parametrize("how", BOTH)
def test_windows_that_do_not_grow_out_of_each_other_err_no_more_often_than_declared(
    how: Spending,
) -> None:
    """Two runs of two looks each, on requests of their own: 200,000 simulated gains of nothing."""
    random, trials = np.random.default_rng(6), 200_000
    runs = [np.cumsum(random.normal(size=(trials, 2)) * [1, parts**0.5], axis=1) / [1, total**0.5]
            for parts, total in ((1, 2), (3, 4))]  # fmt: skip
    shares = [spent(ALPHA, number / 4, how) for number in range(1, 5)]
    crossed = np.zeros(trials, bool)
    for look in range(4):
        grown = [number % 2 == 1 for number in range(look + 1)]
        edge = bound([1, 2, 1, 4][: look + 1], shares[: look + 1], grown)
        crossed |= runs[look // 2][:, look % 2] > edge
    assert 0.8 * ALPHA < crossed.mean() <= ALPHA + 4 * (ALPHA / trials) ** 0.5


def test_who_declares_more_looks_afterwards_has_no_more_error_left() -> None:
    """The first used all of it up; what would be spent later is less, and nothing is refunded."""
    declared = {"start": AT, "end": AT, "confidence": 1 - 2 * ALPHA, "spending": "pocock"}
    told = [{"number": n, "data": str(n), "information": n, "looks": looks}
            for n, looks in ((1, 1), (2, 8), (3, 8))]  # fmt: skip
    looked = [Look.model_validate(each | declared) for each in told]
    level = level_of(looked[:1], 8, 1 - 2 * ALPHA, "pocock")
    assert level == pytest.approx(1 - 2 * ALPHA)
    for number in (2, 3):
        assert level_of(looked[:number], 8, 1 - 2 * ALPHA, "pocock") > 1 - 1e-11


def test_a_window_that_begins_elsewhere_is_held_to_a_stricter_bound() -> None:
    first = Look(number=1, start=AT, end=AT, data="a", information=1)
    grown = Look(number=2, start=AT, end=AT, data="b", information=4)
    other = grown.model_copy(update={"start": AT + timedelta(days=30)})
    tied, loose = (level_of([first, look], 2, 0.95, "pocock") for look in (grown, other))
    assert tied < loose
    # it has what is left of the error for itself
    assert (1 - loose) / 2 == pytest.approx(ALPHA - spent(ALPHA, 0.5, "pocock"), rel=1e-6)
