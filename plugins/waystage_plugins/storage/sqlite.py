"""The storage `storage.sqlite`: tables of a SQLite file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from waystage.errors import Hopeless, Retryable
from waystage.plugin import Services
from waystage_plugins.storage.tables import MAKE_LEDGER, Tables

BUSY_SECONDS = 30.0


class SqliteTables(Tables):
    """Read and write tables of a SQLite file as inputs and outputs of jobs.

        - use: storage.sqlite
          with:
            path: warehouse.db
            queries: {open_cases: "SELECT id, income FROM cases WHERE closed IS NULL ORDER BY id"}

    `table://NAME/cases` is the table `cases`, NAME that of the connection; `table://NAME/open_cases`
    is what the query gives. The file must be there.
    """

    use: ClassVar[str] = "storage.sqlite"
    mark: ClassVar[str] = "?"

    path: str = Field(min_length=1, description="the file; relative paths start at the project")

    def diagnose(self, ctx: Services) -> list[str]:
        """Say whether the file is there."""
        place = ctx.project / self.path
        return [] if place.is_file() else [f"path: there is no file {place}"]

    @contextmanager
    def reading(self, ctx: Services, sql: str) -> Iterator[tuple[Any, Iterator[Any]]]:
        """Open the file for reading alone."""
        with self._opened(ctx, "ro") as connection:
            cursor = connection.execute(sql)
            yield cursor.description or (), iter(cursor)

    @contextmanager
    def writing(self, ctx: Services) -> Iterator[Any]:
        """Open the file for one transaction."""
        with self._opened(ctx, "rw") as connection:
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection.cursor()
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    def lock(self, cursor: Any) -> None:
        """Make the ledger; the transaction keeps others out by itself."""
        cursor.execute(MAKE_LEDGER)

    @contextmanager
    def _opened(self, ctx: Services, mode: str) -> Iterator[sqlite3.Connection]:
        place: Path = ctx.project / self.path
        if not place.is_file():
            raise Hopeless(f"database {place}: there is no such file")
        try:
            where = f"{place.resolve().as_uri()}?mode={mode}"
            with closing(
                sqlite3.connect(where, uri=True, timeout=BUSY_SECONDS, isolation_level=None)
            ) as connection:
                yield connection
        except sqlite3.OperationalError as error:
            kind = Retryable if "locked" in str(error) or "busy" in str(error) else Hopeless
            raise kind(f"database {place}: {error}") from error
        except sqlite3.Error as error:
            raise Hopeless(f"database {place}: {error}") from error
