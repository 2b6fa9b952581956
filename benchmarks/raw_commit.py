"""The limit that the disk sets: durable transactions of one and of many rows, and nothing else."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

BODY = b"x" * 200  # about what a transition writes
SECONDS = 2.0


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
