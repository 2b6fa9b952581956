"""Rows into the scoring logs, and KS out of ten million: by hand, `python benchmarks/scoring.py`.

Both sides in one run: what our log takes in against PostgreSQL's bare COPY of the same bytes
into one table without an index; KS exact (nothing counted before) and from the daily roll-up.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from postgres import server

from waystage.cli.main import run as waystage
from waystage.client import Sender
from waystage.plugin import Label, ScoredRow, ScoringLog, Slice, new_request_id
from waystage_plugins.monitors.labelled import by_score
from waystage_plugins.monitors.statistics.ks import ks
from waystage_plugins.scoring import PostgresqlScoringLog, SqliteScoringLog
from waystage_plugins.scoring.postgres.connect import Place, transaction
from waystage_plugins.scoring.postgres.tables import make_days

DAYS = 30
START = datetime(2026, 1, 1, tzinfo=UTC)
MONTH = Slice("bench", "PROD", START, START + timedelta(days=DAYS), "credit/1")
INPUTS = {"age": 41, "income": 2850.5, "duration": 24, "purpose": "car", "housing": "own"}

# what a log holds, made by the server itself: ids that sort by time, one label for each
FILL = """
INSERT INTO {table} SELECT {columns} FROM (
    SELECT date '2026-01-01' + d AS day, d::bigint * {each} + n AS id,
           (date '2026-01-01' + d - date '1970-01-01')::bigint * 86400000000
               + n * (86400000000 / {each}) AS at,
           lpad(to_hex(d::bigint * {each} + n), 36, '0') AS request_id,
           {score} AS score, ((d::bigint * {each} + n) * 7919 %% 1000 < 80)::int AS event
    FROM generate_series(%s::int, %s::int) d, generate_series(0, {each} - 1) n) x
