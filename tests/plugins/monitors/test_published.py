"""Values that others published, each with its source.

Where a paper tells few digits, a well-kept implementation of others was run on its data by hand;
which one, in which version, by which call stands beside the numbers.
"""

from __future__ import annotations

from math import erfc, sqrt

import numpy as np
import pytest
from r_data import package_data
from scipy import stats

from waystage_plugins.monitors.statistics import unpaired
from waystage_plugins.monitors.statistics.auc import auc
from waystage_plugins.monitors.statistics.counts import Counts, raw
from waystage_plugins.monitors.statistics.divergence import chi2_point, ks_point, psi
from waystage_plugins.monitors.statistics.ks import ks
from waystage_plugins.monitors.statistics.mover import Estimate, difference
from waystage_plugins.monitors.statistics.paired import Pairs, auc_gain, delong
from waystage_plugins.monitors.statistics.rates import ratio_interval
from waystage_plugins.monitors.statistics.shares import together, wilson


@pytest.mark.parametrize(
    ("hits", "of", "expected"),
    [
        (81, 263, (0.2552885198782742, 0.3662095769828000)),
        (15, 148, (0.06238639953073628, 0.1604872417233080)),
        (0, 20, (0.0, 0.1611251580528194)),
        (1, 29, (0.006113214292762667, 0.1717552187931970)),
    ],
)
def test_wilsons_intervals_in_newcombes_table_come_out(
    hits: int, of: int, expected: tuple[float, float]
) -> None:
    # the shares of Newcombe (1998), Statistics in Medicine 17, 857-872, table I; the numbers of
    # statsmodels 0.15.0, proportion_confint(hits, of, method="wilson"), and, but for 1 of 29, of
    # R's Hmisc 4.8-0, binconf(hits, of, method="wilson"), which puts another lower end there
    assert wilson(hits, of) == pytest.approx(expected, abs=1e-14)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ((56, 70), (48, 80), (0.05243147240236498, 0.33387265403690614)),
        ((9, 10), (3, 10), (0.1705227239345029, 0.809017973535488)),
        ((6, 7), (2, 7), (0.05822792748231209, 0.8062496375242278)),
        ((5, 56), (0, 29), (-0.038137147903536936, 0.19256001385511165)),
        ((0, 10), (0, 20), (-0.1611251580528194, 0.27753279986288926)),
        ((10, 10), (0, 20), (0.6790860371419145, 1.0)),
    ],
)
def test_differences_of_shares_in_newcombes_table_come_out(
    first: tuple[int, int], second: tuple[int, int], expected: tuple[float, float]
) -> None:
    # the shares of Newcombe (1998), Statistics in Medicine 17, 873-890, table II; the numbers of
    # statsmodels 0.15.0, confint_proportions_2indep(*first, *second, method="newcomb"): its
    # method 10, which is MOVER of Wilson's intervals
    one, other = (Estimate(hits / of, *wilson(hits, of)) for hits, of in (first, second))
    assert difference(one, other) == pytest.approx(expected, abs=1e-14)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ((189, 11_034), (104, 11_037), (1.4306405073952444, 2.299807284835261)),
        ((0, 20), (5, 20), (0.005366996685907777, 1.5398673212557599)),
    ],
)
def test_the_ratio_of_the_physicians_health_study_comes_out(
    first: tuple[int, int], second: tuple[int, int], expected: tuple[float, float]
) -> None:
    # the counts of Agresti (2002), Categorical Data Analysis, 3.1, and a group without a hit;
    # the numbers of statsmodels 0.15.0,
    # confint_proportions_2indep(*first, *second, compare="ratio", method="log-adjusted")
    assert ratio_interval(*first, *second) == pytest.approx(expected, rel=1e-13)


def test_the_area_and_its_error_of_hanley_and_mcneils_images_come_out() -> None:
    # the counts of Hanley and McNeil (1982), Radiology 143, table I; the numbers of R's pROC
    # 1.18.0, sqrt(var(roc(y, x, direction="<"))) and ci.auc of it, which is not on our scale
    counts = Counts(np.array([3, 2, 2, 11, 33]), np.array([33, 6, 6, 11, 2]))
    found = auc(counts)
    assert found.value == pytest.approx(0.893171061528, abs=1e-12)
    assert sqrt(found.variance) == pytest.approx(0.0307244083794, abs=1e-12)
    assert ks(counts).value == pytest.approx(45 / 58 - 7 / 51)


@pytest.mark.parametrize(
    ("level", "expected"), [(0.9, 1.22384787022), (0.95, 1.35809863932), (0.99, 1.62762361152)]
)
def test_the_critical_values_of_kolmogorov_and_smirnov_come_out(
    level: float, expected: float
) -> None:
    # the limiting distribution of Smirnov (1948); the numbers of R 4.2.2, where
    # .Call(stats:::C_pKS2, x, 1e-12), which ks.test uses, is 0.9, 0.95 and 0.99
    assert ks_point(1e-4, level) * 100 == pytest.approx(expected, abs=1e-9)


