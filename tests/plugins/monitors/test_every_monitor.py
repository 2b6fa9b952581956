"""What never changes a measurement, for every monitor that reads the scoring log.

Each world is the same 1,200 requests told in another way: shuffled and twice, three times under
other names, with scores on another scale, with labels swapped.
"""

from __future__ import annotations

import random as dice
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import exp
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from waystage.plugin import (
    Column,
    Deployed,
    Label,
    Measurement,
    Minimum,
    Outcome,
    Placement,
    ScoredRow,
    Snapshot,
    Window,
)
from waystage.testing import FakeContext
from waystage_plugins.monitors import MONITORS
from waystage_plugins.scoring import SqliteScoringLog

START = datetime(2026, 1, 5, tzinfo=UTC)
DAY = timedelta(days=1)
FIRST, SECOND = (Window(start=START + n * DAY, end=START + (n + 1) * DAY) for n in range(2))
SIZE = 600  # requests of a day
SNAPSHOT = Snapshot(
    name="fraud", version="1", digest="sha256:" + "0" * 64,
    inputs=(Column(name="income"), Column(name="city", type="string")),
)  # fmt: skip
AUC: dict[str, Any] = {"use": "performance.auc"}
SETTINGS: dict[str, dict[str, Any]] = {
    "fairness": {"group": "city", "least": 50}, "decay": {"metric": AUC},
    "expression": {"metrics": {"auc": AUC}, "when": "auc < 0.6"},
    "performance.f1": {"threshold": 0.6}, "performance.accuracy": {"threshold": 0.6},
}  # fmt: skip
LABELLED = ("performance.ks", "performance.auc", "performance.gini", "performance.lift",
            "performance.brier", "performance.calibration", "performance.f1",
            "performance.accuracy")  # fmt: skip
RANKS = (*LABELLED[:4], "decay", "expression", "drift.psi", "drift.js", "drift.chi2", "drift.ks",
         "volume", "staleness")  # fmt: skip
EVERY = [kind.use for kind in MONITORS if kind.use not in ("sql", "http")]
every_monitor = pytest.mark.parametrize("use", EVERY)

Request = tuple[ScoredRow, int, float]  # with its label and its true value


def requests() -> list[Request]:
    """Draw both days; the second one is a little different."""
    random = np.random.default_rng(7)
    found = []
    for n in range(2 * SIZE):
        day, event = n // SIZE, int(random.random() < 0.4)
        score = float(round(1 / (1 + exp(-random.normal() - event - 0.2 * day)), 2))
        inputs: dict[str, Any] = {"income": float(random.lognormal(8, 0.5)),
                                  "city": str(random.choice(["Ulm", "Bonn", "Kiel"]))}  # fmt: skip
        at = START + day * DAY + timedelta(seconds=n % SIZE)
        row = ScoredRow(f"r{n}", at, "s", "PROD", "fraud/1", "champion", score, inputs)
        found.append((row, event, score + 0.3 * event))
    return found


def told(ctx: FakeContext, found: Sequence[Request]) -> None:
    ctx.scoring_log.append(row for row, _, _ in found)
    ctx.scoring_log.label(Label(row.request_id, event, START) for row, event, _ in found)
    ctx.scoring_log.outcomes(Outcome(row.request_id, value, START) for row, _, value in found)


def shuffled_and_twice(found: list[Request]) -> Iterator[Sequence[Request]]:
    mixed = list(found)
    dice.Random(1).shuffle(mixed)
    for first in range(0, len(mixed), 100):
        yield mixed[first : first + 100]
    yield mixed[::-1]


def three_times(found: list[Request]) -> Iterator[Sequence[Request]]:
    for name in "abc":
        yield [(replace(row, request_id=f"{name}{row.request_id}"), event, value)
               for row, event, value in found]  # fmt: skip


def on_another_scale(found: list[Request]) -> Iterator[Sequence[Request]]:
    yield [(replace(row, score=exp(4 * (row.score or 0)) - 7), event, value)
           for row, event, value in found]  # fmt: skip


def with_labels_swapped(found: list[Request]) -> Iterator[Sequence[Request]]:
    yield [(row, 1 - event, value) for row, event, value in found]


Telling = Callable[[list[Request]], Iterator[Sequence[Request]]]


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Telling], FakeContext]:
    """Give the context of a world, made once."""
    made: dict[Telling, FakeContext] = {}

    def world(telling: Telling) -> FakeContext:
        if telling not in made:
            place: Path = tmp_path_factory.mktemp(telling.__name__)
            log = SqliteScoringLog(path=place / "scores.db")
            ctx = FakeContext(place, service="s", stage="PROD", snapshot=SNAPSHOT, scoring_log=log)
            here = Deployed(stage="PROD", runtime="okd", mode="online")
            ctx.inventory = [Placement("s", SNAPSHOT, here, "s-1", START)]
            ctx.clock.turn(START + 10 * DAY - ctx.now)
            for part in telling(requests()):
                told(ctx, part)
            made[telling] = ctx
        return made[telling]

    return world


