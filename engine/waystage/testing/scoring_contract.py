"""What every scoring log must hold to: once per request, labels in any order, half-open windows."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from waystage.errors import Hopeless
from waystage.plugin import Compared, Grouped, JsonObject, Label, ScoredRow, ScoringLog, Slice

START = datetime(2026, 1, 5, 12, tzinfo=UTC)
DAY = timedelta(days=1)
ROW = ScoredRow("r0", START, "contract", "PROD", "credit/1", "champion", 0.5, {"income": 1.5})
WEEK = Slice("contract", "PROD", START, START + 7 * DAY, "credit/1")


def check_scoring_log(log: ScoringLog) -> None:
    """An empty log keeps each request once and counts what its labels say, however they come."""
    _check_rows(log)
    _check_latencies(log)
    _check_labels(log)
    _check_looks(log)
    _check_tending(log)


def _check_rows(log: ScoringLog) -> None:
    scores = [0.5, 0.25, 0.5, None, math.nan, math.inf]
    rows = [replace(ROW, request_id=f"r{n}", at=START + n * DAY, score=s)
            for n, s in enumerate(scores)]  # fmt: skip
    assert log.append(rows) == len(rows), "new rows are not counted as new"
    assert log.append(rows) == 0, "the same rows were kept twice"
    later = replace(ROW, at=START + 3 * DAY, score=0.9, snapshot="credit/2")
    assert log.append([later]) == 0, "a request id that came again on another day was kept twice"
    outside = [
        replace(ROW, request_id="before", at=START - timedelta(microseconds=1)),
        replace(ROW, request_id="after", at=WEEK.end),
        replace(ROW, request_id="r0", role="challenger", snapshot="credit/1"),
        replace(ROW, request_id="other", service="contract-2"),
        replace(ROW, request_id="other", stage="SIT"),
        replace(ROW, request_id="second", snapshot="credit/2"),
    ]
    assert log.append(outside) == len(outside), "rows of other places are not kept"
    assert log.counts(WEEK) == (len(rows), 0), "the slice holds other rows than its own"
    told = [row[0] for row in log.rows(WEEK)]
    assert told == [row.request_id for row in rows], "rows do not come by time"
    assert _counted(log.grouped(WEEK)) == ({}, len(rows), 0, 3), "rows without label are counted"
    everyone = replace(WEEK, role=None, snapshot=None)
    assert log.counts(everyone)[0] == len(rows) + 1, "a request that two models answered is twice"


def _check_latencies(log: ScoringLog) -> None:
    timed = [replace(ROW, request_id=f"t{n}", stage="UAT", latency_ms=took)
             for n, took in enumerate((4.0, None, 2.5))]  # fmt: skip
    log.append(timed)
    try:
        told = sorted(log.latencies(replace(WEEK, stage="UAT")))
    except Hopeless:
        return  # a log may say that it does not tell them
    assert told == [2.5, 4.0], "latencies are not those of the slice's rows that have one"


def _check_labels(log: ScoringLog) -> None:
    assert log.label([Label("r0", 1, START + 10 * DAY), Label("r1", 0, START)]) == 2
    found = _counted(log.grouped(WEEK))[0]
    assert found == {0.25: (0, 1), 0.5: (1, 0)}, "labels that came are not counted"
    assert log.label([Label("r0", 0, START)]) == 0, "an older label that came late won"
    assert log.label([Label("r0", 0, START + 11 * DAY)]) == 1, "a correction was not taken"
    assert log.label([Label("r0", 0, START + 11 * DAY)]) == 0, "a repeated label changed something"
    assert log.label([Label("r2", 0, START), Label("r2", 1, START)]) > 0
    counted = _counted(log.grouped(WEEK))
    assert counted == ({0.25: (0, 1), 0.5: (1, 1)}, 6, 3, 3), "late labels are not counted"
    assert log.label([Label("r3", 1, START)]) == 1
    assert _counted(log.grouped(WEEK)) == ({0.25: (0, 1), 0.5: (1, 1)}, 6, 4, 3)
    assert log.label([Label("early", 1, START)]) == 1, "a label before its request is not kept"
    assert log.append([replace(ROW, request_id="early", score=0.75)]) == 1
    assert _counted(log.grouped(WEEK))[0][0.75] == (1, 0), "a label before its request is lost"


def _check_looks(log: ScoringLog) -> None:
    of = Compared("contract", "credit/1", "credit/2", "auc")
    first: JsonObject = {"data": "sha256:a", "events": 1}
    second: JsonObject = {"data": "sha256:b", "events": 2}
    assert log.looks(of, first) == [first], "a look that is taken is not told"
    if not log.looks(of):
        return  # a log may keep none
    log.looks(of, second)
    assert log.looks(of) == [first, second], "looks that were taken are not kept in their order"
    assert log.looks(of, second | {"events": 9}) == [first, second], "data were looked at twice"
    for other in (replace(of, challenger="credit/3"), replace(of, metric="ks")):
        assert log.looks(other) == [], "looks of other comparisons are counted"


def _check_tending(log: ScoringLog) -> None:
    before = _counted(log.grouped(WEEK))
    for _ in range(2):
        log.tend(START + 8 * DAY)
        assert _counted(log.grouped(WEEK)) == before, "tending the log changed what it counts"
    assert log.label([Label("r1", 1, START + 20 * DAY)]) == 1
    assert _counted(log.grouped(WEEK))[0][0.25] == (1, 0), "a label after the roll-up is not seen"


def _counted(found: Grouped) -> tuple[dict[float, tuple[int, int]], int, int, int]:
    scores = found.score.tolist()
    assert scores == sorted(set(scores)), "scores are not distinct and ascending"
    pairs = zip(found.n_event.tolist(), found.n_nonevent.tolist(), strict=True)
    return (
        dict(zip(scores, pairs, strict=True)), found.rows, found.labelled, found.excluded
    )  # fmt: skip
