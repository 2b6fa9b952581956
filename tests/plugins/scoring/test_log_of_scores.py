"""Both scoring logs: once per request, labels in any order, counts that add up."""

from __future__ import annotations

import math
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from waystage.errors import Hopeless
from waystage.plugin import Label, ScoredRow, ScoringLog, Slice

START = datetime(2026, 1, 5, tzinfo=UTC)
DAY = timedelta(days=1)
WEEK = Slice("cc-fraud", "PROD", START, START + 7 * DAY, "fraud/1")
ROW = ScoredRow("r0", START, "cc-fraud", "PROD", "fraud/1", "champion", 0.5, {"income": 1.5})

WRITER = """
import sys
from datetime import UTC, datetime
from waystage.plugin import Label, ScoredRow
from waystage_plugins.scoring import SCORING_LOGS
use, settings, first = sys.argv[1], sys.argv[2], int(sys.argv[3])
kind = next(each for each in SCORING_LOGS if each.use == use)
log, at = kind.model_validate_json(settings), datetime(2026, 1, 5, tzinfo=UTC)
new = 0
for number in range(first, first + 200):
    row = ScoredRow(f"r{number}", at, "cc-fraud", "PROD", "fraud/1", "champion", 0.5)
    new += log.append([row])
    log.label([Label(row.request_id, number % 2, at)])
print(new)
"""


def scored(*scores: float | None) -> list[ScoredRow]:
    return [
        replace(ROW, request_id=f"r{number}", score=score, at=START + timedelta(seconds=number))
        for number, score in enumerate(scores)
    ]


def test_what_was_appended_is_streamed_in_time_order_with_its_label(log: ScoringLog) -> None:
    log.append(reversed(scored(0.25, 0.75)))
    log.label([Label("r1", 1, START + DAY)])
    assert list(log.rows(WEEK)) == [
        ("r0", START, 0.25, {"income": 1.5}, None),
        ("r1", START + timedelta(seconds=1), 0.75, {"income": 1.5}, 1),
    ]
    assert [row[0] for row in log.rows(WEEK, labelled=True)] == ["r1"]
    assert log.counts(WEEK) == (2, 1)


def test_rows_of_one_instant_come_by_request_id(log: ScoringLog) -> None:
    log.append([replace(ROW, request_id=name) for name in ("c", "a", "b")])
    assert [row[0] for row in log.rows(WEEK)] == ["a", "b", "c"]


def test_a_request_id_counts_once_and_its_first_answer_stays(log: ScoringLog) -> None:
    assert log.append([ROW, replace(ROW, score=0.9)]) == 1
    assert log.append([replace(ROW, score=0.7, snapshot="fraud/2")]) == 0
    assert [row[2] for row in log.rows(WEEK)] == [0.5]


def test_champion_and_challenger_may_answer_the_same_request(log: ScoringLog) -> None:
    shadow = replace(ROW, role="challenger", snapshot="fraud/2", score=0.9)
    assert log.append([ROW, shadow]) == 2
    assert log.counts(WEEK) == (1, 0)
    challenger = replace(WEEK, role="challenger", snapshot="fraud/2")
    assert [row[2] for row in log.rows(challenger)] == [0.9]


def test_over_all_roles_a_request_id_is_one_row(log: ScoringLog) -> None:
    shadow = replace(ROW, role="challenger", at=START + timedelta(seconds=1), score=0.9)
    log.append([shadow, ROW])
    log.label([Label("r0", 1, START)])
    everything = replace(WEEK, role=None, snapshot=None)
    assert log.counts(everything) == (1, 1)
    assert [row[2] for row in log.rows(everything)] == [0.5]
    assert log.grouped(everything).n_event.tolist() == [1]


def test_a_window_is_half_open_to_the_microsecond(log: ScoringLog) -> None:
    tick = timedelta(microseconds=1)
    instants = [START - tick, START, WEEK.end - tick, WEEK.end]
    log.append([replace(ROW, request_id=f"r{n}", at=at) for n, at in enumerate(instants)])
    assert [row[:2] for row in log.rows(WEEK)] == [("r1", START), ("r2", WEEK.end - tick)]


def test_instants_of_other_zones_are_the_same_instants(log: ScoringLog) -> None:
    berlin = timezone(timedelta(hours=1))
    log.append([replace(ROW, at=START.astimezone(berlin))])
    assert [row[1] for row in log.rows(WEEK)] == [START]


def test_other_services_stages_versions_and_roles_stay_out(log: ScoringLog) -> None:
    others = [
        replace(ROW, request_id="a", service="cc-other"),
        replace(ROW, request_id="b", stage="SIT"),
        replace(ROW, request_id="c", snapshot="fraud/2"),
        replace(ROW, request_id="d", role="challenger"),
    ]
    log.append([ROW, *others])
    assert log.counts(WEEK) == (1, 0)
    assert log.counts(replace(WEEK, snapshot=None)) == (2, 0)
    assert log.counts(replace(WEEK, snapshot=None, role=None)) == (3, 0)


def test_a_label_may_come_before_its_request(log: ScoringLog) -> None:
    assert log.label([Label("r0", 1, START + DAY)]) == 1
    assert log.counts(WEEK) == (0, 0)
    log.append([ROW])
    assert log.counts(WEEK) == (1, 1)


def test_a_late_label_counts_from_then_on(log: ScoringLog) -> None:
    log.append([ROW])
    assert log.grouped(WEEK).labelled == 0
    log.label([Label("r0", 0, START + 400 * DAY)])
    assert log.grouped(WEEK).n_nonevent.tolist() == [1]