def as_it_is(found: list[Request]) -> Iterator[Sequence[Request]]:
    yield found


def measured(ctx: FakeContext, use: str, window: Window = SECOND) -> Measurement:
    (kind,) = [kind for kind in MONITORS if kind.use == use]
    ctx.memo = {}
    found = kind.model_validate(SETTINGS.get(use, {})).measure(ctx, window, Minimum(events=50))
    return found.model_copy(update={"keep": None})


def numbers(found: Measurement) -> list[float]:
    """Give value, interval and noise; -9 for what there is not."""
    told = (found.value, found.low, found.high, found.noise)
    return [-9.0 if each is None else each for each in told]


def near(found: Measurement) -> Any:
    """Give what can be compared: sums of the same numbers in another order may round."""
    notes = {name: pytest.approx(value, rel=1e-9, abs=1e-12) if isinstance(value, float) else value
             for name, value in found.notes.items()}  # fmt: skip
    return pytest.approx(numbers(found), rel=1e-9, abs=1e-12), found.counts, notes


def plain(found: Measurement) -> Any:
    return numbers(found), found.counts, found.notes


@every_monitor
def test_order_and_repetition_of_what_is_told_change_nothing(
    worlds: Callable[[Telling], FakeContext], use: str
) -> None:
    known = measured(worlds(as_it_is), use)
    assert known.value is not None
    assert plain(measured(worlds(shuffled_and_twice), use)) == near(known)


@every_monitor
def test_every_request_three_times_is_every_request_with_that_weight(
    worlds: Callable[[Telling], FakeContext], use: str
) -> None:
    once, thrice = (measured(worlds(telling), use) for telling in (as_it_is, three_times))
    assert once.value is not None
    times = 3 if use == "volume" else 1
    assert thrice.value == pytest.approx(times * once.value, rel=1e-9, abs=1e-12)
    assert {name: 3 * count for name, count in once.counts.items()} == thrice.counts
    if once.method not in ("count", "expression"):
        assert None not in (once.low, once.high, thrice.low, thrice.high)
        assert thrice.high - thrice.low <= once.high - once.low  # type: ignore[operator]  # not None


@pytest.mark.parametrize("use", RANKS)
def test_a_rising_transform_of_the_scores_leaves_ranks_alone(
    worlds: Callable[[Telling], FakeContext], use: str
) -> None:
    plain_scale, other = (
        measured(worlds(telling), use) for telling in (as_it_is, on_another_scale)
    )
    assert plain(other)[:2] == near(plain_scale)[:2]


def test_swapped_labels_mirror_auc_and_gini(worlds: Callable[[Telling], FakeContext]) -> None:
    for use, whole in (("performance.auc", 1.0), ("performance.gini", 0.0)):
        here, there = (
            measured(worlds(telling), use) for telling in (as_it_is, with_labels_swapped)
        )
        assert here.value is not None
        assert here.low is not None
        assert here.high is not None
        assert (there.value, there.low, there.high) == pytest.approx(
            (whole - here.value, whole - here.high, whole - here.low)
        )
    assert measured(worlds(with_labels_swapped), "performance.ks").notes["inverted"] is True


@pytest.mark.parametrize("use", [u for u in EVERY if u not in LABELLED and u[:5] != "perfo"
                                 and u not in ("decay", "expression")])  # fmt: skip
def test_labels_are_nothing_to_who_needs_none(
    worlds: Callable[[Telling], FakeContext], use: str
) -> None:
    here, there = (measured(worlds(telling), use) for telling in (as_it_is, with_labels_swapped))
    assert plain(there) == near(here)


@pytest.mark.parametrize("use", [*LABELLED, "performance.r2", "performance.rmse", "volume",
                                 "quality.log", "fairness"])  # fmt: skip
def test_windows_that_meet_are_one_window(
    worlds: Callable[[Telling], FakeContext], use: str
) -> None:
    ctx = worlds(as_it_is)
    both = measured(ctx, use, Window(start=FIRST.start, end=SECOND.end))
    parts = [measured(ctx, use, window) for window in (FIRST, SECOND)]
    names = {name for part in parts for name in part.counts}
    assert both.counts == {name: sum(part.counts.get(name, 0) for part in parts) for name in names}
    if use in ("volume", "performance.accuracy", "performance.brier", "quality.log"):
        weights = [part.counts.get("usable", part.counts["rows"]) for part in parts]
        values = [part.value or 0.0 for part in parts]
        whole = sum(values) if use == "volume" else np.average(values, weights=weights)
        assert both.value == pytest.approx(whole)
