"""Bad input × every monitor: the verdict that is right, with a reason that a person understands.

One table, `EXPECTED`: what is wrong with a window, and what each monitor has to say of it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from waystage.errors import WaystageError
from waystage.kernel.judge import judge
from waystage.plugin import (
    Column,
    Deployed,
    Label,
    Minimum,
    Monitor,
    Outcome,
    Placement,
    ScoredRow,
    Snapshot,
    Window,
)
from waystage.spec.lifecycle import Monitor as Spec
from waystage.testing import FakeContext
from waystage_plugins.monitors import MONITORS, DriftKsMonitor, WassersteinMonitor
from waystage_plugins.scoring import SqliteScoringLog

START = datetime(2026, 1, 5, tzinfo=UTC)
WEEK = timedelta(days=7)
SIZE = 1000
ROW = ScoredRow("r0", START, "cc-fraud", "PROD", "fraud/1", "champion", 0.5)
SNAPSHOT = Snapshot(
    name="fraud", version="1", digest="sha256:" + "0" * 64,
    inputs=(Column(name="income"), Column(name="city", type="string")),
)  # fmt: skip
AUC: dict[str, Any] = {"use": "performance.auc"}
NEEDED: dict[str, dict[str, Any]] = {
    "fairness": {"group": "city"}, "decay": {"metric": AUC},
    "expression": {"metrics": {"auc": AUC}, "when": "auc < 0.6"},
}  # fmt: skip
CLASSES = ("performance.ks", "performance.auc", "performance.gini", "performance.lift",
           "performance.f1", "performance.accuracy", "decay", "expression")  # fmt: skip
PROBABILITIES = ("performance.brier", "performance.calibration")
VALUES = ("performance.r2", "performance.rmse")
CELLS = ("drift.psi", "drift.js", "drift.chi2")
NUMBERS = ("drift.ks", "drift.wasserstein")
REST = ("volume", "staleness", "quality.log", "fairness")
EVERY = (*CLASSES, *PROBABILITIES, *VALUES, *CELLS, *NUMBERS, *REST)
# a warning or a breach is the limits' matter; here they lie where a change shows
LIMITS: dict[str, dict[str, Any]] = {
    **{use: {"breach": {"below": 0.1}} for use in EVERY},
    **{use: {"breach": {"above": 0.2}} for use in (*CELLS, *NUMBERS, "quality.log", "decay",
                                                  "expression", *PROBABILITIES)},
    "performance.auc": {"breach": {"below": 0.6}}, "performance.lift": {"breach": {"below": 1.2}},
    "performance.brier": {"breach": {"above": 0.3}}, "volume": {"breach": {"below": 1}},
    "performance.calibration": {"breach": {"above": 0.3}},
    "performance.rmse": {"breach": {"above": 1}}, "performance.r2": {"breach": {"below": 0.01}},
    "staleness": {"breach": {"above": 10}}, "fairness": {"breach": {"below": 0.5}},
}  # fmt: skip


def monitor(use: str) -> Monitor:
    (kind,) = [kind for kind in MONITORS if kind.use == use]
    return kind.model_validate(NEEDED.get(use, {}))


def week(number: int) -> Window:
    return Window(start=START + number * WEEK, end=START + (number + 1) * WEEK)


@pytest.fixture
def ctx(tmp_path: Path) -> FakeContext:
    log = SqliteScoringLog(path=tmp_path / "scores.db")
    made = FakeContext(
        tmp_path, service="cc-fraud", stage="PROD", snapshot=SNAPSHOT, scoring_log=log
    )
    here = Deployed(stage="PROD", runtime="okd", mode="online")
    since = START - timedelta(hours=9)
    made.inventory = [Placement("cc-fraud", SNAPSHOT, here, "cc-fraud-1", since)]
    made.clock.turn(START + 10 * WEEK - made.now)
    told(made, 0)
    return made


def told(
    ctx: FakeContext,
    number: int,
    score: Callable[[int, float], Any] = lambda n, score: score,
    event: Callable[[int, int], int] = lambda n, event: event,
    inputs: Callable[[int, dict[str, Any]], dict[str, Any]] = lambda n, inputs: inputs,
) -> None:
    """Keep a week of labelled requests, each changed as the functions say."""
    random = np.random.default_rng(number)
    events = (random.random(SIZE) < 0.3).astype(int).tolist()
    scores = (1 / (1 + np.exp(-random.normal(size=SIZE) - events))).tolist()
    incomes = random.lognormal(8, 0.5, SIZE).tolist()
    cities = random.choice(["Ulm", "Bonn", "Kiel"], SIZE).tolist()
    ids = [f"{number}-{n}" for n in range(SIZE)]
    ctx.scoring_log.append(
        replace(
            ROW, request_id=ids[n], at=START + number * WEEK + timedelta(seconds=n),
            score=score(n, scores[n]), inputs=inputs(n, {"income": incomes[n], "city": cities[n]}),
        )
        for n in range(SIZE)
    )  # fmt: skip
    ctx.scoring_log.label(Label(ids[n], event(n, events[n]), START) for n in range(SIZE))
    ctx.scoring_log.outcomes(Outcome(ids[n], scores[n] + events[n], START) for n in range(SIZE))


def verdict(ctx: FakeContext, use: str, window: Window) -> tuple[str, str]:
    """Give the verdict and its reason, as the engine comes to them."""
    try:
        found = monitor(use).measure(ctx, window, Minimum()).model_dump()
    except WaystageError as error:
        found = {"error": str(error)}
    spec = Spec.model_validate({"use": use, "window": {"length": "P7D"}} | LIMITS[use])
    answer = judge(spec, found, None, ["a", "b"], {}, ctx.now)
    return answer["verdict"], answer["reason"]


def nothing(ctx: FakeContext) -> None:
    """Nobody asked in that week."""


def usual(ctx: FakeContext) -> None:
    told(ctx, 1)


def events_alone(ctx: FakeContext) -> None:
    told(ctx, 1, event=lambda n, event: 1)


def constant(ctx: FakeContext) -> None:
    told(ctx, 1, score=lambda n, score: 0.3)


def no_numbers(ctx: FakeContext) -> None:
    told(ctx, 1, score=lambda n, score: (math.nan, math.inf, None)[n % 3])


def a_tenth_no_numbers(ctx: FakeContext) -> None:
    told(ctx, 1, score=lambda n, s: (math.nan, -math.inf, None)[n % 3] if n % 10 == 0 else s)


def points(ctx: FakeContext) -> None:
    told(ctx, 1, score=lambda n, score: 300 + 500 * score)


def text_for_income(ctx: FakeContext) -> None:
    told(ctx, 1, inputs=lambda n, inputs: inputs | {"income": "a lot"})


def null_for_income(ctx: FakeContext) -> None:
    told(ctx, 1, inputs=lambda n, inputs: inputs | {"income": None})


def income_beyond_all_floats(ctx: FakeContext) -> None:
    told(ctx, 1, inputs=lambda n, inputs: inputs | {"income": (10**400, 1e308)[n % 2]})


OK = ("ok", "")
LOW = ("breach", "beyond the breach threshold")
EMPTY = ("insufficient", r"fraud/1 in PROD, 2026-01-12 to 2026-01-19: there is no scored request")
FEW = ("insufficient", r"0 scored requests are fewer than the \d+ needed")
UNUSABLE = ("insufficient", r"0 of 1000 requests \(0\.0%\) have a label and a score; 80\.0% are n")
NO_EVENTS = ("insufficient", r"0 non-events are fewer than the 200 needed")
NO_PROBABILITY = ("error", r"1000 scores lie outside 0\.\.1 \(3.* to 7.*\), so they are no probab")
GONE = ("insufficient", r"income holds no number that could be compared; drift\.psi and quality")

Cells = dict[str, tuple[str, str]]
EXPECTED: dict[Callable[[FakeContext], None], Cells] = {
    usual: dict.fromkeys(EVERY, OK),
    nothing: dict.fromkeys((*CLASSES, *PROBABILITIES, *VALUES), EMPTY)
    | dict.fromkeys((*CELLS, *NUMBERS, "quality.log", "fairness"), FEW)
    | {"volume": LOW, "staleness": LOW},
    events_alone: dict.fromkeys(EVERY, OK) | dict.fromkeys((*CLASSES, *PROBABILITIES), NO_EVENTS),
    constant: dict.fromkeys((*CLASSES, *CELLS, *NUMBERS), LOW)
    | {"performance.accuracy": OK, "performance.r2": LOW, "performance.rmse": OK}
    | dict.fromkeys((*PROBABILITIES, *REST), OK),
    no_numbers: dict.fromkeys((*CLASSES, *PROBABILITIES), UNUSABLE)
    | dict.fromkeys(VALUES, ("insufficient", r"0 of 1000 requests \(0\.0%\) have a score and a t"))
    | dict.fromkeys(CELLS, LOW)
    | dict.fromkeys(NUMBERS, ("insufficient", r"\(score\) holds no number that could be compared"))
    | {"quality.log": LOW, "volume": OK, "staleness": OK}
    | {"fairness": ("insufficient", r"fewer than two groups of city .*\(1000 have no score\)")},
    a_tenth_no_numbers: dict.fromkeys(EVERY, OK)
    | dict.fromkeys(CELLS, LOW)  # there is a bin for what is missing
    | {"quality.log": OK},  # a tenth is below its limit here
    points: dict.fromkeys((*CELLS, *NUMBERS, "quality.log", *VALUES), LOW)
    | dict.fromkeys(CLASSES, OK)  # for f1 and accuracy all are above
    | {
        "fairness": (
            "error",
            r"1000 scores lie outside 0\.\.1, and all 1000 on the favourable side",
        )
    }
    | dict.fromkeys(PROBABILITIES, NO_PROBABILITY)
    | {"volume": OK, "staleness": OK},
    text_for_income: dict.fromkeys(EVERY, OK)
    | dict.fromkeys((*CELLS, "quality.log"), LOW)
    | dict.fromkeys(NUMBERS, GONE),
    null_for_income: dict.fromkeys(EVERY, OK)
    | dict.fromkeys((*CELLS, "quality.log"), LOW)
    | dict.fromkeys(NUMBERS, GONE),
    income_beyond_all_floats: dict.fromkeys(EVERY, OK)
    | dict.fromkeys((*CELLS, "quality.log"), LOW)
    | dict.fromkeys(NUMBERS, GONE),
}


def test_every_monitor_is_in_the_table() -> None:
    elsewhere = {"sql", "http"}  # they read no scoring log; their bad answers: test_elsewhere.py
    assert {*EVERY} == {kind.use for kind in MONITORS} - elsewhere
    for window, cells in EXPECTED.items():
        assert set(cells) == set(EVERY), window.__name__


@pytest.mark.parametrize("world", EXPECTED, ids=lambda world: world.__name__)
def test_what_is_wrong_gets_the_right_verdict_and_says_why(
    ctx: FakeContext, world: Callable[[FakeContext], None]
) -> None:
    world(ctx)
    wrong = {}
    for use in EVERY:
        found, reason = verdict(ctx, use, week(1))
        ctx.memo = {}
        wanted, why = EXPECTED[world][use]
        if found != wanted or not re.search(why, reason):
            wrong[use] = (found, reason)
    assert wrong == {}


@pytest.mark.parametrize("use", [*CLASSES[:6], *PROBABILITIES])
def test_constant_scores_are_told(ctx: FakeContext, use: str) -> None:
    constant(ctx)
    assert monitor(use).measure(ctx, week(1), Minimum()).notes["constant_score"] == 0.3
    assert "constant_score" not in monitor(use).measure(ctx, week(0), Minimum()).notes


@pytest.mark.parametrize("score", ["0.5", "high", True, [0.5]])
def test_a_score_that_is_no_number_is_refused_by_name(ctx: FakeContext, score: object) -> None:
    with pytest.raises(WaystageError, match=re.escape(f"request 'r0' is {score!r}, no number")):
        ctx.scoring_log.append([replace(ROW, score=score)])  # type: ignore[arg-type]  # that is the test


@pytest.mark.parametrize("score", [np.float32(0.5), Decimal("0.5"), np.float64(0.5), 1])
def test_numbers_of_other_kinds_are_scores(ctx: FakeContext, score: Any) -> None:
    assert ctx.scoring_log.append([replace(ROW, score=score)]) == 1


def test_a_score_beyond_all_floats_is_left_out_and_counted(ctx: FakeContext) -> None:
    told(ctx, 1, score=lambda n, score: 10**400 if n == 0 else score)
    found = monitor("performance.auc").measure(ctx, week(1), Minimum())
    assert (found.counts["excluded"], found.counts["usable"]) == (1, SIZE - 1)


@pytest.mark.parametrize("use", VALUES)
def test_predictions_too_large_to_be_squared_are_an_error_in_words(
    ctx: FakeContext, use: str
) -> None:
    told(ctx, 1, score=lambda n, score: 1e200 if n == 5 else score)
    found, reason = verdict(ctx, use, week(1))
    assert found == "error"
    assert "so large that their squares are no numbers" in reason


def test_a_column_that_never_had_numbers_is_left_out_and_told(ctx: FakeContext) -> None:
    ctx.snapshot = SNAPSHOT.model_copy(update={"inputs": (Column(name="empty"), Column(name="x"))})
    for number in (1, 2):
        told(ctx, number, inputs=lambda n, inputs: {"empty": None, "x": n % 50})
    baseline = {"since": START + WEEK, "length": WEEK}
    for kind in (DriftKsMonitor, WassersteinMonitor):
        found = kind.model_validate(baseline).measure(ctx, week(2), Minimum())
        assert found.notes["without_numbers"] == "empty"
        assert found.notes["columns"] == 2
        only = kind.model_validate(baseline | {"columns": ["empty"]})
        assert "empty holds no number" in only.measure(ctx, week(2), Minimum()).insufficient


@pytest.mark.parametrize("use", ["decay", "expression", *CELLS, *NUMBERS])
def test_a_baseline_of_another_version_is_an_error_that_names_both(
    ctx: FakeContext, use: str
) -> None:
    told(ctx, 1)
    settings: dict[str, Any] = NEEDED.get(use, {})
    if use == "expression":
        lost = {"use": "decay", "with": {"metric": AUC}}
        settings = {"metrics": {"lost": lost}, "when": "lost > 0.1"}
    (kind,) = [kind for kind in MONITORS if kind.use == use]
    before = kind.model_validate(settings).measure(ctx, week(1), Minimum())
    assert before.value is not None
    ctx.memo = before.keep or {}
    ctx.snapshot = SNAPSHOT.model_copy(update={"version": "2"})
    with pytest.raises(WaystageError, match=r"baseline is of fraud/1 .*, not of fraud/2 .*: open"):
        kind.model_validate(settings).measure(ctx, week(1), Minimum())


@pytest.mark.parametrize("of", ["requests", "labels"])
def test_a_clock_that_is_ahead_never_makes_a_sign_younger_than_the_window(
    ctx: FakeContext, of: str
) -> None:
    ctx.scoring_log.append([
        replace(ROW, request_id="in time", at=week(1).end - timedelta(days=1)),
        replace(ROW, request_id="ahead", at=week(1).end + timedelta(hours=5)),
    ])  # fmt: skip
    ctx.scoring_log.label([Label("in time", 1, week(1).end + timedelta(hours=5))])
    (kind,) = [kind for kind in MONITORS if kind.use == "staleness"]
    found = kind.model_validate({"of": of}).measure(ctx, week(1), Minimum())
    assert found.value == (1 if of == "requests" else 0)


@pytest.mark.parametrize("use", [*CELLS, *NUMBERS, "quality.log", "fairness", *VALUES])
def test_requests_of_a_clock_that_is_ahead_are_in_the_window_of_their_own_time(
    ctx: FakeContext, use: str
) -> None:
    usual(ctx)
    clean = monitor(use).measure(ctx, week(1), Minimum())
    strange = {"income": "ahead", "city": "Rom"}
    ctx.scoring_log.append(
        replace(ROW, request_id=f"ahead{n}", at=week(2).start, inputs=strange) for n in range(300)
    )
    assert monitor(use).measure(ctx, week(1), Minimum()) == clean
