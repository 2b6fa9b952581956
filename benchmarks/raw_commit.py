"""The limit that the disk sets: durable transactions of one and of many rows, and nothing else."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

BODY = b"x" * 200  # about what a transition writes
SECONDS = 2.0


UPDATE = """UPDATE run SET revision = given.revision, body = given.body
FROM unnest(%b::int[], %b::int[], %b::bytea[]) AS given (no, revision, body)
WHERE run.no = given.no AND run.revision = given.revision - 1"""
INSERT = "INSERT INTO history SELECT * FROM unnest(%b::int[], %b::int[], %b::bytea[])"


def raw_rate(database: Path, rows: int) -> float:
    """Give rows per second, `rows` to a transaction: an UPDATE and an INSERT for each."""
    connection = sqlite3.connect(database, isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=FULL"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("CREATE TABLE run (no INTEGER PRIMARY KEY, revision INTEGER, body BLOB)")
    connection.execute("CREATE TABLE history (run INTEGER, seq INTEGER, body BLOB)")
    connection.executemany("INSERT INTO run VALUES (?, 0, ?)", [(n, BODY) for n in range(rows)])
    done, began = 0, time.perf_counter()
    while time.perf_counter() - began < SECONDS:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(
            "UPDATE run SET revision = ?, body = ? WHERE no = ? AND revision = ?",
            [(done + 1, BODY, n, done) for n in range(rows)],
        )
        connection.executemany(
            "INSERT INTO history VALUES (?, ?, ?)", [(n, done, BODY) for n in range(rows)]
        )
        connection.execute("COMMIT")
        done += 1
    seconds = time.perf_counter() - began
    connection.close()
    return done * rows / seconds


def raw_rate_on_postgresql(database: str, rows: int) -> float:
    """Give rows per second as on SQLite: both statements and the commit in one round trip."""
    import psycopg

    with psycopg.connect(database, autocommit=True, prepare_threshold=0) as connection:
        connection.execute("CREATE TABLE run (no int PRIMARY KEY, revision int, body bytea)")
        connection.execute("CREATE TABLE history (run int, seq int, body bytea)")
        numbers, bodies = list(range(rows)), [BODY] * rows
        connection.execute(
            "INSERT INTO run SELECT no, 0, body "
            "FROM unnest(%b::int[], %b::bytea[]) AS given (no, body)",
            [numbers, bodies],
        )
        done, began = 0, time.perf_counter()
        while time.perf_counter() - began < SECONDS:
            done += 1
            given = [numbers, [done] * rows, bodies]
            with connection.pipeline(), connection.transaction():
                connection.execute(UPDATE, given)
                connection.execute(INSERT, given)
        return done * rows / (time.perf_counter() - began)
