"""The scoring log in a PostgreSQL database."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from importlib.util import find_spec
from itertools import islice
from typing import ClassVar, TypeVar

from pydantic import Field, field_validator

from waystage.errors import WaystageError
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
from waystage_plugins.scoring.postgres import counting, keeping, looks, reading, writing
from waystage_plugins.scoring.postgres.connect import Place, transaction
from waystage_plugins.scoring.postgres.tables import BATCH

T = TypeVar("T")


class PostgresqlScoringLog(ScoringLog):
    """Keep scored requests and their labels in a PostgreSQL database, a partition for each day.

        - use: scoring_log.postgresql
          with: {url: "postgresql://waystage@db.example/scores", keep: P400D}

    Many processes on many machines may write at once. A request id counts once per service,
    stage and role, whatever day it comes again: the first answer stays. Labels may come before
    their request; of several the one with the latest time wins, and of two at the same instant
    the event; those that do not stand are kept beside. Rows and labels become durable in
    batches of 10,000. Statistics of whole UTC days come from a daily roll-up, which is counted
    anew after a row or a label of that day came. The URL has no password: the driver takes it
    from PGPASSWORD, or from the file that PGPASSFILE names.
    """

    use: ClassVar[str] = "scoring_log.postgresql"

    url: str = Field(pattern=r"^postgresql://\S+$", max_length=1000, description="of the database")
    namespace: str = Field(
        default="waystage_scores",
        pattern=r"^[a-z][a-z0-9_]{0,39}$",
        description="the schema, made if it is not there",
    )
    keep: timedelta | None = Field(
        default=None, ge=timedelta(days=1), description="how long rows are kept; default: for ever"
    )

    @field_validator("url")
    @classmethod
    def _without_password(cls, url: str) -> str:
        if ":" in url.removeprefix("postgresql://").rpartition("@")[0]:
            raise ValueError("a password does not belong here: set PGPASSWORD or PGPASSFILE")
        return url

    def diagnose(self, ctx: Services) -> list[str]:
        """Say whether the server answers and lets us in."""
        if find_spec("psycopg") is None:
            return ["psycopg is not installed: pip install 'waystage[postgresql]'"]
        try:
            with transaction(self._place) as connection:
                connection.execute("SELECT 1")
        except WaystageError as error:
            return [str(error)]
        return []

    def append(self, rows: Iterable[ScoredRow]) -> int:
        """Keep rows durably; a request id that is there already is left as it is."""
        return self._batches(writing.append, rows)

    def label(self, labels: Iterable[Label]) -> int:
        """Keep labels durably; the latest by its own time wins. Answers how many changed."""
        return self._batches(writing.label, labels)

    def outcomes(self, outcomes: Iterable[Outcome]) -> int:
        """Keep true values durably; the latest by its own time wins. Answers how many changed."""
        return self._batches(writing.outcomes, outcomes)

    def grouped(self, which: Slice) -> Grouped:
        """Give counts per distinct score, never rows."""
        from waystage_plugins.scoring.counts import as_grouped

        keeping.take_labels(self._place)
        return as_grouped(counting.counted(self._place, which, others=False))

    def counts(self, which: Slice) -> tuple[int, int]:
        """Give the number of rows and of labelled rows in the slice."""
        keeping.take_labels(self._place)
        return counting.totals(self._place, which)

    def rows(self, which: Slice, *, labelled: bool = False) -> Iterator[Sequence[object]]:
        """Stream (request_id, at, score, inputs, event or None), by time then request id.

        All rows are those of one moment, whatever is appended meanwhile.
        """
        keeping.take_labels(self._place)
        yield from reading.rows(self._place, which, labelled=labelled)

    def scores(self, which: Slice) -> Iterator[tuple[float | None, int]]:
        """Give (score, rows) per distinct finite score, ascending; the unusable last, as None."""
        from waystage_plugins.scoring.counts import as_scores

        yield from as_scores(counting.counted(self._place, which, others=True))

    def latencies(self, which: Slice) -> Iterator[float]:
        """Give how many milliseconds each row took; rows that tell none are left out."""
        return reading.latencies(self._place, which)

    def newest(self, which: Slice) -> datetime | None:
        """Give the time of the newest row in the slice; None if there is none."""
        return reading.latest(self._place, reading.NEWEST, which)

    def newest_label(self, which: Slice) -> datetime | None:
        """Give the latest time of the labels of rows in the slice; None if there is none."""
        keeping.take_labels(self._place)
        return reading.latest(self._place, reading.NEWEST_LABEL, which)

    def valued(self, which: Slice) -> Iterator[tuple[float | None, float | None]]:
        """Stream (score, true value or None) of all rows; a score that is not finite is None."""
        keeping.take_values(self._place)
        return reading.valued(self._place, which)

    def valued_rows(self, which: Slice) -> Iterator[Sequence[object]]:
        """Stream (request_id, at, score, inputs, true value) of the rows that have a true value."""
        keeping.take_values(self._place)
        yield from reading.valued_rows(self._place, which)

    def foreign(self, request_ids: Sequence[str], service: str) -> list[str]:
        """Give those of the request ids that are known, but of other services alone."""
        return reading.foreign(self._place, request_ids, service)

    def looks(self, of: Compared, look: JsonObject | None = None) -> list[JsonObject]:
        """Give the looks that were taken to compare two models, `look` among them if it is given.

        They are kept beyond `keep`.
        """
        return looks.looks(self._place, of, look)

    def unknown(self) -> int:
        """Count the labels whose request is not known."""
        keeping.take_labels(self._place)
        return reading.unknown(self._place)

    def tend(self, now: datetime) -> Tended:
        """Drop the days that are past `keep`, and count the days that ended."""
        return keeping.tend(self._place, now, self.keep)

    @property
    def _place(self) -> Place:
        return Place(self.url, self.namespace)

    def _batches(self, write: Callable[[Place, Iterable[T]], int], values: Iterable[T]) -> int:
        changed, left = 0, iter(values)
        while batch := list(islice(left, BATCH)):
            changed += write(self._place, batch)
        return changed