"""


def rows(count: int, start: int = 0) -> Iterator[ScoredRow]:
    """Give rows as a service of twelve inputs a second would write them."""
    chance = random.Random(start)
    for n in range(start, start + count):
        at = START + timedelta(seconds=n % (86_400 * 3))
        yield ScoredRow(new_request_id(), at, "bench", "PROD", "credit/1", "champion",
                        chance.random(), INPUTS, 3.25)  # fmt: skip


def rate(log: ScoringLog, count: int) -> None:
    """Say how many rows and labels a second the log takes, from one writer."""
    given = list(rows(count))
    began = time.perf_counter()
    log.append(given)
    took = time.perf_counter() - began
    print(f"{log.use}: {count / took:,.0f} rows/s in, batches of 10,000", flush=True)
    labels = [Label(row.request_id, n % 2, row.at) for n, row in enumerate(given)]
    began = time.perf_counter()
    log.label(labels)
    took = time.perf_counter() - began
    print(f"{log.use}: {count / took:,.0f} labels/s in", flush=True)
    small = list(rows(5_000, count))
    began = time.perf_counter()
    for first in range(0, len(small), 100):
        log.append(small[first : first + 100])
    took = time.perf_counter() - began
    print(f"{log.use}: {len(small) / took:,.0f} rows/s in, batches of 100", flush=True)


def bare_copy(url: str, count: int) -> None:
    """Say how fast the same values go by COPY into one table without an index."""
    given = [(r.request_id, r.at, r.service, r.stage, r.snapshot, r.role, r.score, r.latency_ms,
              str(r.inputs)) for r in rows(count)]  # fmt: skip
    with psycopg.connect(url) as connection:
        connection.execute(
            "CREATE TABLE bare (a text, b timestamptz, c text, d text, e text, f text,"
            " g float8, h float8, i text)"
        )
        connection.commit()
        began = time.perf_counter()
        for first in range(0, count, 10_000):
            copying = "COPY bare FROM STDIN (FORMAT BINARY)"
            with connection.cursor() as cursor, cursor.copy(copying) as copy:
                copy.set_types(["text", "timestamptz", *["text"] * 4, "float8", "float8", "text"])
                for row in given[first : first + 10_000]:
                    copy.write_row(row)
            connection.commit()
        took = time.perf_counter() - began
    print(f"bare COPY of the same: {count / took:,.0f} rows/s", flush=True)


def over_http(place: Path, scoring_log: str, count: int) -> None:
    """Say how many rows a second the daemon's API takes from two senders; log as in YAML."""
    waystage(["init", str(place)])
    (place / "waystage.yaml").write_text(
        f"project: bench\nservices: {{bench: {{}}}}\nscoring_log: {scoring_log}\n"
    )
    for folder in ("lifecycles", "scenarios", "stages"):
        shutil.rmtree(place / folder, ignore_errors=True)
    command = [sys.executable, "-m", "waystage.cli.main", "--project", str(place)]
    daemon = subprocess.Popen([*command, "up", "--port", "0", "--quiet"])
    try:
        found = place / ".waystage" / "daemon.json"
        while not found.exists():
            assert daemon.poll() is None
            time.sleep(0.05)
        told = json.loads(found.read_text())
        given = [_as_json(row) for row in rows(count)]
        halves = [given[: count // 2], given[count // 2 :]]

        def send(half: list[dict[str, Any]]) -> None:
            sender = Sender(told["url"], told["token"])
            for first in range(0, len(half), 1000):
                sender.send("scores", half[first : first + 1000])
            sender.close()

        began, used = time.perf_counter(), cpu_seconds(daemon.pid)
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(send, halves))
        took, used = time.perf_counter() - began, cpu_seconds(daemon.pid) - used
        print(f"over HTTP into {scoring_log.split()[1]} {count / took:,.0f} rows/s, "
              f"{used / count * 1e6:.0f} µs of the daemon's CPU for a row", flush=True)  # fmt: skip
    finally:
        daemon.terminate()
        daemon.wait(30)


def cpu_seconds(pid: int) -> float:
    """Give the processor time that a process has used, on Linux."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _as_json(row: ScoredRow) -> dict[str, Any]:
    told = {name: getattr(row, name) for name in ScoredRow.__slots__}
    return told | {"at": row.at.isoformat()}


def fill(log: PostgresqlScoringLog, each: int, score: str) -> None:
    """Have the server make the month; partitions are ours, values are made."""
    place = Place(log.url, log.namespace)
    log.append([next(rows(1))])  # numbers for service and snapshot
    days = {(START + timedelta(days=n)).date() for n in range(DAYS)}
    with transaction(place) as connection:
        make_days(connection, log.namespace, days)
    wanted = {
        "scored (day, id, at, place, snapshot, score)": "day, id, at, 1, 1, score",
        "labelled (day, id, event, at)": "day, id, event, at",
        "asked (day, id, request_id, inputs)": "day, id, request_id, '{}'",
    }
    for day in range(DAYS):
        for table, columns in wanted.items():
            with transaction(place) as connection:
                text = FILL.format(table=table, columns=columns.replace("{}", "{{}}"),
                                   each=each, score=score)  # fmt: skip
                connection.execute(text.replace("{{}}", "{}"), (day, day))
    with transaction(place) as connection:
        connection.execute("INSERT INTO changed SELECT day, 1 FROM kept_day")
        connection.execute("ANALYZE scored, labelled")


def query(log: PostgresqlScoringLog, what: str) -> None:
    """Say how long KS takes: exact, when nothing was counted before, and from the roll-up."""
    with transaction(Place(log.url, log.namespace)) as connection:
        connection.execute("DELETE FROM rolled")
    for name in ("exact, nothing counted before", "from the roll-up", "from the roll-up, again"):
        began = time.perf_counter()
        found = log.grouped(MONTH)
        read = time.perf_counter() - began
        result = ks(by_score(found))
        took = time.perf_counter() - began
        print(f"KS of {found.rows:,} rows, {what}, {name}: {took:.2f} s "
              f"(of them reading {read:.2f} s); {len(found.score):,} scores, {result}",
              flush=True)  # fmt: skip


def peers(log: PostgresqlScoringLog, what: str) -> None:
    """Say how long two plain ways to the same counts take: SQL alone, and rows by COPY."""
    joined = "FROM scored s LEFT JOIN labelled l ON l.day = s.day AND l.id = s.id"
    with transaction(Place(log.url, log.namespace)) as connection:
        began = time.perf_counter()
        found = connection.execute(
            "SELECT s.score, count(*) FILTER (WHERE l.event = 1),"
            f" count(*) FILTER (WHERE l.event = 0) {joined} GROUP BY s.score ORDER BY s.score"
        ).fetchall()
        took = time.perf_counter() - began
        print(f"{what}: GROUP BY score in SQL {took:.2f} s, {len(found):,} rows", flush=True)
        began = time.perf_counter()
        copying = f"COPY (SELECT s.score, l.event {joined}) TO STDOUT (FORMAT BINARY)"
        with connection.cursor() as cursor, cursor.copy(copying) as copy:
            copy.set_types(["float8", "int2"])
            scores = np.fromiter(copy.rows(), dtype=[("score", "f8"), ("event", "i2")])
        np.unique(scores["score"], return_counts=True)
        took = time.perf_counter() - began
        print(f"{what}: COPY into numpy {took:.2f} s, {len(scores):,} rows", flush=True)


def main() -> None:
    """Measure everything, or with fewer rows what a small machine can hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--into", type=int, default=200_000)
    parser.add_argument("--without-ks", action="store_true")
    asked = parser.parse_args()
    print(" ".join(sys.argv), flush=True)
    with tempfile.TemporaryDirectory() as place:
        rate(SqliteScoringLog(path=Path(place) / "scores.db"), asked.into)
    with server() as made:
        url = made.database(empty=True)
        bare_copy(url, asked.into)
        rate(PostgresqlScoringLog(url=url), asked.into)
        postgresql = (
            f"{{use: scoring_log.postgresql, with: {{url: '{made.database(empty=True)}'}}}}"
        )
        sqlite = "{use: scoring_log.sqlite, with: {path: scores.db}}"
        for name, log in (("sqlite", sqlite), ("postgresql", postgresql)):
            with tempfile.TemporaryDirectory() as place:
                over_http(Path(place) / name, log, asked.into)
        if asked.without_ks:
            return
        for what, score in (("scores of 4 decimals", "round(random()::numeric, 4)::float8"),
                            ("no two scores alike", "random()")):  # fmt: skip
            log = PostgresqlScoringLog(url=made.database(empty=True))
            fill(log, asked.rows // DAYS, score)
            query(log, what)
            peers(log, what)
            made.drop(log.url)


if __name__ == "__main__":
    main()
