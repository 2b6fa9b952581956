"""W1 by DBOS: ten durable steps a workflow, so many workflows in flight, on SQLite or PostgreSQL.

Runs in an environment of its own, with DBOS as it comes from PyPI; prints one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version

from dbos import DBOS, DBOSConfig

STEPS = 10


@DBOS.step()
def echo(number: int) -> dict[str, int]:
    """Return a small dict, as the steps of the other side do."""
    return {"number": number}


@DBOS.workflow()
def chain() -> int:
    """Call ten steps, each one's result durable before the next begins."""
    return sum(echo(number)["number"] for number in range(STEPS))


def timed(_: int) -> float:
    """Run one workflow and answer how many seconds it took."""
    began = time.perf_counter()
    assert chain() == sum(range(STEPS))
    return time.perf_counter() - began


def launch(database: str, *, wal: bool) -> None:
    """Start DBOS on that database; WAL is a property of the file that connections take over."""
    if wal:
        with sqlite3.connect(database) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
    config: DBOSConfig = {
        "name": "workload-w1",
        "system_database_url": database if _is_url(database) else f"sqlite:///{database}",
        "log_level": "ERROR",
    }
    DBOS(config=config)
    DBOS.launch()


def measure(runs: int, in_flight: int) -> dict[str, float]:
    """Run all workflows and give transitions per second and the slowest percent."""
    with ThreadPoolExecutor(in_flight) as pool:
        list(pool.map(timed, range(in_flight)))  # warm up: every thread has its connection
        began = time.perf_counter()
        took = sorted(pool.map(timed, range(runs)))
        seconds = time.perf_counter() - began
    return {"rate": runs * STEPS / seconds, "p99_seconds": took[int(len(took) * 0.99)]}


def durable(database: str, expected: int) -> None:
    """Hold the figure against the database: every step of every workflow is in it."""
    found = _ask(database, "SELECT count(*) FROM {schema}operation_outputs")
    if found != expected:
        raise SystemExit(f"{found} step results are in the database, not {expected}")


def _ask(database: str, query: str) -> int:
    if _is_url(database):
        import psycopg

        with psycopg.connect(database) as connection:
            row = connection.execute(query.format(schema="dbos.")).fetchone()
        return int(row[0]) if row else 0
    with sqlite3.connect(database) as file:
        return int(file.execute(query.format(schema="")).fetchone()[0])


def _is_url(database: str) -> bool:
    return database.startswith("postgresql://")


def main() -> None:
    """Measure once and print the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, required=True)
    parser.add_argument("--in-flight", type=int, required=True)
    parser.add_argument("--database", required=True, help="a file, or a postgresql:// URL")
    parser.add_argument("--wal", action="store_true")
    given = parser.parse_args()
    launch(given.database, wal=given.wal)
    found = measure(given.runs, given.in_flight)
    DBOS.destroy()
    durable(given.database, (given.runs + given.in_flight) * STEPS)
    print(json.dumps({"version": version("dbos"), **found}))


if __name__ == "__main__":
    main()
