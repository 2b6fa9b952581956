"""What drift, staleness and regression read of the scoring log."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from waystage.errors import Hopeless
from waystage.plugin import Grouped, Label, Outcome, ScoredRow, ScoringLog, Slice
from waystage_plugins.scoring import SqliteScoringLog

START = datetime(2026, 1, 5, tzinfo=UTC)
WEEK = Slice("cc-fraud", "PROD", START, START + timedelta(days=7), "fraud/1")
ROW = ScoredRow("r0", START, "cc-fraud", "PROD", "fraud/1", "champion", 0.5)
SCORES = [0.5, 0.25, 0.5, None, math.nan, math.inf]


class OnlyRows(ScoringLog):
    """Stream the rows of another log: what authors of a log have to write at least."""

    use = "scoring_log.only_rows"
    path: Path

    def append(self, rows: Iterable[ScoredRow]) -> int:
        return self._log.append(rows)

    def label(self, labels: Iterable[Label]) -> int:
        return self._log.label(labels)

    def grouped(self, which: Slice) -> Grouped:
        return self._log.grouped(which)

    def counts(self, which: Slice) -> tuple[int, int]:
        return self._log.counts(which)

    def rows(self, which: Slice, *, labelled: bool = False) -> Iterator[Sequence[object]]:
        return self._log.rows(which, labelled=labelled)

    @property
    def _log(self) -> SqliteScoringLog:
        return SqliteScoringLog(path=self.path)


@pytest.fixture(params=[SqliteScoringLog, OnlyRows])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> ScoringLog:
    made: ScoringLog = request.param(path=tmp_path / "scores.db")
    made.append(
        replace(ROW, request_id=f"r{n}", score=score, at=START + timedelta(hours=n))
        for n, score in enumerate(SCORES)
    )
    return made


def test_scores_are_counted_whether_labelled_or_not(log: ScoringLog) -> None:
    log.label([Label("r0", 1, START)])
    assert list(log.scores(WEEK)) == [(0.25, 1), (0.5, 2), (None, 3)]


def test_the_newest_request_is_known_within_the_slice_alone(log: ScoringLog) -> None:
    assert log.newest(WEEK) == START + timedelta(hours=5)
    assert log.newest(replace(WEEK, end=START + timedelta(hours=5))) == START + timedelta(hours=4)
    assert log.newest(replace(WEEK, snapshot="fraud/2")) is None


def test_a_log_that_knows_no_true_values_says_so(tmp_path: Path) -> None:
    log = OnlyRows(path=tmp_path / "scores.db")
    with pytest.raises(Hopeless, match=r"scoring_log\.only_rows keeps no true values"):
        log.outcomes([Outcome("r0", 1.5, START)])
    with pytest.raises(Hopeless, match="keeps no true values"):
        list(log.valued(WEEK))
    with pytest.raises(Hopeless, match="keeps no true values"):
        log.valued_rows(WEEK)
    with pytest.raises(Hopeless, match="does not tell when labels came"):
        log.newest_label(WEEK)


@pytest.fixture
def sqlite(tmp_path: Path) -> SqliteScoringLog:
    log = SqliteScoringLog(path=tmp_path / "scores.db")
    log.append(replace(ROW, request_id=f"r{n}", score=score) for n, score in enumerate(SCORES))
    return log


def test_true_values_stand_beside_their_scores(sqlite: SqliteScoringLog) -> None:
    assert list(sqlite.valued(WEEK)) == [(s if n < 3 else None, None) for n, s in enumerate(SCORES)]
    assert sqlite.outcomes([Outcome("r0", 1.5, START), Outcome("r3", -2.0, START)]) == 2
    assert sorted(sqlite.valued(WEEK), key=str) == sorted(
        [(0.5, 1.5), (0.25, None), (0.5, None), (None, -2.0), (None, None), (None, None)], key=str
    )


def test_rows_with_a_true_value_come_by_time_with_their_inputs(sqlite: SqliteScoringLog) -> None:
    early = replace(ROW, request_id="z", at=START, score=0.75, inputs={"income": 1.5})
    sqlite.append([replace(early, request_id="a", at=START + timedelta(hours=1)), early])
    told = [Outcome(name, value, START) for name, value in (("a", 7.5), ("z", -2), ("unknown", 1))]
    sqlite.outcomes(told)
    assert list(sqlite.valued_rows(WEEK)) == [
        ("z", START, 0.75, {"income": 1.5}, -2.0),
        ("a", START + timedelta(hours=1), 0.75, {"income": 1.5}, 7.5),
    ]


def test_of_two_true_values_the_later_stays_in_whatever_order_they_come(
    sqlite: SqliteScoringLog,
) -> None:
    early, late = Outcome("r0", 9.0, START), Outcome("r0", 1.5, START + timedelta(days=1))
    assert sqlite.outcomes([late, early, late]) == 1
    assert (0.5, 1.5) in list(sqlite.valued(WEEK))


@pytest.mark.parametrize("value", [math.nan, math.inf, True, "1"])
def test_what_is_no_finite_number_is_no_true_value(sqlite: SqliteScoringLog, value: float) -> None:
    with pytest.raises(Hopeless, match=r"true value of request 'r0' is .*, no (finite )?number"):
        sqlite.outcomes([Outcome("r0", value, START)])


def test_the_newest_label_is_told_by_its_own_time(sqlite: SqliteScoringLog) -> None:
    assert sqlite.newest_label(WEEK) is None
    later = START + timedelta(days=40)
    unseen = Label("other", 1, later + timedelta(days=1))
    sqlite.label([Label("r0", 1, START), Label("r1", 0, later), unseen])
    assert sqlite.newest_label(WEEK) == later
