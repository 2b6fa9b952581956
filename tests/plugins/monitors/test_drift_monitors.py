"""Monitors of drift: where the baseline comes from, that it stays, and what is told."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from waystage.errors import Hopeless, Retryable
from waystage.plugin import (
    Column,
    Deployed,
    Measurement,
    Minimum,
    Placement,
    ScoredRow,
    Snapshot,
    Window,
)
from waystage.testing import FakeContext
from waystage_plugins.monitors import (
    Chi2Monitor,
    DriftKsMonitor,
    JsMonitor,
    PsiMonitor,
    WassersteinMonitor,
)
from waystage_plugins.monitors import baseline as baselines
from waystage_plugins.monitors.drifting import DriftMonitor
from waystage_plugins.repositories.folder import Folder
from waystage_plugins.scoring import SqliteScoringLog

START = datetime(2026, 1, 5, tzinfo=UTC)
WEEK = timedelta(days=7)
ROW = ScoredRow("r0", START, "cc-fraud", "PROD", "fraud/1", "champion", 0.5)
SNAPSHOT = Snapshot(
    name="fraud",
    version="1",
    digest="sha256:" + "0" * 64,
    inputs=(Column(name="income"), Column(name="city", type="string")),
)
ALL: list[type[DriftMonitor]] = [
    PsiMonitor, JsMonitor, Chi2Monitor, DriftKsMonitor, WassersteinMonitor,
]  # fmt: skip
every_monitor = pytest.mark.parametrize("kind", ALL, ids=lambda each: each.use)


def week(number: int) -> Window:
    return Window(start=START + number * WEEK, end=START + (number + 1) * WEEK)


@pytest.fixture
def ctx(tmp_path: Path) -> FakeContext:
    log = SqliteScoringLog(path=tmp_path / "scores.db")
    made = FakeContext(
        tmp_path, service="cc-fraud", stage="PROD", snapshot=SNAPSHOT, scoring_log=log
    )
    here = Deployed(stage="PROD", runtime="okd", mode="online")
    # deployed in the afternoon of the day before: the first whole day is START
    made.inventory = [
        Placement("cc-fraud", SNAPSHOT, here, "cc-fraud-1", START - timedelta(hours=9))
    ]
    made.clock.turn(START + 10 * WEEK - made.now)
    return made


def asked(ctx: FakeContext, number: int, size: int = 2000, **moved: Any) -> None:
    """Keep a week of requests; `moved` may shift scores or incomes, or give another city."""
    random = np.random.default_rng(number)
    score = random.beta(2, 5, size) + moved.get("score", 0.0)
    income = random.lognormal(8, 0.5, size) * moved.get("income", 1.0)
    city = random.choice(["Ulm", "Bonn", moved.get("city", "Kiel")], size)
    ctx.scoring_log.append(
        replace(
            ROW,
            request_id=f"{number}-{n}",
            at=START + number * WEEK + timedelta(seconds=n),
            score=float(score[n]),
            inputs={"income": float(income[n]), "city": str(city[n])},
        )
        for n in range(size)
    )


def measured(monitor: DriftMonitor, ctx: FakeContext, number: int) -> Measurement:
    """Measure a week as the engine does: what was kept comes back."""
    found = monitor.measure(ctx, week(number), Minimum())
    if found.keep is not None:
        ctx.memo = found.keep
    return found


def bare(found: Measurement) -> Measurement:
    """Give a measurement without what it keeps, which only the first one tells."""
    return found.model_copy(update={"keep": None})


@every_monitor
def test_no_drift_stays_below_the_noise_and_drift_is_far_above(
    ctx: FakeContext, kind: type[DriftMonitor]
) -> None:
    asked(ctx, 0)
    asked(ctx, 1)
    asked(ctx, 2, score=0.1)
    calm, moved = (measured(kind(), ctx, number) for number in (1, 2))
    assert calm.value is not None
    assert moved.value is not None
    assert calm.noise is not None
    assert calm.low is not None
    assert calm.high is not None
    assert calm.low <= calm.value <= calm.high
    assert calm.value <= calm.noise
    assert calm.notes["drifted"] == 0
    assert moved.value > 2 * calm.noise
    assert moved.notes["worst"] == "(score)"
    assert float(moved.notes["adjusted_p"]) < 0.01
    assert moved.counts == {"rows": 2000, "baseline": 2000}
    assert moved.notes["baseline"] == "2026-01-05 to 2026-01-12, 2000 requests"


@every_monitor
def test_weeks_in_any_order_give_the_same_measurements(
    ctx: FakeContext, kind: type[DriftMonitor]
) -> None:
    for number in range(3):
        asked(ctx, number)
    forth = {number: measured(kind(), ctx, number) for number in (1, 2)}
    ctx.memo = {}
    back = {number: measured(kind(), ctx, number) for number in (2, 1)}
    assert [bare(forth[n]) for n in (1, 2)] == [bare(back[n]) for n in (1, 2)]


@every_monitor
def test_the_baseline_stays_as_it_was_frozen(ctx: FakeContext, kind: type[DriftMonitor]) -> None:
    asked(ctx, 0)
    asked(ctx, 1)
    first = measured(kind(), ctx, 1)
    assert first.keep is not None
    ctx.scoring_log.append(  # rows that come late belong to no frozen baseline
        replace(ROW, request_id=f"late{n}", at=START, score=0.99) for n in range(500)
    )
    again = measured(kind(), ctx, 1)
    assert again.keep is None  # the run has it already
    assert again == bare(first)


@every_monitor
def test_a_baseline_of_another_version_is_refused(
    ctx: FakeContext, kind: type[DriftMonitor]
) -> None:
    asked(ctx, 0)
    asked(ctx, 1)
    measured(kind(), ctx, 1)
    ctx.snapshot = SNAPSHOT.model_copy(update={"version": "2"})
    with pytest.raises(Hopeless, match=r"stored baseline is of fraud/1 .*, not of fraud/2"):
        measured(kind(), ctx, 1)


def test_other_settings_freeze_another_baseline(ctx: FakeContext) -> None:
    asked(ctx, 0)
    asked(ctx, 1)
    measured(PsiMonitor(), ctx, 1)
    found = measured(PsiMonitor(bins=20, columns=("(score)",)), ctx, 1)
    assert found.keep is not None
    kept: Any = found.keep
    assert len(kept["columns"]["(score)"]["edges"]) == 19
    assert list(kept["columns"]) == ["(score)"]


@pytest.mark.parametrize(
    ("number", "size", "why"),
    [
        (0, 2000, "the window begins before the baseline (2026-01-05 to 2026-01-12) ends"),
        (1, 199, "199 scored requests are fewer than the 200 needed"),
        (20, 0, "0 scored requests are fewer than the 200 needed"),
    ],
    ids=["overlap", "few", "future"],
)
def test_what_cannot_be_compared_is_insufficient(
    ctx: FakeContext, number: int, size: int, why: str
) -> None:
    asked(ctx, 0)
    if number and size:
        asked(ctx, number, size)
    found = measured(PsiMonitor(), ctx, number)
    assert found.value is None
    assert found.insufficient.endswith(why)
    assert found.keep is not None  # the baseline is frozen all the same


def test_a_baseline_that_is_not_over_or_too_small_is_waited_for(ctx: FakeContext) -> None:
    asked(ctx, 0, 50)
    asked(ctx, 1)
    found = measured(PsiMonitor(), ctx, 1)
    assert "(2026-01-05 to 2026-01-12) has 50 requests, 200 are needed" in found.insufficient
    assert found.keep is None
    waiting = measured(PsiMonitor(length=timedelta(days=90)), ctx, 1)
    assert "the baseline (2026-01-05 to 2026-04-05) is not over yet" in waiting.insufficient


def test_without_a_place_in_the_inventory_the_author_says_since_when(ctx: FakeContext) -> None:
    ctx.inventory = []
    asked(ctx, 0)
    asked(ctx, 1)
    with pytest.raises(
        Hopeless, match=r"does not know since when fraud/1 has been in PROD; say si"
    ):
        measured(PsiMonitor(), ctx, 1)
    assert measured(PsiMonitor(since=START), ctx, 1).value is not None


def test_an_unknown_column_is_named_with_those_there_are(ctx: FakeContext) -> None:
    with pytest.raises(Hopeless, match=r"no input salary; it has \(score\), income, city"):
        measured(PsiMonitor(columns=("salary",)), ctx, 1)
    with pytest.raises(Hopeless, match=r"drift\.ks compares numbers, and city holds none"):
        measured(DriftKsMonitor(columns=("city",)), ctx, 1)


def test_a_new_category_and_missing_values_are_drift(ctx: FakeContext) -> None:
    asked(ctx, 0)
    asked(ctx, 1, city="Rom")
    found = measured(PsiMonitor(columns=("city",)), ctx, 1)
    assert (found.value or 0) > 1
    assert float(found.notes["unseen"]) == pytest.approx(1 / 3, abs=0.05)
    ctx.scoring_log.append(
        replace(
            ROW, request_id=f"n{n}", at=START + 2 * WEEK, inputs={"income": None, "city": "Ulm"}
        )
        for n in range(1000)
    )
    gone = measured(PsiMonitor(columns=("income",)), ctx, 2)
    assert float(gone.notes["missing"]) == 1


def test_text_and_nan_in_a_column_of_numbers_are_drift_and_no_crash(ctx: FakeContext) -> None:
    asked(ctx, 0)
    odd: Sequence[object] = ["1.5", True, float("nan"), float("inf"), [1], 7.0]
    ctx.scoring_log.append(
        replace(
            ROW, request_id=f"n{n}", at=START + WEEK, inputs={"income": odd[n % 6], "city": "Ulm"}
        )  # type: ignore[dict-item]  # that is the test
        for n in range(1200)
    )
    for kind in ALL:
        found = kind(columns=("income",)).measure(ctx, week(1), Minimum())
        assert (found.value or 0) > 0.3


def test_the_score_alone_is_read_without_inputs(
    ctx: FakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked(ctx, 0)
    asked(ctx, 1)
    only = PsiMonitor(columns=("(score)",))
    whole = measured(PsiMonitor(), ctx, 1).notes["column (score)"]
    ctx.memo = {}
    measured(only, ctx, 1)
    monkeypatch.setattr(baselines, "logged", None)  # reading inputs would fail now
    assert measured(only, ctx, 1).value == whole


def test_a_threshold_below_the_noise_of_few_requests_is_left_to_the_verdict(
    ctx: FakeContext,
) -> None:
    asked(ctx, 0, 300)
    asked(ctx, 1, 300)
    found = measured(PsiMonitor(), ctx, 1)
    # Yurdakul: (1/300 + 1/300) times the 95 % point of chi-square, here for three columns
    assert found.noise == pytest.approx(2 / 300 * 20.5, rel=0.15)


def test_fifty_columns_do_not_cry_wolf(ctx: FakeContext) -> None:
    names = [f"x{n}" for n in range(50)]
    ctx.snapshot = SNAPSHOT.model_copy(update={"inputs": tuple(Column(name=n) for n in names)})
    random = np.random.default_rng(1)
    for number in range(2):
        values = random.normal(size=(1000, 50))
        ctx.scoring_log.append(
            replace(
                ROW,
                request_id=f"{number}-{n}",
                at=START + number * WEEK,
                inputs=dict(zip(names, values[n].tolist(), strict=True)),
            )
            for n in range(1000)
        )
    found = {how: measured(PsiMonitor(correction=how), ctx, 1) for how in ("none", "holm", "fdr")}  # type: ignore[arg-type]  # its three words
    assert float(found["none"].notes["drifted"]) >= 1
    assert found["holm"].notes["drifted"] == found["fdr"].notes["drifted"] == 0
    assert len([name for name in found["holm"].notes if name.startswith("column ")]) == 20


def test_a_baseline_that_is_too_large_to_keep_says_what_to_do(ctx: FakeContext) -> None:
    names = [f"a_column_of_many_{n}" for n in range(200)]
    ctx.snapshot = SNAPSHOT.model_copy(update={"inputs": tuple(Column(name=n) for n in names)})
    random = np.random.default_rng(1)
    ctx.scoring_log.append(
        replace(ROW, request_id=f"r{n}", inputs=dict.fromkeys(names, float(random.normal())))
        for n in range(300)
    )
    with pytest.raises(Hopeless, match=r"baseline of 201 columns takes .*: name fewer columns"):
        measured(DriftKsMonitor(), ctx, 1)


@pytest.fixture
def with_reference(ctx: FakeContext, tmp_path: Path) -> FakeContext:
    random = np.random.default_rng(5)
    home = tmp_path / "source"
    home.mkdir()
    (home / "model.onnx").write_bytes(b"model")
    with (home / "reference.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["city", "income", "score"])
        for score, income, city in zip(
            random.beta(2, 5, 3000), random.lognormal(8, 0.5, 3000),
            random.choice(["Ulm", "Bonn", "Kiel"], 3000), strict=True,
        ):  # fmt: skip
            writer.writerow([city, income, score])
    ctx.repository = Folder(path="models")
    (ctx.project / "models").mkdir()
    inputs: Any = [each.model_dump() for each in SNAPSHOT.inputs]
    manifest: Any = {"name": "fraud", "version": "1", "inputs": inputs}
    ctx.snapshot = ctx.repository.register(ctx, home, manifest, key="k")
    return ctx


def test_the_baseline_may_be_a_file_of_the_snapshot(with_reference: FakeContext) -> None:
    asked(with_reference, 0)
    asked(with_reference, 1, income=1.5)
    calm, moved = (
        measured(PsiMonitor(baseline="snapshot"), with_reference, number) for number in (0, 1)
    )
    assert calm.notes["baseline"] == "reference.csv of fraud/1, 3000 requests"
    assert calm.value is not None
    assert calm.noise is not None
    assert calm.value <= calm.noise
    assert moved.notes["worst"] == "income"


def test_a_snapshot_without_the_file_says_what_to_do(with_reference: FakeContext) -> None:
    with pytest.raises(Hopeless, match=r"fraud/1 has no file other\.csv .* or say baseline: first"):
        measured(PsiMonitor(baseline="snapshot", reference="other.csv"), with_reference, 0)
    lost = (*SNAPSHOT.inputs, Column(name="age"))
    with_reference.snapshot = with_reference.snapshot.model_copy(update={"inputs": lost})
    with pytest.raises(Hopeless, match=r"reference\.csv has no column age; it has city, income"):
        measured(PsiMonitor(baseline="snapshot"), with_reference, 0)


def test_a_measurement_that_nobody_wants_any_more_ends_early(ctx: FakeContext) -> None:
    asked(ctx, 0, 10_000)
    ctx.cancelled = True
    with pytest.raises(Retryable, match="cancelled"):
        measured(PsiMonitor(), ctx, 1)


@pytest.mark.parametrize(
    "wrong", [{"bins": 1}, {"since": "2026-01-05T00:00"}, {"correction": "no"}]
)
def test_settings_that_make_no_sense_are_refused(wrong: Mapping[str, Any]) -> None:
    with pytest.raises(ValidationError):
        PsiMonitor.model_validate(wrong)
