"""The monitor `sql`."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from waystage.errors import Hopeless, Retryable
from waystage.plugin import Context, Measurement, Minimum, Monitor, Secret, Window
from waystage_plugins.monitors.kpi import kpi, names_of

PARAMETER = re.compile(r"(?<![:\w]):(start|end|service|stage|snapshot)\b")
STEPS = 100_000  # of SQLite's machine between two looks at whether the answer is still wanted


class SqlMonitor(Monitor):
    """Measure a number from a database of yours: what the model is worth to the business.

        - use: sql
          with:
            sqlite: warehouse.db
            query: >-
              SELECT AVG(recovered) AS value, COUNT(*) AS rows FROM cases
              WHERE closed >= :start AND closed < :end

    The query gives one row with a column `value`, and, if it likes, `low`, `high` (its interval)
    and `rows`, which the minimum is held against. It may use `:start`, `:end` (half-open, UTC),
    `:service`, `:stage` and `:snapshot`. The database is a file of SQLite, or PostgreSQL by a
    secret with its address (`postgresql: {secret: env/WAREHOUSE}`). It is only read. No row, or
    NULL, is `insufficient`.
    """

    use: ClassVar[str] = "sql"
    better: ClassVar[Literal["higher", "lower", "neither"]] = "neither"

    sqlite: Path | None = None
    postgresql: Secret | None = None
    query: str = Field(min_length=1, max_length=10_000)
    timeout: timedelta = Field(default=timedelta(seconds=60), gt=timedelta())

    @model_validator(mode="after")
    def _one_database(self) -> SqlMonitor:
        if (self.sqlite is None) == (self.postgresql is None):
            raise ValueError("says exactly one of sqlite, postgresql")
        return self

    def measure(self, ctx: Context, window: Window, minimum: Minimum) -> Measurement:
        """Ask the database."""
        if self.sqlite is not None:
            row = self._of_sqlite(ctx, ctx.project / self.sqlite, names_of(ctx, window))
        else:
            row = self._of_postgresql(ctx, names_of(ctx, window, text=False))
        return kpi(ctx, window, minimum, row, "the query")

    def _of_sqlite(
        self, ctx: Context, path: Path, names: Mapping[str, object]
    ) -> Mapping[str, object] | None:
        if not path.is_file():
            raise Hopeless(f"there is no database {path.name} in {path.parent}")
        address = f"{path.resolve().as_uri()}?mode=ro"
        end = ctx.now + self.timeout
        try:
            with closing(sqlite3.connect(address, uri=True, timeout=10)) as connection:
                connection.row_factory = sqlite3.Row
                connection.set_progress_handler(lambda: ctx.cancelled or ctx.now > end, STEPS)
                found = connection.execute(self.query, names).fetchmany(2)
        except sqlite3.OperationalError as error:
            raise (Retryable if "locked" in str(error) else Hopeless)(_said(error)) from error
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise Hopeless(_said(error)) from error
        return _single([dict(each) for each in found])

    def _of_postgresql(
        self, ctx: Context, names: Mapping[str, object]
    ) -> Mapping[str, object] | None:
        try:
            import psycopg
            from psycopg.rows import dict_row
        except ImportError:
            raise Hopeless("PostgreSQL needs a part: pip install 'waystage[postgresql]'") from None
        assert self.postgresql is not None
        query = PARAMETER.sub(r"%(\1)s", self.query.replace("%", "%%"))
        options = f"-c statement_timeout={int(self.timeout.total_seconds() * 1000)}"
        try:
            with psycopg.connect(
                self.postgresql.reveal(ctx), connect_timeout=10, options=options
            ) as connection:
                connection.read_only = True
                cursor = connection.cursor(row_factory=dict_row)
                found = cursor.execute(query.encode(), dict(names)).fetchmany(2)
        except psycopg.OperationalError as error:
            raise Retryable(_said(error)) from None  # the address in it is a secret
        except psycopg.Error as error:
            raise Hopeless(_said(error)) from None
        return _single(found)


def _said(error: Exception) -> str:
    return f"the query failed: {str(error).strip().splitlines()[0] if str(error) else error!r}"


def _single(rows: list[dict[str, Any]]) -> Mapping[str, object] | None:
    if len(rows) > 1:
        raise Hopeless("the query gives more than one row; have it give one, with a column value")
    return rows[0] if rows else None
