"""Every built-in describer keeps the contract of describers; one that draws nothing is found."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import ClassVar

import pytest

from waystage.plugin import (
    Column,
    Context,
    Deployed,
    Describer,
    JsonObject,
    Label,
    Outcome,
    Placement,
    ScoredRow,
    Section,
    Snapshot,
    Table,
    Watched,
    Window,
)
from waystage.testing import FakeContext, check_describer, check_plugin
from waystage_plugins.describers import DESCRIBERS
from waystage_plugins.scoring import SqliteScoringLog

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
WATCHED = tuple(
    Watched(name=use, use=use, settings={}, kept={})
    for use in ("performance.rmse", "performance.ks")
)
FULL = Window(start=START + timedelta(days=30), end=START + timedelta(days=60))
EMPTY = Window(start=START + timedelta(days=300), end=START + timedelta(days=330))
SNAPSHOT = Snapshot(
    name="credit", version="1", digest="sha256:" + "1" * 64,
    inputs=(Column(name="age"), Column(name="town", type="string")),
)  # fmt: skip


@pytest.fixture
def ctx(tmp_path: Path) -> FakeContext:
    log, random = SqliteScoringLog(path=tmp_path / "scores.db"), Random(7)
    rows, labels = [], []
    for number in range(1200):
        at = START + timedelta(days=60) * number / 1200
        score = round(random.random(), 3)
        inputs: JsonObject = {"age": random.randint(20, 70), "town": random.choice(["a", "b", "c"])}
        rows.append(ScoredRow(str(number), at, "credit-risk", "PROD", "credit/1", "champion",
                              score, inputs))  # fmt: skip
        labels.append(Label(str(number), int(random.random() < score), at + timedelta(days=1)))
    log.append(rows)
    log.label(labels)
    log.outcomes(Outcome(row.request_id, (row.score or 0) + random.gauss(0, 0.1), row.at + DAY)
                 for row in rows)  # fmt: skip
    found = FakeContext(tmp_path, stage="PROD", snapshot=SNAPSHOT)
    found.scoring_log = log
    deployed = Deployed(stage="PROD", runtime="prod", mode="online", role="champion", handle={})
    found.inventory = [Placement("credit-risk", SNAPSHOT, deployed, "credit-risk-1", START)]
    return found


@pytest.mark.parametrize("kind", DESCRIBERS, ids=lambda kind: kind.use)
def test_a_describer_keeps_the_contract(kind: type[Describer], ctx: FakeContext) -> None:
    check_plugin(kind)
    for section in check_describer(kind(), ctx, FULL, EMPTY, WATCHED):
        assert not section.missing
        assert section.figures
        assert section.tables


class Silent(Describer):
    """Say nothing about an empty window.

    - use: test.silent
    """

    use: ClassVar[str] = "test.silent"

    def describe(
        self, ctx: Context, window: Window, watched: Sequence[Watched]
    ) -> Sequence[Section]:
        return [Section(id="x", title="X", tables=(Table(title="T", columns=("a",), rows=()),))]


def test_a_describer_that_does_not_say_what_is_missing_is_found(ctx: FakeContext) -> None:
    with pytest.raises(AssertionError, match="does not say that there is nothing"):
        check_describer(Silent(), ctx, FULL, EMPTY)


def test_a_section_cannot_be_empty_without_a_reason() -> None:
    with pytest.raises(ValueError, match="does not say why"):
        Section(id="x", title="X")
