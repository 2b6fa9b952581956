"""The storage `storage.postgresql`: tables of a PostgreSQL database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from waystage.errors import Hopeless, Retryable
from waystage.plugin import Secret, Services
from waystage_plugins.storage.tables import CHUNK, MAKE_LEDGER, Tables

CONNECT_SECONDS = 10
LOCK = 0x5741_5953  # one lock for all outputs of a database: they are few, and short
# SQLSTATE classes that another try may mend: connections, transactions, resources, shut-down
PASSING = ("08", "40", "53", "55", "57")


class PostgresTables(Tables):
    """Read and write tables of a PostgreSQL database as inputs and outputs of jobs.

        - use: storage.postgresql
          with:
            address: postgresql://scoring@db.example/warehouse
            password: {secret: env/WAREHOUSE_PASSWORD}
            queries: {open_cases: "SELECT id, income FROM cases WHERE closed IS NULL ORDER BY id"}

    `table://NAME/cases` is the table `cases`, NAME that of the connection. To write, the user may
    create the table `waystage_outputs` or finds it there. Needs `waystage[postgresql]`.
    """

    use: ClassVar[str] = "storage.postgresql"
    mark: ClassVar[str] = "%s"

    address: str = Field(pattern=r"^postgres(ql)?://\S+$", max_length=1000)
    password: Secret | None = None

    @field_validator("address")
    @classmethod
    def _no_password(cls, value: str) -> str:
        if urlsplit(value).password:
            raise ValueError("holds a password: give it by password: {secret: …}")
        return value

    def diagnose(self, ctx: Services) -> list[str]:
        """Log in once."""
        try:
            with self._opened(ctx):
                return []
        except (Hopeless, Retryable) as error:
            return [str(error)]

    @contextmanager
    def reading(self, ctx: Services, sql: str) -> Iterator[tuple[Any, Iterator[Any]]]:
        """Stream from the server, in a transaction that may only read."""
        with self._opened(ctx) as connection:
            connection.read_only = True
            with connection.cursor(name="waystage") as cursor:
                cursor.itersize = CHUNK
                cursor.execute(sql)
                yield cursor.description or (), iter(cursor)

    @contextmanager
    def writing(self, ctx: Services) -> Iterator[Any]:
        """Write in one transaction."""
        with self._opened(ctx) as connection, connection.transaction():
            yield connection.cursor()

    def lock(self, cursor: Any) -> None:
        """Let one writer at the ledger after the other, and make it if it is not there."""
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
        cursor.execute("SELECT to_regclass('waystage_outputs')")
        if cursor.fetchone()[0] is None:
            cursor.execute(MAKE_LEDGER)

    @contextmanager
    def _opened(self, ctx: Services) -> Iterator[Any]:
        try:
            import psycopg
        except ImportError:
            raise Hopeless("storage.postgresql needs the extra waystage[postgresql]") from None
        name = f"database {urlsplit(self.address).hostname}{urlsplit(self.address).path}"
        password = self.password.reveal(ctx) if self.password else None
        try:
            with psycopg.connect(
                self.address, password=password, connect_timeout=CONNECT_SECONDS
            ) as connection:
                yield connection
        except psycopg.Error as error:
            state = error.sqlstate or "08"
            kind = Retryable if state.startswith(PASSING) else Hopeless
            raise kind(f"{name}: {_line(error)}") from None


def _line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
