"""Looks that were taken are kept in both logs, whoever takes them at the same time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from waystage.plugin import Compared, ScoringLog

OF = Compared("cc-fraud", "fraud/1", "fraud/2", "auc")


def test_looks_that_are_taken_at_once_are_one_after_the_other(log: ScoringLog) -> None:
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda n: log.looks(OF, {"data": f"sha256:{n % 12}"}), range(24)))
    kept = log.looks(OF)
    assert sorted(str(look["data"]) for look in kept) == sorted(f"sha256:{n}" for n in range(12))
    for seen in told:  # nobody saw another order than the one that was kept
        assert seen == kept[: len(seen)]


def test_looks_stay_when_the_rows_go(log: ScoringLog) -> None:
    assert log.looks(OF) == []
    log.looks(OF, {"data": "sha256:a"})
    kept = log.model_copy(update={"keep": timedelta(days=1)})
    kept.tend(datetime(2036, 1, 1, tzinfo=UTC))
    assert log.looks(OF) == [{"data": "sha256:a"}]
