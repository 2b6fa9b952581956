"""From points to a verdict: what decides, what waits, and how often it is wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from waystage_plugins.canary.points import Points
from waystage_plugins.canary.settings import Metric
from waystage_plugins.canary.weighing import Rules, Weighed, verdict, weigh

VERDICTS = ("pass", "marginal", "fail", "inconclusive")


def metric(**fields: Any) -> Metric:
    return Metric.model_validate({"query": "x $side", "direction": "increase", **fields})


def weighed(told: str, **fields: Any) -> Weighed:
    given = {"verdict": told, "why": "so", "critical": False, "canary_points": 60,
             "baseline_points": 60, "missing": 0.0}  # fmt: skip
    return Weighed.model_validate(given | fields)


def points(seed: int, shift: float = 0.0, size: int = 60) -> Points:
    chance = np.random.default_rng(seed)
    canary, baseline = chance.normal(shift, 1, size), chance.normal(0, 1, size)
    return Points(canary=tuple(canary), baseline=tuple(baseline))


def test_a_critical_metric_that_fails_decides_alone() -> None:
    metrics = {"a": metric(weight=0.001, critical=True), "b": metric(weight=999)}
    told, why, _ = verdict(metrics, {"a": weighed("fail"), "b": weighed("inconclusive")}, Rules())
    assert (told, why) == ("fail", "a: so")


def test_harm_that_nothing_can_make_good_fails_whatever_is_open() -> None:
    metrics = {"a": metric(weight=3), "b": metric()}
    told, why, score = verdict(
        metrics, {"a": weighed("fail"), "b": weighed("inconclusive")}, Rules()
    )
    assert (told, score) == ("fail", None)
    assert "a: so" in why


def test_what_nothing_is_known_of_leaves_the_whole_open() -> None:
    metrics = {"a": metric(), "b": metric(weight=0.001)}
    told = verdict(metrics, {"a": weighed("pass"), "b": weighed("inconclusive")}, Rules())
    assert told == ("inconclusive", "b: so", None)


@pytest.mark.parametrize(
    ("verdicts", "score", "expected"),
    [
        (("pass", "pass"), 100, "pass"),
        (("marginal", "pass"), 87.5, "marginal"),
        (("pass", "marginal"), 62.5, "marginal"),
        (("marginal", "marginal"), 50, "marginal"),
        (("fail", "marginal"), 37.5, "marginal"),
        (("marginal", "fail"), 12.5, "fail"),
        (("fail", "pass"), 75, "marginal"),
        (("pass", "fail"), 25, "fail"),
    ],
)
def test_the_score_weighs_what_passed(
    verdicts: tuple[str, str], score: float, expected: str
) -> None:
    metrics = {"a": metric(), "b": metric(weight=3)}
    found = dict(zip(metrics, map(weighed, verdicts), strict=True))
    told, why, of_100 = verdict(metrics, found, Rules())
    assert (told, of_100) == (expected, score)
    assert why.startswith(f"score {score:.1f} of 100")


def test_a_score_that_failed_says_what_was_in_reach() -> None:
    metrics = {"a": metric(), "b": metric(weight=3)}
    _, why, _ = verdict(metrics, {"a": weighed("marginal"), "b": weighed("fail")}, Rules())
    assert why == "score 12.5 of 100, 25.0 at best; b: so; a: so"


@pytest.mark.parametrize("told", ["pass", "marginal"])
def test_weights_that_no_float_holds_do_not_cost_what_nothing_failed(told: str) -> None:
    metrics = {str(n): metric(weight=weight) for n, weight in enumerate((0.1, 0.1, 0.1))}
    found = {name: weighed(told) for name in metrics}
    assert verdict(metrics, found, Rules(passes=100, waits=100))[0] == told


def test_groups_weigh_whatever_the_number_of_their_metrics() -> None:
    metrics = {name: metric(group="speed") for name in "abc"} | {"d": metric(group="money")}
    found = {name: weighed("pass") for name in "abc"} | {"d": weighed("fail")}
    assert verdict(metrics, found, Rules())[2] == 50
    assert verdict(metrics, found, Rules(groups={"speed": 9, "money": 1}))[2] == 90


def test_a_critical_metric_in_between_lets_the_canary_wait() -> None:
    metrics = {"a": metric(critical=True, weight=0.01), "b": metric(weight=100)}
    told, _, score = verdict(metrics, {"a": weighed("marginal"), "b": weighed("pass")}, Rules())
    assert told == "marginal"
    assert score is not None
    assert score > 99


@given(st.lists(st.tuples(st.sampled_from(VERDICTS), st.booleans()), min_size=1, max_size=6))
def test_one_metric_that_gets_worse_never_makes_the_whole_better(
    found: list[tuple[str, bool]],
) -> None:
    order = {"pass": 0, "marginal": 1, "inconclusive": 1, "fail": 2}
    metrics = {str(n): metric(critical=critical) for n, (_, critical) in enumerate(found)}
    now = {str(n): weighed(told) for n, (told, _) in enumerate(found)}
    before = verdict(metrics, now, Rules())[0]
    for name in now:
        if now[name].verdict not in ("inconclusive", "fail"):
            worse = verdict(metrics, now | {name: weighed("fail")}, Rules())[0]
            assert order[worse] >= order[before]


def test_harm_is_failed_its_absence_passed_and_the_rest_left_between() -> None:
    def told(shift: float, **fields: Any) -> str:
        return weigh({"a": metric(**fields)}, {"a": points(3, shift)}, Rules())["a"].verdict

    assert [told(1.5), told(-1.5), told(0.45)] == ["fail", "pass", "marginal"]
    assert told(-1.5, direction="decrease") == "fail"
    assert [told(1.5, direction="either"), told(-1.5, direction="either")] == ["fail", "fail"]


def test_a_difference_too_small_to_matter_is_tolerated_however_sure_it_is() -> None:
    steady = np.linspace(0.9999, 1.0001, 500)
    found = Points(canary=tuple(steady * 100.1), baseline=tuple(steady * 100))

    def told(**fields: Any) -> Weighed:
        return weigh({"a": metric(**fields)}, {"a": found}, Rules())["a"]

    assert told().verdict == "fail"
    assert told(tolerate=0.01).verdict == "pass"
    assert "no more than 1.0% of the baseline's median" in told(tolerate=0.01).why
    assert told(tolerate=0.0005).verdict == "fail"


def test_too_few_points_have_no_numbers() -> None:
    found = weigh({"a": metric()}, {"a": points(1, size=49)}, Rules())["a"]
    assert (found.verdict, found.effect, found.p) == ("inconclusive", None, None)


def test_values_that_are_all_alike_pass() -> None:
    alike = Points(canary=(0.0,) * 60, baseline=(0.0,) * 60)
    assert weigh({"a": metric()}, {"a": alike}, Rules())["a"].verdict == "pass"


def test_many_metrics_make_each_of_them_harder_to_fail() -> None:
    metrics = {str(n): metric() for n in range(20)}
    alone = weigh({"0": metric()}, {"0": points(3, 0.8)}, Rules())["0"]
    found = {str(n): points(3 if n == 0 else 100 + n, 0.8 if n == 0 else 0) for n in range(20)}
    among = weigh(metrics, found, Rules())["0"]
    assert alone.p is not None
    assert among.p == pytest.approx(20 * alone.p)


DRAWN = {
    "normal": lambda c, size: c.normal(size=size),
    "skewed": lambda c, size: c.lognormal(sigma=1.5, size=size),
    "counts": lambda c, size: c.poisson(0.7, size=size).astype(float),
}


@pytest.mark.parametrize(
    ("kind", "direction"), [("normal", "either"), ("skewed", "increase"), ("counts", "either")]
)
def test_false_alarms_are_no_more_than_the_rules_say(kind: str, direction: str) -> None:
    """Five metrics without any difference; `allowed: 0` leaves the p-value alone to decide.

    So many rounds, since of 400 the share of alarms is known to no better than 0.02.
    """
    rounds, count, chance = 1500, 5, np.random.default_rng(11)
    metrics = {str(n): metric(direction=direction, allowed=0) for n in range(count)}
    drawn = DRAWN[kind](chance, (rounds, count, 2, 60))
    alarms = 0
    for each in drawn:
        found = {
            str(n): Points(canary=tuple(x), baseline=tuple(y)) for n, (x, y) in enumerate(each)
        }
        told = weigh(metrics, found, Rules())
        alarms += any(one.verdict == "fail" for one in told.values())
    assert alarms / rounds <= 0.05 + 0.015


@pytest.mark.parametrize(
    ("direction", "size", "passes"),
    [("increase", 60, 0.87), ("either", 60, 0.76), ("increase", 120, 0.98), ("either", 120, 0.98)],
)
def test_a_canary_without_harm_passes_or_waits(direction: str, size: int, passes: float) -> None:
    """With all settings as they are by default; what is not passed yet must not be called harm."""
    rounds, chance = 500, np.random.default_rng(17)
    metrics = {"a": metric(direction=direction)}
    told = []
    for canary, baseline in chance.normal(size=(rounds, 2, size)):
        each = {"a": Points(canary=tuple(canary), baseline=tuple(baseline))}
        told.append(verdict(metrics, weigh(metrics, each, Rules()), Rules())[0])
    assert told.count("fail") / rounds <= 0.05 + 0.01
    assert told.count("pass") / rounds >= passes
    assert {*told} <= {"pass", "marginal", "fail"}


def errors(chance: np.random.Generator, failing: int, size: int = 60) -> tuple[float, ...]:
    """Give counts of errors, of which only so many are above 0."""
    counts = np.zeros(size)
    counts[:failing] = chance.integers(1, 20, failing)
    return tuple(chance.permutation(counts))


@pytest.mark.parametrize("direction", ["increase", "either"])
@pytest.mark.parametrize("tolerate", [0.0, 0.5])
def test_errors_where_the_baseline_has_none_are_harm(tolerate: float, direction: str) -> None:
    """Most pairs are 0 against 0, so that the median of their differences says nothing."""
    chance = np.random.default_rng(23)
    metrics = {"a": metric(critical=True, tolerate=tolerate, direction=direction)}
    for failing in [23, 24, 25, 26, 27] * 20:  # 38 to 45 %
        found = Points(canary=errors(chance, failing), baseline=(0.0,) * 60, series=True)
        one = weigh(metrics, {"a": found}, Rules())["a"]
        assert (one.shift, one.verdict) == (0, "fail"), one.why


@pytest.mark.parametrize("usual", [0.0, 0.1])
def test_errors_that_come_by_chance_are_never_passed_as_harmless(usual: float) -> None:
    chance, metrics = np.random.default_rng(29), {"a": metric(critical=True)}
    told = []
    for _ in range(200):
        failing = [int(chance.binomial(60, share)) for share in (usual + 0.42, usual)]
        canary, baseline = (errors(chance, count) for count in failing)
        found = {"a": Points(canary=canary, baseline=baseline)}
        told.append(verdict(metrics, weigh(metrics, found, Rules()), Rules())[0])
    assert "pass" not in told
    assert told.count("fail") > 150


@pytest.mark.parametrize("tolerate", [0.0, 0.5])
def test_as_few_errors_as_the_baseline_has_still_pass(tolerate: float) -> None:
    chance, metrics = np.random.default_rng(31), {"a": metric(tolerate=tolerate)}
    for _ in range(100):
        canary, baseline = (errors(chance, int(chance.binomial(60, 0.1))) for _ in "ab")
        found = weigh(metrics, {"a": Points(canary=canary, baseline=baseline)}, Rules())["a"]
        assert found.verdict == "pass", found.why


def mostly(chance: np.random.Generator, kind: str, size: int = 60) -> np.ndarray:
    """Draw points of which most are one and the same, or all but the same, value other than 0."""
    if kind == "constant":
        return np.full(size, 5.0)
    if kind == "all but constant":
        return 5 + chance.normal(0, 1e-6, size)
    return np.where(chance.random(size) < 0.8, 5.0, 5 + chance.exponential(1, size))


@pytest.mark.parametrize("direction", ["increase", "decrease", "either"])
@pytest.mark.parametrize("kind", ["constant", "all but constant", "tied"])
@pytest.mark.parametrize("share", [0.38, 0.45, 0.7])
def test_harm_to_many_points_is_found_though_most_are_as_ever(
    kind: str, share: float, direction: str
) -> None:
    """Their median shift is nothing, which a `tolerate` must not take for harmless."""
    rounds, chance = 60, np.random.default_rng(37)
    metrics = {"a": metric(direction=direction, tolerate=0.1)}
    away, told = (-45.0 if direction == "decrease" else 45.0), []
    for _ in range(rounds):
        canary, baseline = mostly(chance, kind), mostly(chance, kind)
        canary += away * (chance.random(60) < share)
        found = {"a": Points(canary=tuple(canary), baseline=tuple(baseline))}
        told.append(weigh(metrics, found, Rules())["a"].verdict)
    if kind == "constant":  # found where more than a third of the points are hit
        power = float(stats.binom.sf(0.33 * 60, 60, share))
        spread = (power * (1 - power) / rounds) ** 0.5
        assert abs(told.count("fail") / rounds - power) <= 4 * spread + 0.01
    assert told.count("fail") / rounds > (0.9 if share > 0.5 else 0.5)
    assert told.count("pass") / rounds <= 0.025 + 0.05


@pytest.mark.parametrize(("kind", "direction"), [("tied", "increase"), ("tied", "either")])
def test_ties_raise_no_more_alarms_where_something_is_tolerated(kind: str, direction: str) -> None:
    rounds, chance = 600, np.random.default_rng(41)
    metrics = {"a": metric(direction=direction, allowed=0, tolerate=0.1)}
    alarms = 0
    for _ in range(rounds):
        canary, baseline = (tuple(mostly(chance, kind)) for _ in "ab")
        found = {"a": Points(canary=canary, baseline=baseline)}
        alarms += weigh(metrics, found, Rules())["a"].verdict == "fail"
    assert alarms / rounds <= 0.05 + 0.03


@pytest.mark.parametrize("kind", ["constant", "all but constant", "tied"])
def test_a_tolerated_shift_of_all_points_passes_and_a_larger_one_fails(kind: str) -> None:
    chance, metrics = np.random.default_rng(43), {"a": metric(tolerate=0.1)}
    for _ in range(20):
        canary, baseline = mostly(chance, kind), mostly(chance, kind)
        told = [
            weigh(metrics, {"a": Points(canary=tuple(canary + by), baseline=tuple(baseline))},
                  Rules())["a"].verdict
            for by in (0.3, 0.7)
        ]  # fmt: skip
        assert told == ["pass", "fail"]


def test_points_that_are_hit_do_not_hide_behind_a_tolerated_shift_of_the_others() -> None:
    baseline = np.linspace(4.99, 5.01, 60)
    canary = np.concatenate([baseline[::5] + 45, baseline[::5] + 45, baseline[:36] + 0.2])
    found = Points(canary=tuple(canary), baseline=tuple(baseline))
    one = weigh({"a": metric(tolerate=0.1)}, {"a": found}, Rules())["a"]
    assert one.verdict == "fail"
    assert one.shift == pytest.approx(0.2, abs=0.05)
    assert "by more than 2 x the tolerated shift, beyond the allowed 0.33" in one.why


def test_harm_at_the_border_rarely_passes_and_clear_harm_mostly_fails() -> None:
    rounds, chance = 500, np.random.default_rng(5)
    border, clear = 0.6025, 1.0  # standard deviations: Cliff's delta of 0.33 and of 0.52

    def share(shift: float, told: str) -> float:
        found = 0
        for _ in range(rounds):
            each = Points(
                canary=tuple(chance.normal(shift, 1, 60)), baseline=tuple(chance.normal(size=60))
            )
            found += weigh({"a": metric()}, {"a": each}, Rules())["a"].verdict == told
        return found / rounds

    assert share(border, "pass") <= 0.025 + 0.01
    assert share(clear, "fail") > 0.9
    assert share(0.0, "pass") > 0.8


@pytest.mark.parametrize(("alike", "count"), [(0.0, 61), (0.5, 61), (0.8, 61), (0.8, 181)])
def test_neighbors_that_are_alike_raise_no_more_alarms(alike: float, count: int) -> None:
    rounds, chance = 500, np.random.default_rng(3)
    noise = chance.normal(size=(rounds, 2, count + 100))
    for at in range(1, count + 100):
        noise[..., at] += alike * noise[..., at - 1]
    drawn = noise[..., 100:]
    verdicts = []
    for x, y in drawn:
        found = Points(canary=tuple(x), baseline=tuple(y), series=True)
        verdicts.append(weigh({"a": metric(allowed=0)}, {"a": found}, Rules())["a"].verdict)
    assert verdicts.count("fail") / rounds <= 0.05 + 0.01


def test_a_series_whose_neighbors_are_alike_says_how_many_points_it_is_worth() -> None:
    steps = tuple(float(n // 3 * 7 % 20) for n in range(60))
    told = weigh({"a": metric()}, {"a": series(steps)}, Rules())["a"]
    assert (told.verdict, told.effect) == ("marginal", pytest.approx(0))
    assert "neighbors are alike: 60 points tell as 11" in told.why
    ramp = tuple(float(n) for n in range(60))
    told = weigh({"a": metric()}, {"a": series(ramp)}, Rules())["a"]
    assert told.verdict == "inconclusive"
    assert "60 points tell as 2; lengthen the interval" in told.why


def series(values: tuple[float, ...]) -> Points:
    return Points(canary=values, baseline=values[::-1], series=True)