def test_of_several_labels_the_latest_by_its_own_time_wins(log: ScoringLog) -> None:
    log.append([ROW])
    assert log.label([Label("r0", 1, START + 2 * DAY)]) == 1
    assert log.label([Label("r0", 0, START + DAY)]) == 0  # arrives later, is older
    assert log.grouped(WEEK).n_event.tolist() == [1]
    assert log.label([Label("r0", 0, START + 3 * DAY)]) == 1  # a correction
    assert log.grouped(WEEK).n_nonevent.tolist() == [1]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_of_two_labels_at_one_instant_the_event_wins(
    log: ScoringLog, order: tuple[int, int]
) -> None:
    log.append([ROW])
    log.label(Label("r0", event, START) for event in order)
    assert log.grouped(WEEK).n_event.tolist() == [1]


def test_a_label_that_is_there_already_changes_nothing(log: ScoringLog) -> None:
    label = Label("r0", 1, START)
    assert log.label([label]) == 1
    assert log.label([label, label]) == 0


def test_unlabelled_rows_are_not_nonevents(log: ScoringLog) -> None:
    log.append(scored(0.1, 0.2, 0.3))
    log.label([Label("r1", 0, START)])
    found = log.grouped(WEEK)
    assert found.score.tolist() == [0.2]
    assert (found.n_event.tolist(), found.n_nonevent.tolist()) == ([0], [1])
    assert (found.rows, found.labelled, found.excluded) == (3, 1, 0)


def test_equal_scores_collapse_and_come_in_ascending_order(log: ScoringLog) -> None:
    log.append(scored(0.7, 0.1, 0.7, 0.7, 0.1))
    log.label(Label(f"r{n}", event, START) for n, event in enumerate((1, 0, 0, 1, 0)))
    found = log.grouped(WEEK)
    assert found.score.tolist() == [0.1, 0.7]
    assert found.n_event.tolist() == [0, 2]
    assert found.n_nonevent.tolist() == [2, 1]
    kinds = [str(each.dtype) for each in (found.score, found.n_event, found.n_nonevent)]
    assert kinds == ["float64", "int64", "int64"]


def test_scores_that_are_no_numbers_are_left_out_and_counted(log: ScoringLog) -> None:
    log.append(scored(0.5, None, math.nan, math.inf, -math.inf, 0.5))
    log.label(Label(f"r{n}", n % 2, START) for n in range(5))
    found = log.grouped(WEEK)
    assert found.score.tolist() == [0.5]
    assert (found.rows, found.labelled, found.excluded) == (6, 5, 4)
    assert found.n_event.sum() + found.n_nonevent.sum() == 1


def test_an_empty_window_gives_empty_arrays(log: ScoringLog) -> None:
    found = log.grouped(WEEK)
    assert (len(found.score), len(found.n_event), len(found.n_nonevent)) == (0, 0, 0)
    assert (found.rows, found.labelled, found.excluded) == (0, 0, 0)


def test_grouped_counts_are_those_of_the_rows(log: ScoringLog) -> None:
    dice = random.Random(7)
    log.append(scored(*(dice.choice([None, math.nan, *range(10)]) for _ in range(500))))
    log.label(Label(f"r{n}", dice.randint(0, 1), START) for n in range(0, 700, 2))
    expected: dict[float, list[int]] = {}
    for _, _, score, _, event in log.rows(WEEK, labelled=True):
        if isinstance(score, float) and isinstance(event, int):
            expected.setdefault(score, [0, 0])[event] += 1
    found = log.grouped(WEEK)
    counts = zip(found.n_nonevent.tolist(), found.n_event.tolist(), strict=True)
    assert dict(zip(found.score.tolist(), map(list, counts), strict=True)) == expected
    assert found.rows == 500


def test_inputs_come_back_as_they_were_but_for_what_is_no_json(log: ScoringLog) -> None:
    inputs = {"name": "Ö \ud800", "big": 2**70, "deep": {"a": [1, None, True]}, "nan": math.nan}
    log.append([replace(ROW, inputs=inputs)])  # type: ignore[arg-type]  # a NaN that slipped in
    (row,) = log.rows(WEEK)
    assert row[3] == inputs | {"nan": None}


def test_two_processes_append_and_label_at_once(log: ScoringLog) -> None:
    which = [log.use, log.model_dump_json()]
    commands = [[sys.executable, "-c", WRITER, *which, str(first)] for first in (0, 100)]
    writers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for command in commands]
    new = [int(writer.communicate(timeout=300)[0]) for writer in writers]
    assert sum(new) == 300  # 100 request ids came from both, and counted once
    assert log.counts(WEEK) == (300, 300)
    assert log.grouped(WEEK).n_event.tolist() == [150]


def test_a_reader_sees_one_moment_while_others_write(log: ScoringLog) -> None:
    log.append(scored(0.1, 0.2))
    reading = log.rows(WEEK)
    next(reading)
    log.append([replace(ROW, request_id="later", at=START + DAY)])
    assert [row[0] for row in reading] == ["r1"]


def test_nothing_of_a_broken_batch_is_kept(log: ScoringLog) -> None:
    def labels() -> Iterator[Label]:
        yield Label("r0", 1, START)
        yield Label("r1", 2, START)

    log.append([ROW])
    with pytest.raises(Hopeless, match="the label of request 'r1' is 2, not 0 or 1"):
        log.label(labels())
    assert log.counts(WEEK) == (1, 0)


def test_more_rows_than_a_batch_are_all_kept(log: ScoringLog) -> None:
    rows = (replace(ROW, request_id=f"r{n}") for n in range(25_001))
    assert log.append(rows) == 25_001
    assert log.counts(WEEK) == (25_001, 0)


def test_a_time_without_zone_is_refused(log: ScoringLog) -> None:
    with pytest.raises(Hopeless, match="the time of request 'r0' has no zone"):
        log.append([replace(ROW, at=datetime(2026, 1, 5))])
