"""The scoring log in one SQLite file."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from math import isfinite
from pathlib import Path
from typing import ClassVar, TypeVar

from pydantic import Field

from waystage.plugin import (
    Compared,
    Grouped,
    JsonObject,
    Label,
    Outcome,
    ScoredRow,
    ScoringLog,
    Services,
    Slice,
    Tended,
)
from waystage_plugins.scoring import daily, looking, select
from waystage_plugins.scoring.database import DAY, OUTCOME, ROLL_UP, opened, writing
from waystage_plugins.scoring.encode import (
    encode_label,
    encode_outcome,
    encode_row,
    instant,
    microseconds,
)

T = TypeVar("T")

APPEND = "INSERT INTO scored VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
LABEL = """
INSERT INTO label VALUES (?, ?, ?) ON CONFLICT (request_id) DO UPDATE
SET event = excluded.event, at = excluded.at
WHERE excluded.at > at OR (excluded.at = at AND excluded.event > event)
"""
VALUE = """
INSERT INTO outcome VALUES (?, ?, ?) ON CONFLICT (request_id) DO UPDATE
SET value = excluded.value, at = excluded.at
WHERE excluded.at > at OR (excluded.at = at AND excluded.value > value)
"""
FOREIGN = """
SELECT value FROM json_each(?1)
WHERE EXISTS (SELECT 1 FROM scored WHERE request_id = value)
AND NOT EXISTS (SELECT 1 FROM scored WHERE request_id = value AND service = ?2)
"""
NO_REQUEST = "NOT EXISTS (SELECT 1 FROM scored s WHERE s.request_id = l.request_id)"
UNKNOWN = f"SELECT COUNT(*) FROM label l WHERE {NO_REQUEST}"  # noqa: S608  # a constant of ours
OLD = "DELETE FROM scored WHERE at < ?"
OLD_DAYS = "DELETE FROM daily WHERE day < ?"
LEFT = tuple(
    f"DELETE FROM {table} AS l WHERE at < ? AND {NO_REQUEST}"  # noqa: S608  # constants of ours
    for table in ("label", "outcome")
)
LOOKED = "SELECT 1 FROM sqlite_master WHERE name = 'look'"
BATCH = 10_000
DECODE = json.JSONDecoder(parse_constant=lambda word: None).decode  # NaN is no JSON: null


class SqliteScoringLog(ScoringLog):
    """Keep scored requests and their labels in one SQLite file.

        - use: scoring_log.sqlite
          with: {path: scores.db, keep: P400D}

    Several processes may write at once. A request id counts once per service, stage and
    role: the first answer stays. Labels may come before their request; of several the one
    with the latest time wins, and of two at the same instant the event, so that the order
    of arrival never matters. Rows and labels become durable in batches of 10,000. Statistics of
    whole UTC days come from a daily roll-up; a day is counted anew when something of it changed.
    """

    use: ClassVar[str] = "scoring_log.sqlite"

    path: Path = Field(description="the file; relative paths start at the project")
    keep: timedelta | None = Field(
        default=None, ge=timedelta(days=1), description="how long rows are kept; default: for ever"
    )

    def diagnose(self, ctx: Services) -> list[str]:
        """Say whether the file, or the directory that it will be in, may be written."""
        place = self.path if self.path.exists() else self.path.parent
        return [] if os.access(place, os.W_OK) else [f"{place} is not there, or not ours"]

    def append(self, rows: Iterable[ScoredRow]) -> int:
        """Keep rows durably; a request id that is there already is left as it is.

        Answers how many were new.
        """
        return self._write(APPEND, encode_row, rows)

    def label(self, labels: Iterable[Label]) -> int:
        """Keep labels durably; the latest by its own time wins. Answers how many changed."""
        return self._write(LABEL, encode_label, labels)

    def grouped(self, which: Slice) -> Grouped:
        """Give counts per distinct score, never rows."""
        from waystage_plugins.scoring.counts import as_grouped

        return as_grouped(daily.counted(self.path, which, others=False))

    def counts(self, which: Slice) -> tuple[int, int]:
        """Give the number of rows and of labelled rows in the slice."""
        return daily.totals(self.path, which)

    def rows(self, which: Slice, *, labelled: bool = False) -> Iterator[Sequence[object]]:
        """Stream (request_id, at, score, inputs, event or None), by time then request id.

        All rows are those of one moment, whatever is appended meanwhile.
        """
        with opened(self.path) as connection:
            found = connection.execute(*select.query(select.STREAMED, which, labelled=labelled))
            for request_id, at, score, inputs, event in found:
                yield request_id, instant(at), score, DECODE(inputs), event

    def scores(self, which: Slice) -> Iterator[tuple[float | None, int]]:
        """Give (score, rows) per distinct finite score, ascending; the unusable last, as None."""
        from waystage_plugins.scoring.counts import as_scores

        yield from as_scores(daily.counted(self.path, which, others=True))

    def latencies(self, which: Slice) -> Iterator[float]:
        """Give how many milliseconds each row took; rows that tell none are left out."""
        with opened(self.path) as connection:
            for (took,) in connection.execute(*select.query(select.LATENCIES, which)):
                yield took

    def newest(self, which: Slice) -> datetime | None:
        """Give the time of the newest row in the slice; None if there is none."""
        return self._instant(select.NEWEST, which)

    def newest_label(self, which: Slice) -> datetime | None:
        """Give the latest time of the labels of rows in the slice; None if there is none."""
        return self._instant(select.NEWEST_LABEL, which)

    def outcomes(self, outcomes: Iterable[Outcome]) -> int:
        """Keep true values durably; the latest by its own time wins. Answers how many changed."""
        with writing(self.path) as connection:
            connection.execute(OUTCOME)
        return self._write(VALUE, encode_outcome, outcomes)

    def valued(self, which: Slice) -> Iterator[tuple[float | None, float | None]]:
        """Stream (score, true value or None) of all rows; a score that is not finite is None."""
        with opened(self.path) as connection:
            connection.execute(OUTCOME)
            for score, value in connection.execute(*select.query(select.VALUED, which)):
                yield (score if score is not None and isfinite(score) else None), value

    def valued_rows(self, which: Slice) -> Iterator[Sequence[object]]:
        """Stream (request_id, at, score, inputs, true value) of the rows that have a true value."""
        with opened(self.path) as connection:
            connection.execute(OUTCOME)
            found = connection.execute(*select.query(select.VALUED_ROWS, which))
            for request_id, at, score, inputs, value in found:
                yield request_id, instant(at), score, DECODE(inputs), value

    def foreign(self, request_ids: Sequence[str], service: str) -> list[str]:
        """Give those of the request ids that are known, but of other services alone."""
        with opened(self.path) as connection:
            found = connection.execute(FOREIGN, (json.dumps(list(request_ids)), service))
            return sorted(name for (name,) in found)

    def looks(self, of: Compared, look: JsonObject | None = None) -> list[JsonObject]:
        """Give the looks that were taken to compare two models, `look` among them if it is given.

        They are kept beyond `keep`.
        """
        if look is not None:
            with writing(self.path) as connection:
                connection.execute(looking.LOOKS)
                connection.execute(*looking.taking(of, look, "?"))
        with opened(self.path) as connection:
            if connection.execute(LOOKED).fetchone() is None:
                return []
            return looking.told(connection.execute(*looking.taken(of, "?")))

    def unknown(self) -> int:
        """Count the labels whose request is not known."""
        with opened(self.path) as connection:
            return int(connection.execute(UNKNOWN).fetchone()[0])

    def tend(self, now: datetime) -> Tended:
        """Remove the UTC days that are past `keep` with their labels, count the days that ended."""
        removed = self._remove(now - self.keep) if self.keep else 0
        return Tended(removed, daily.roll_up(self.path, daily.ended(self.path, now)))

    def _remove(self, before: datetime) -> int:
        last = microseconds(before, "the oldest row that is kept")
        first = last - last % DAY
        with writing(self.path) as connection:
            for statement in (OUTCOME, *ROLL_UP):
                connection.execute(statement)
            removed = connection.execute(OLD, (first,)).rowcount
            connection.execute(OLD_DAYS, (first,))
            for statement in LEFT:
                connection.execute(statement, (last,))
        return removed

    def _instant(self, statement: str, which: Slice) -> datetime | None:
        with opened(self.path) as connection:
            (at,) = connection.execute(*select.query(statement, which)).fetchone()
        return None if at is None else instant(at)

    def _write(
        self, statement: str, encode: Callable[[T], tuple[object, ...]], values: Iterable[T]
    ) -> int:
        changed, encoded = 0, map(encode, values)
        # encoded before the transaction, so that a slow source keeps nobody else waiting
        while batch := list(islice(encoded, BATCH)):
            with writing(self.path) as connection:
                changed += connection.executemany(statement, batch).rowcount
        return changed
