"""Whatever comes in whatever order, both logs count what a plain model counts."""

from __future__ import annotations

import math
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from postgres_server import PostgresServer

from waystage.plugin import Label, ScoredRow, ScoringLog, Slice
from waystage_plugins.scoring import PostgresqlScoringLog, SqliteScoringLog
from waystage_plugins.scoring.postgres.connect import Place, forget_connections

START = datetime(2026, 1, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)

ids = st.integers(0, 12).map(lambda n: f"r{n}")
hours = st.integers(0, 96)
rows = st.builds(
    lambda name, hour, stage, role, version, score: ScoredRow(
        name, START + hour * HOUR, "cc-fraud", stage, f"fraud/{version}", role, score
    ),
    ids, hours, st.sampled_from(["PROD", "PROD", "SIT"]),
    st.sampled_from(["champion", "champion", "challenger"]), st.integers(1, 2),
    st.sampled_from([0.0, -0.0, 0.25, 0.5, 0.75, 1.0, None, math.nan, math.inf]),
)  # fmt: skip
labels = st.builds(lambda name, event, hour: Label(name, event, START + hour * HOUR),
                   ids, st.integers(0, 1), hours)  # fmt: skip
acts = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.lists(rows, max_size=6)),
        st.tuples(st.just("label"), st.lists(labels, max_size=6)),
        st.tuples(st.just("tend"), hours),
        st.tuples(st.just("ask"), hours),
    ),
    max_size=14,
)
windows = st.tuples(
    hours, hours, st.sampled_from(["champion", "challenger", None]),
    st.sampled_from(["fraud/1", "fraud/2", None]),
)  # fmt: skip


@dataclass
class Model:
    """The log as a dictionary."""

    scored: dict[tuple[str, str, str], ScoredRow] = field(default_factory=dict)
    labels: dict[str, tuple[datetime, int]] = field(default_factory=dict)

    def append(self, given: list[ScoredRow]) -> int:
        before = len(self.scored)
        for row in given:
            self.scored.setdefault((row.request_id, row.stage, row.role), row)
        return len(self.scored) - before

    def label(self, given: list[Label]) -> None:
        for label in given:
            told = (label.at, label.event)
            self.labels[label.request_id] = max(told, self.labels.get(label.request_id, told))

    def counted(self, which: Slice) -> tuple[dict[float, tuple[int, int]], int, int, int]:
        first: dict[str, ScoredRow] = {}
        for row in self._inside(which):
            if row.request_id not in first or row.at < first[row.request_id].at:
                first[row.request_id] = row
        found: dict[float, tuple[int, int]] = {}
        labelled = excluded = 0
        for name, row in first.items():
            usable = row.score is not None and math.isfinite(row.score)
            labelled += name in self.labels
            excluded += not usable
            if usable and name in self.labels:
                assert row.score is not None
                events, nonevents = found.get(row.score, (0, 0))
                event = self.labels[name][1]
                found[row.score] = (events + event, nonevents + 1 - event)
        return found, len(first), labelled, excluded

    def scored_alike(self, which: Slice) -> list[tuple[float | None, int]]:
        told = [row.score if row.score is not None and math.isfinite(row.score) else None
                for row in self._inside(which)]  # fmt: skip
        found = Counter(score for score in told if score is not None)
        return [*sorted(found.items()), *([(None, told.count(None))] if None in told else [])]

    def _inside(self, which: Slice) -> Iterator[ScoredRow]:
        for row in self.scored.values():
            if (
                row.stage == which.stage and which.start <= row.at < which.end
                and which.role in (None, row.role) and which.snapshot in (None, row.snapshot)
            ):  # fmt: skip
                yield row


def counted(log: ScoringLog, which: Slice) -> tuple[dict[float, tuple[int, int]], int, int, int]:
    found = log.grouped(which)
    pairs = zip(found.n_event.tolist(), found.n_nonevent.tolist(), strict=True)
    by_score = dict(zip(found.score.tolist(), pairs, strict=True))
    return by_score, found.rows, found.labelled, found.excluded


def play(log: ScoringLog, given: list[tuple[str, object]], window: tuple[int, int, str | None,
         str | None]) -> None:  # fmt: skip
    model = Model()
    one, other, role, snapshot = window
    which = Slice("cc-fraud", "PROD", START + min(one, other) * HOUR,
                  START + max(one, other) * HOUR, snapshot, role)  # fmt: skip
    whole = Slice("cc-fraud", "PROD", START, START + 96 * HOUR)
    for act, what in given:
        if act == "append":
            assert isinstance(what, list)
            assert log.append(what) == model.append(what)
        elif act == "label":
            assert isinstance(what, list)
            log.label(what)
            model.label(what)
        elif act == "tend":
            assert isinstance(what, int)
            log.tend(START + what * HOUR)
        else:
            assert counted(log, whole) == model.counted(whole)
            assert list(log.scores(whole)) == model.scored_alike(whole)
    # where two roles answered a request at one instant, either answer may stand for it
    if role is not None:
        assert counted(log, which) == model.counted(which)
        assert log.counts(which) == model.counted(which)[1:3]
        assert list(log.scores(which)) == model.scored_alike(which)
    assert counted(log, which)[1:3] == model.counted(which)[1:3]
    known = {name for name, _, _ in model.scored}
    assert log.unknown() == len(model.labels.keys() - known)


@settings(max_examples=60)
@given(acts, windows)
def test_sqlite_counts_what_the_model_counts(
    given: list[tuple[str, object]], window: tuple[int, int, str | None, str | None]
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        play(SqliteScoringLog(path=Path(directory) / "scores.db"), given, window)


@pytest.fixture(scope="module")
def url(shared_postgres: PostgresServer) -> Iterator[str]:
    made = shared_postgres.database(empty=True)
    yield made
    shared_postgres.drop(made)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts, windows)
def test_postgresql_counts_what_the_model_counts(
    url: str, given: list[tuple[str, object]], window: tuple[int, int, str | None, str | None]
) -> None:
    log = PostgresqlScoringLog(url=url, namespace=f"log_{uuid4().hex[:12]}")
    try:
        play(log, given, window)
    finally:
        forget_connections(Place(log.url, log.namespace))
