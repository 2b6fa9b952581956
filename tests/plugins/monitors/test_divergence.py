"""Distances of two samples: their values, what never changes them, and their noise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import jensenshannon

from waystage_plugins.monitors import profile
from waystage_plugins.monitors.drift_wasserstein import _distance
from waystage_plugins.monitors.profile import Cells, edges_of
from waystage_plugins.monitors.statistics import divergence as d
from waystage_plugins.monitors.statistics.multiple import adjusted, fdr, holm
from waystage_plugins.monitors.statistics.reach import of_supremum

COUNTS = st.lists(st.integers(0, 50), min_size=4, max_size=4).filter(any).map(np.array)
ALL = [d.psi, d.js, d.ks, d.cramers_v]
VALUES = st.lists(st.integers(-20, 20).map(float), min_size=1, max_size=60)


def cells_of(base: list[float], now: list[float], bins: int = 10) -> tuple[Cells, Cells]:
    """Freeze cells of the first sample, and count both into them."""
    first = Cells(edges_of(np.array(base), bins), [], float(np.std(base)))
    second = first.empty()
    first.add(base)
    second.add(now)
    return first, second


@pytest.mark.parametrize("distance", ALL, ids=lambda each: each.__name__)
@given(COUNTS, COUNTS)
def test_the_distance_is_the_same_in_both_directions_and_0_to_itself(
    distance: d.Distance, base: np.ndarray, now: np.ndarray
) -> None:
    assert distance(base, now) == pytest.approx(distance(now, base))
    assert distance(base, base) == pytest.approx(0, abs=1e-7)
    assert distance(base, now) >= 0


@pytest.mark.parametrize("distance", [d.psi, d.js, d.ks], ids=lambda each: each.__name__)
@given(COUNTS, COUNTS, st.integers(2, 5))
def test_every_row_several_times_is_every_row_with_that_weight(
    distance: d.Distance, base: np.ndarray, now: np.ndarray, times: int
) -> None:
    assert distance(base, times * now) == pytest.approx(distance(base, now))


@pytest.mark.parametrize("distance", [d.psi, d.js, d.cramers_v], ids=lambda each: each.__name__)
@given(COUNTS, COUNTS, st.permutations(range(4)))
def test_the_order_of_cells_changes_nothing(
    distance: d.Distance, base: np.ndarray, now: np.ndarray, order: list[int]
) -> None:
    assert distance(base[order], now[order]) == pytest.approx(distance(base, now))


def test_resamples_are_one_call() -> None:
    base, now = np.array([[5, 5, 2], [1, 2, 3]]), np.array([[1, 9, 4], [3, 3, 3]])
    for distance in ALL:
        both = distance(base, now)
        assert both.tolist() == pytest.approx(
            [float(distance(b, n)) for b, n in zip(base, now, strict=True)]
        )


@given(COUNTS, COUNTS)
def test_the_jensen_shannon_distance_is_scipys(base: np.ndarray, now: np.ndarray) -> None:
    assert d.js(base, now) == pytest.approx(jensenshannon(base, now, base=2), abs=1e-7)


def test_psi_by_hand() -> None:
    # (0.6 - 0.5) ln(0.6 / 0.5) + (0.4 - 0.5) ln(0.4 / 0.5)
    assert d.psi(np.array([50, 50]), np.array([60, 40])) == pytest.approx(0.0405465)


def test_an_empty_bin_is_far_and_not_infinitely_far() -> None:
    found = d.psi(np.array([100, 0]), np.array([50, 50]))
    assert found == pytest.approx(0.5 * np.log(2) + (0.5 - 1e-4) * np.log(0.5 / 1e-4))


@given(VALUES, VALUES)
def test_the_gap_between_cells_agrees_with_the_exact_one_within_its_resolution(
    base: list[float], now: list[float]
) -> None:
    first, second = cells_of(base, now)
    at = np.array(base + now)
    shares = [(np.array(each)[:, None] <= at).mean(axis=0) for each in (base, now)]
    exact = np.abs(shares[0] - shares[1]).max()
    gap = float(d.ks(first.seen, second.seen))
    assert gap <= exact + 1e-12
    assert exact <= gap + d.ks_resolution(first.seen, second.seen) + 1e-12


@pytest.mark.parametrize("shift", [0.0, 0.3, 2.0, 8.0])
def test_the_wasserstein_distance_agrees_with_scipys(shift: float) -> None:
    random = np.random.default_rng(1)
    base = random.normal(3, 2, 5000).tolist()
    now = (random.normal(3, 2, 5000) + shift).tolist()
    first, second = cells_of(base, now, 100)
    found = float(_distance(first, second)(first.seen, second.seen))
    exact = stats.wasserstein_distance(base, now) / np.std(base)
    assert found == pytest.approx(exact, abs=0.01)


def test_the_wasserstein_distance_of_a_shift_is_the_shift() -> None:
    base = np.linspace(0, 1, 10_001)
    first, second = cells_of(base.tolist(), (base + 0.05).tolist(), 100)
    found = float(_distance(first, second)(first.seen, second.seen)) * float(base.std())
    assert found == pytest.approx(0.05, abs=1e-4)


@pytest.mark.parametrize(("base", "now"), [(3.0, 5.0), (3.0, 1.0), (0.0, 1e-9)])
def test_a_constant_that_becomes_another_one_is_seen(base: float, now: float) -> None:
    first, second = cells_of([base] * 100, [now] * 100)
    for distance in ALL:
        assert distance(first.counts, second.counts) > 0.9


def test_edges_hold_about_as_many_values_each() -> None:
    values = np.random.default_rng(1).normal(size=10_000)
    counts = cells_of(values.tolist(), values.tolist())[0].seen
    assert len(counts) == 10
    assert (abs(counts - 1000) <= 1).all()


@given(VALUES, VALUES)
def test_a_rising_transform_of_both_samples_changes_nothing(
    base: list[float], now: list[float]
) -> None:
    plain = cells_of(base, now)
    risen = cells_of([v**3 for v in base], [v**3 for v in now])
    for distance in (d.psi, d.js, d.ks, d.cramers_v):
        before, after = (float(distance(a.counts, b.counts)) for a, b in (plain, risen))
        assert after == pytest.approx(before)


def test_a_column_is_parted_into_numbers_missing_and_what_is_neither() -> None:
    cells, _ = cells_of([1.0, 2.0, 3.0], [])
    cells.add([None, float("nan"), float("inf"), "4", True, [1]])
    assert cells.counts[-2:].tolist() == [3, 3]
    assert cells.seen.sum() == 3


def test_categories_that_the_baseline_does_not_have_are_unseen() -> None:
    cells = Cells(None, ["a", "b"])
    cells.add(["a", "b", "a", "c", None, 3, True])
    assert cells.counts.tolist() == [2, 1, 0, 1, 3]


def test_cells_come_back_from_json_as_they_were() -> None:
    cells, _ = cells_of([1.0, 2.5, 1 / 3, 1e150], [])
    again = Cells.from_json(cells.to_json())
    assert again.edges is not None
    assert cells.edges is not None
    assert again.edges.tolist() == cells.edges.tolist()
    assert again.to_json() == cells.to_json()


def test_a_sample_is_fair_and_stays_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profile, "SAMPLE", 2000)
    sample = profile.Sample()
    for start in range(0, 100_000, 1000):
        sample.add(np.arange(start, start + 1000, dtype=np.float64))
    assert len(sample.values) == 2000
    assert stats.kstest(sample.values / 100_000, "uniform").pvalue > 0.001


@pytest.mark.slow
def test_psi_without_drift_is_distributed_as_yurdakul_says() -> None:
    random, p = np.random.default_rng(1), np.full(10, 0.1)
    base, now = (random.multinomial(size, p, size=10_000) for size in (5000, 1000))
    scale = 1 / 5000 + 1 / 1000
    found = d.psi(base, now)
    assert found.mean() == pytest.approx(9 * scale, rel=0.03)
    for level in (0.9, 0.95, 0.99):
        point = scale * d.chi2_point(10, level)
        assert (found <= point).mean() == pytest.approx(level, abs=0.01)


@pytest.mark.slow
def test_the_other_distances_without_drift_stay_below_their_noise() -> None:
    random, p = np.random.default_rng(2), np.full(20, 0.05)
    base, now = (random.multinomial(size, p, size=10_000) for size in (3000, 1000))
    scale = 1 / 3000 + 1 / 1000
    points = {
        d.js: np.sqrt(scale * d.chi2_point(20, 0.95) / (8 * np.log(2))),
        d.cramers_v: np.sqrt(d.chi2_point(20, 0.95) / 4000),
    }
    for distance, point in points.items():
        assert (distance(base, now) <= point).mean() == pytest.approx(0.95, abs=0.01)
    # between cells the gap is a little smaller than Kolmogorov's
    assert 0.95 <= (d.ks(base, now) <= d.ks_point(scale, 0.95)).mean() <= 0.985


def test_a_gap_that_no_change_reaches_as_often_is_not_told_to_be_above_nothing() -> None:
    random, p = np.random.default_rng(3), np.full(50, 0.02)
    told = 0
    for _ in range(150):
        base, now = (random.multinomial(400, p) for _ in range(2))
        chance = d.ks_tail(float(d.ks(base, now)), 2 / 400)
        low, _ = d.ks_interval(base, now)
        assert low == 0 or chance <= 0.025
        told += low > 0
    assert told <= 11  # 4 of 150 are promised; more than 11 would be one case in 1,000


@pytest.mark.parametrize("level", [0.95, 0.997, 0.9999, 0.9999995])
def test_the_largest_of_five_gaps_is_allowed_for_as_far_out_as_it_is_asked_for(
    level: float,
) -> None:
    gap, noise = np.full(5, 20.0), np.random.default_rng(4).normal(size=(500, 5))
    low, _ = of_supremum(20.0, gap, gap + noise, np.ones(5), level)
    exact = stats.norm.ppf(((1 + level) / 2) ** (1 / 5))
    assert 20 - low == pytest.approx(exact, abs=0.15)


def test_the_adjustments_of_r_come_out() -> None:
    # R 4.2.2: p.adjust(p, "holm") and p.adjust(p, "BH")
    p = [0.01, 0.04, 0.03, 0.005]
    assert holm(p) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert fdr(p) == pytest.approx([0.02, 0.04, 0.04, 0.02])
    assert adjusted(p, "none") == p


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_false_discovery_rates_are_scipys(p: list[float]) -> None:
    assert fdr(p) == pytest.approx(stats.false_discovery_control(p).tolist())


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.randoms())
def test_the_order_of_tests_changes_nothing(p: list[float], dice: object) -> None:
    order = list(range(len(p)))
    dice.shuffle(order)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    for correct in (holm, fdr):
        assert correct([p[n] for n in order]) == pytest.approx([correct(p)[n] for n in order])
