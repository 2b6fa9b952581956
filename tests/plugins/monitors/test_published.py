"""Values that others published, each with its source."""

from __future__ import annotations

from math import erfc, sqrt

import numpy as np
import pytest
from r_data import package_data
from scipy import stats

from waystage_plugins.monitors.statistics.auc import auc
from waystage_plugins.monitors.statistics.counts import Counts, raw
from waystage_plugins.monitors.statistics.ks import ks
from waystage_plugins.monitors.statistics.mover import Estimate, difference
from waystage_plugins.monitors.statistics.paired import Pairs, auc_gain
from waystage_plugins.monitors.statistics.rates import ratio_interval
from waystage_plugins.monitors.statistics.shares import wilson


@pytest.mark.parametrize(
    ("hits", "of", "published"),
    [
        (81, 263, (0.2553, 0.3662)),
        (15, 148, (0.0624, 0.1605)),
        (0, 20, (0.0000, 0.1611)),
        (1, 29, (0.0061, 0.1718)),
    ],
)
def test_wilsons_intervals_in_newcombes_table_come_out(
    hits: int, of: int, published: tuple[float, float]
) -> None:
    # Newcombe (1998), Statistics in Medicine 17, 857-872, table I, method 3
    assert wilson(hits, of) == pytest.approx(published, abs=5e-5)


@pytest.mark.parametrize(
    ("first", "second", "published"),
    [
        ((56, 70), (48, 80), (0.0524, 0.3339)),
        ((9, 10), (3, 10), (0.1705, 0.8090)),
        ((5, 56), (0, 29), (-0.0381, 0.1926)),
        ((10, 10), (0, 20), (0.6791, 1.0000)),
    ],
)
def test_differences_of_shares_in_newcombes_table_come_out(
    first: tuple[int, int], second: tuple[int, int], published: tuple[float, float]
) -> None:
    # Newcombe (1998), Statistics in Medicine 17, 873-890, table II, method 10: MOVER of Wilson's
    one, other = (Estimate(hits / of, *wilson(hits, of)) for hits, of in (first, second))
    assert difference(one, other) == pytest.approx(published, abs=5e-5)


def test_the_ratio_of_the_physicians_health_study_comes_out() -> None:
    # Agresti (2002), Categorical Data Analysis, 3.1: 1.82, from 1.43 to 2.30; half a hit is added
    low, high = ratio_interval(189, 11_034, 104, 11_037)
    assert (low, high) == pytest.approx((1.43, 2.30), abs=0.01)


def test_the_mann_whitney_example_of_scipys_documentation_comes_out() -> None:
    # ages of diabetics: U = 17 of 5 times 4 pairs
    ages = [19, 22, 16, 29, 24, 20, 11, 17, 12]
    assert auc(raw(ages, [1] * 5 + [0] * 4)).value == 17 / 20


def test_the_area_and_its_error_of_hanley_and_mcneils_images_come_out() -> None:
    # Hanley and McNeil (1982), table I: an area of 0.893, of which they tell an error of 0.032
    counts = Counts(np.array([3, 2, 2, 11, 33]), np.array([33, 6, 6, 11, 2]))
    assert auc(counts).value == pytest.approx(0.893, abs=5e-4)
    assert sqrt(auc(counts).variance) == pytest.approx(0.032, abs=2e-3)


def test_the_critical_values_of_kolmogorov_and_smirnov_come_out() -> None:
    # Smirnov (1948), table of the limiting distribution: 1.358 at 95 %, 1.628 at 99 %
    from waystage_plugins.monitors.statistics.divergence import ks_point

    for level, published in ((0.95, 1.358), (0.99, 1.628)):
        assert ks_point(1e-4, level) * 100 == pytest.approx(published, abs=5e-4)


def test_the_limit_of_psi_of_yurdakul_and_naranjo_comes_out() -> None:
    # Yurdakul and Naranjo (2020), Journal of Risk Model Validation 14(4): (1/n + 1/m) times the
    # quantile of chi-square with one degree less than bins; 16.919 for ten bins and 95 %
    from waystage_plugins.monitors.statistics.divergence import chi2_point

    assert chi2_point(10, 0.95) == pytest.approx(16.919, abs=5e-4)
    random, bins = np.random.default_rng(1), np.full(10, 0.1)
    base, now = (random.multinomial(1000, bins, size=20_000) for _ in range(2))
    from waystage_plugins.monitors.statistics.divergence import psi

    assert (psi(base, now) <= 0.002 * chi2_point(10, 0.95)).mean() == pytest.approx(0.95, abs=0.01)


@pytest.fixture(scope="module")
def hemorrhage() -> dict[str, list[float]]:
    """113 patients after a bleeding (Turck et al., 2010), the data set aSAH of pROC."""
    known = package_data("r-cran-proc", "aSAH", ("outcome", "wfns", "s100b", "ndka"))
    poor = [float(outcome == "Poor") for outcome in known.pop("outcome")]
    return {"poor": poor} | {name: [float(v) for v in values] for name, values in known.items()}


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("marker", "area", "published"),
    [
        ("s100b", 0.7313686, (0.6301, 0.8326)),
        ("wfns", 0.8236789, (0.7485, 0.8988)),
        ("ndka", 0.6119580, (0.5013, 0.7226)),
    ],
)
def test_areas_and_delongs_intervals_of_proc_come_out(
    hemorrhage: dict[str, list[float]], marker: str, area: float, published: tuple[float, float]
) -> None:
    # Robin et al. (2011), BMC Bioinformatics 12:77, and the manual of pROC: auc, ci.auc
    found = auc(raw(hemorrhage[marker], hemorrhage["poor"]))
    assert found.value == pytest.approx(area, abs=5e-8)
    reach = stats.norm.ppf(0.975) * sqrt(found.variance)
    assert (found.value - reach, found.value + reach) == pytest.approx(published, abs=1e-4)


@pytest.mark.heavy
def test_delongs_paired_test_of_proc_comes_out(hemorrhage: dict[str, list[float]]) -> None:
    # the manual of pROC, roc.test: Z = 2.209, p = 0.02718, from 0.01040618 to 0.17421436
    scores = (np.array(hemorrhage[name]) for name in ("s100b", "wfns"))
    found = auc_gain(Pairs(*scores, np.array(hemorrhage["poor"], dtype=np.int64)))
    assert (found.low, found.high) == pytest.approx((0.01040618, 0.17421436), abs=5e-7)
    z = found.gain / ((found.high - found.low) / 2 / float(stats.norm.ppf(0.975)))
    assert z == pytest.approx(2.209, abs=5e-4)
    assert erfc(z / sqrt(2)) == pytest.approx(0.02718, abs=5e-6)


@pytest.mark.heavy
def test_the_area_of_rocr_comes_out() -> None:
    # Sing et al. (2005), Bioinformatics 21, 3940: ROCR.simple, an area of 0.8341875
    known = package_data("r-cran-rocr", "ROCR.simple", ("predictions", "labels"))
    counts = raw(known["predictions"], [int(label) for label in known["labels"]])
    assert auc(counts).value == pytest.approx(0.8341875, abs=5e-8)
    events, others = ([p for p, label in zip(*known.values(), strict=True) if int(label) == kind]
                      for kind in (1, 0))  # fmt: skip
    expected = stats.ks_2samp(others, events, alternative="greater", method="asymp").statistic
    assert ks(counts).value == pytest.approx(expected)