def test_the_limit_of_psi_of_yurdakul_and_naranjo_comes_out() -> None:
    # Yurdakul and Naranjo (2020), Journal of Risk Model Validation 14(4): (1/n + 1/m) times the
    # quantile of chi-square with one degree less than bins
    assert chi2_point(10, 0.95) == pytest.approx(16.9189776046, abs=1e-9)  # R 4.2.2: qchisq
    random, bins = np.random.default_rng(1), np.full(10, 0.1)
    base, now = (random.multinomial(1000, bins, size=20_000) for _ in range(2))
    assert (psi(base, now) <= 0.002 * chi2_point(10, 0.95)).mean() == pytest.approx(0.95, abs=0.01)


@pytest.fixture(scope="module")
def hemorrhage() -> dict[str, list[float]]:
    """113 patients after a bleeding (Turck et al., 2010), the data set aSAH of pROC."""
    known = package_data("r-cran-proc", "aSAH", ("outcome", "wfns", "s100b", "ndka"))
    poor = [float(outcome == "Poor") for outcome in known.pop("outcome")]
    return {"poor": poor} | {name: [float(v) for v in values] for name, values in known.items()}


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("marker", "expected"),
    [
        ("s100b", (0.630118211762, 0.731368563686, 0.832618915610)),
        ("wfns", (0.748534887819, 0.823678861789, 0.898822835758)),
        ("ndka", (0.501244999272, 0.611957994580, 0.722670989888)),
    ],
)
def test_areas_and_delongs_intervals_of_proc_come_out(
    hemorrhage: dict[str, list[float]], marker: str, expected: tuple[float, float, float]
) -> None:
    # R's pROC 1.18.0, ci.auc(roc(aSAH$outcome, aSAH$marker)); its manual tells them rounded
    found = auc(raw(hemorrhage[marker], hemorrhage["poor"]))
    reach = float(stats.norm.ppf(0.975)) * sqrt(found.variance)
    three = (found.value - reach, found.value, found.value + reach)
    assert three == pytest.approx(expected, abs=1e-11)


@pytest.mark.heavy
def test_delongs_paired_test_of_proc_comes_out(hemorrhage: dict[str, list[float]]) -> None:
    # R's pROC 1.18.0, roc.test(s100b, wfns); its manual tells it rounded
    event = np.array(hemorrhage["poor"], dtype=np.int64)
    pairs = Pairs(np.array(hemorrhage["s100b"]), np.array(hemorrhage["wfns"]), event)
    champion, challenger, variance, _ = delong(pairs)
    gain, error = challenger - champion, sqrt(variance)
    reach = float(stats.norm.ppf(0.975)) * error
    told = pytest.approx((0.0104061769565, 0.1742144192495), abs=1e-11)
    assert (gain - reach, gain + reach) == told
    assert gain / error == pytest.approx(2.20898359144, abs=1e-9)
    assert erfc(gain / error / sqrt(2)) == pytest.approx(0.0271757822292, abs=1e-11)
    # ours has the quantile of t, so it is a little wider
    found = auc_gain(pairs)
    assert found.low < gain - reach < gain + reach < found.high
    assert found.high - found.low < 1.03 * 2 * reach


@pytest.mark.heavy
def test_delongs_unpaired_test_of_proc_comes_out(hemorrhage: dict[str, list[float]]) -> None:
    # R's pROC 1.18.0, roc.test(s100b, ndka, paired=FALSE): D
    event = np.array(hemorrhage["poor"], dtype=np.int64)
    old, new = (unpaired.Sample(np.array(hemorrhage[name]), event) for name in ("ndka", "s100b"))
    areas = [auc(sample.counts) for sample in (old, new)]
    variance, freedom = together(*((each.variance, each.freedom) for each in areas))
    gain = areas[1].value - areas[0].value
    assert gain / sqrt(variance) == pytest.approx(1.559957434, abs=1e-9)
    # ours is made of both areas' own lopsided intervals: as wide, and a little to the left
    found = unpaired.auc_gain(old, new)
    reach = float(stats.t.ppf(0.975, freedom)) * sqrt(variance)
    assert found.high - found.low == pytest.approx(2 * reach, rel=0.01)
    assert (found.low, found.high) == pytest.approx((gain - reach, gain + reach), abs=0.005)


@pytest.mark.heavy
def test_the_area_of_rocr_comes_out() -> None:
    # R's ROCR 1.0-11 (Sing et al., 2005, Bioinformatics 21, 3940) on its ROCR.simple:
    # performance(prediction(predictions, labels), "auc")@y.values
    known = package_data("r-cran-rocr", "ROCR.simple", ("predictions", "labels"))
    counts = raw(known["predictions"], [int(label) for label in known["labels"]])
    assert auc(counts).value == pytest.approx(0.834187518842, abs=1e-12)
    events, others = ([p for p, label in zip(*known.values(), strict=True) if int(label) == kind]
                      for kind in (1, 0))  # fmt: skip
    expected = stats.ks_2samp(others, events, alternative="greater", method="asymp").statistic
    assert ks(counts).value == pytest.approx(expected)
