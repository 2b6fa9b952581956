"""Examples in the documentation of scikit-learn and SciPy, read where they are installed.

Neither data nor results are written down here: an example's lines are run up to the one that is
named, and what the documentation says it gives is held against ours. (The samples of `ks_2samp`
are drawn without a seed: test_ranking.py holds ours against the function.)
"""

from __future__ import annotations

import doctest
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import chi2_contingency, mannwhitneyu, wasserstein_distance
from scipy.stats.contingency import association

from waystage_plugins.monitors.statistics import brier, calibration, confusion, curves, regression
from waystage_plugins.monitors.statistics import divergence as d
from waystage_plugins.monitors.statistics.auc import auc
from waystage_plugins.monitors.statistics.counts import Floats, raw
from waystage_plugins.monitors.statistics.mannwhitney import compare

metrics = pytest.importorskip("sklearn.metrics", reason="the extra `demo` is not installed")
NUMBER = re.compile(r"-?\d+\.\d*(?:e-?\d+)?")


def documented(
    function: Callable[..., Any], line: str, *, number: int = 0
) -> tuple[dict[str, Any], list[float], float]:
    """Give the names of an example before a line, the numbers it tells, and their precision.

    `number` says which of several such lines.
    """
    names: dict[str, Any] = {}
    for example in doctest.DocTestParser().get_examples(function.__doc__ or ""):
        if example.want and example.source.strip().startswith(line):
            if number == 0:
                told = NUMBER.findall(example.want)
                assert told, f"{function.__name__} says nothing of {line}"
                digits = max(len(each.split(".")[1]) for each in told)
                return names, [float(each) for each in told], 1.01 * 10.0 ** -min(digits, 12)
            number -= 1
        else:
            exec(example.source, names)  # what the installed documentation says
    raise AssertionError(f"the documentation of {function.__name__} has no line {line}")


def test_the_area_of_scikit_learn() -> None:
    names, told, close = documented(metrics.roc_auc_score, "roc_auc_score(y, clf.predict_proba")
    score = names["clf"].predict_proba(names["X"])[:, 1]
    assert auc(raw(score, names["y"])).value == pytest.approx(told[0], abs=close)


def test_the_curve_of_scikit_learn() -> None:
    names, fpr, close = documented(metrics.roc_curve, "fpr")
    _, tpr, _ = documented(metrics.roc_curve, "tpr")
    curve = curves.roc(raw(names["scores"], names["y"] == 2))
    assert list(curve.x) == pytest.approx(fpr, abs=close)
    assert list(curve.y) == pytest.approx(tpr, abs=close)


def test_the_brier_score_of_scikit_learn() -> None:
    names, told, close = documented(metrics.brier_score_loss, "brier_score_loss(y_true, y_prob)")
    event = np.asarray(names["y_true"])
    order = np.argsort(names["y_prob"])
    score = np.asarray(names["y_prob"])[order]
    found = brier.brier(np.unique(score), raw(score, event[order])).value
    assert found == pytest.approx(told[0], abs=close)


def test_the_calibration_of_scikit_learn() -> None:
    from sklearn.calibration import calibration_curve

    names, observed, close = documented(calibration_curve, "prob_true")
    _, predicted, _ = documented(calibration_curve, "prob_pred")
    score = np.asarray(names["y_pred"])
    bins = calibration.binned(np.unique(score), raw(score, names["y_true"]), 3, "width")
    assert list(bins.observed) == pytest.approx(observed, abs=close)
    assert list(bins.predicted) == pytest.approx(predicted, abs=close)


def test_f1_of_scikit_learn() -> None:
    names, told, close = documented(metrics.f1_score, "f1_score(y_true, y_pred, average=None)")
    for kind, expected in enumerate(told):
        called = np.asarray(names["y_pred"]) == kind
        counts = raw(called, np.asarray(names["y_true"]) == kind)
        found = confusion.confusion(np.unique(called).astype(float), counts, 0.5)
        assert found.f1 == pytest.approx(expected, abs=close)


@pytest.mark.parametrize("number", [0, 2, 3, 4])
def test_r2_of_scikit_learn(number: int) -> None:
    names, told, close = documented(metrics.r2_score, "r2_score(y_true, y_pred)", number=number)
    found = regression.errors(zip(names["y_pred"], names["y_true"], strict=True))
    if found.spread:  # what all have the same value of has no R2 here
        assert found.r2 == pytest.approx(told[0], abs=close)


def test_rmse_of_scikit_learn() -> None:
    names, told, close = documented(
        metrics.root_mean_squared_error, "root_mean_squared_error(y_true, y_pred)"
    )
    found = regression.errors(zip(names["y_pred"], names["y_true"], strict=True))
    assert found.rmse == pytest.approx(told[0], abs=close)


def test_the_wasserstein_distance_of_scipy() -> None:
    line = "wasserstein_distance([0, 1, 3], [5, 6, 8])"
    _, told, close = documented(wasserstein_distance, line)
    first, second = np.array([0.0, 1, 3]), np.array([5.0, 6, 8])
    values = np.concatenate([first, second])
    edges = np.unique(np.concatenate([values, np.nextafter(values, -np.inf)]))
    then, now = (np.bincount(np.searchsorted(edges, each), minlength=len(edges) + 1)
                 for each in (first, second))  # fmt: skip
    widths: Floats = np.concatenate([[0.0], np.diff(edges), [0.0]])
    assert float(d.wasserstein(then, now, widths)) == pytest.approx(told[0], abs=close)


def test_chi2_of_scipy() -> None:
    names, told, close = documented(chi2_contingency, "res.statistic")
    _, p, _ = documented(chi2_contingency, "res.pvalue")
    value = float(d.chi2(*names["obs"]))
    assert value == pytest.approx(told[0], abs=close)
    assert d.chi2_tail(value, names["obs"].shape[1]) == pytest.approx(p[0], abs=close)


def test_cramers_v_of_scipy() -> None:
    names, told, close = documented(association, 'association(obs4x2, method="cramer")')
    assert float(d.cramers_v(*np.transpose(names["obs4x2"]))) == pytest.approx(told[0], abs=close)


def test_the_ranks_of_scipy() -> None:
    names, told, close = documented(mannwhitneyu, "print(U1)")
    _, p, _ = documented(mannwhitneyu, "print(pnorm)")
    found = compare(names["males"], names["females"])
    assert found.u == told[0]
    assert found.different == pytest.approx(p[0], abs=close)
    ranked = auc(raw([*names["males"], *names["females"]],
                     [1] * len(names["males"]) + [0] * len(names["females"])))  # fmt: skip
    assert ranked.value == told[0] / len(names["males"]) / len(names["females"])


@pytest.mark.parametrize(
    ("line", "p", "q", "base"),
    [
        ("distance.jensenshannon([1.0, 0.0, 0.0], [0.0", [1, 0, 0], [0, 1, 0], 2.0),
        ("distance.jensenshannon([1.0, 0.0], [0.5", [2, 0], [1, 1], np.e),
        ("distance.jensenshannon([1.0, 0.0, 0.0], [1.0", [1, 0, 0], [1, 0, 0], np.e),
    ],
)
def test_the_jensen_shannon_distance_of_scipy(
    line: str, p: list[int], q: list[int], base: float
) -> None:
    _, told, close = documented(jensenshannon, line)
    bits = float(d.js(np.array(p), np.array(q)))
    assert bits * np.log2(base) ** -0.5 == pytest.approx(told[0], abs=close)
