"""Looks at a challenger are counted over runs, whichever log keeps them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from challenged import another_run, ask, compared, contested, later
from postgres_server import PostgresServer

from waystage.plugin import Compared
from waystage.testing import FakeContext
from waystage_plugins.scoring import PostgresqlScoringLog
from waystage_plugins.scoring.postgres.connect import Place, forget_connections

OF = Compared("cc-fraud", "fraud/1", "fraud/2", "auc")
POOR: dict[str, Any] = {"count": 450, "challenger": 0.05}


@pytest.fixture(params=["sqlite", "postgresql"])
def ctx(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FakeContext]:
    ctx = contested(tmp_path)
    if request.param == "sqlite":
        yield ctx
        return
    server: PostgresServer = request.getfixturevalue("shared_postgres")
    url = server.database(empty=True)
    ctx.scoring_log = PostgresqlScoringLog(url=url)
    yield ctx
    forget_connections(Place(url, "waystage_scores"))
    server.drop(url)


def test_another_run_for_the_same_challenger_goes_on_counting(ctx: FakeContext) -> None:
    ask(ctx, **POOR)
    first = compared(ctx, looks=2, before=[])
    another_run(ctx, 2)
    ask(ctx, seed=2, **POOR)
    second = compared(ctx, looks=2, before=[])
    assert (second.look, len(second.looked)) == (2, 2)
    assert [look.run for look in second.looked] == ["credit-risk-1", "cc-fraud-2"]
    assert second.start > first.start, "the window of a run is its own"
    assert second.level is not None
    assert second.level > 0.95, "the first look's part of the error is gone"

    another_run(ctx, 3)
    ask(ctx, seed=3)  # now it is better, too late
    last = compared(ctx, looks=2, before=[])
    assert (last.verdict, last.gain, last.looked) == ("keep", None, second.looked)
    assert last.why == (
        "all 2 declared looks were taken and none was enough; 2 of the 2 by other runs"
    )


def test_a_run_that_goes_on_looks_at_its_own_growing_window(ctx: FakeContext) -> None:
    ask(ctx, **POOR)
    compared(ctx, looks=4, before=[])
    another_run(ctx, 2)
    ask(ctx, seed=2, **POOR)
    second = compared(ctx, looks=4, before=[])
    later(ctx)
    ctx.key = "cc-fraud-2/again/step"
    ask(ctx, seed=3, **POOR)
    third = compared(ctx, looks=4, before=[look.model_dump() for look in second.looked])
    assert (third.look, third.start) == (3, second.start)


def test_who_asks_for_more_looks_in_another_run_gets_none_for_nothing(ctx: FakeContext) -> None:
    ask(ctx, **POOR)
    assert compared(ctx).verdict == "keep"  # one look was declared, and taken
    another_run(ctx, 2)
    ask(ctx, seed=2)
    found = compared(ctx, looks=9, before=[])
    assert found.level is not None
    assert found.level > 1 - 1e-11


def test_another_challenger_or_metric_is_another_comparison(ctx: FakeContext) -> None:
    ask(ctx)
    compared(ctx)
    ctx.key = "cc-fraud-1/ks/step"
    assert compared(ctx, metric="ks").look == 1
    other = Compared("cc-fraud", "fraud/1", "fraud/3", "auc")
    assert (len(ctx.scoring_log.looks(OF)), ctx.scoring_log.looks(other)) == (1, [])


def test_a_repeated_attempt_is_no_other_look(ctx: FakeContext) -> None:
    ask(ctx)
    found = compared(ctx, looks=3, before=[])
    ctx.attempt = 2
    assert compared(ctx, looks=3, before=[]) == found
    assert len(ctx.scoring_log.looks(OF)) == 1
