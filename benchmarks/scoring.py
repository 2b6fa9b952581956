"""Rows into the scoring logs, and KS, AUC and PSI out of ten million: by hand.

    python benchmarks/scoring.py                 # everything, some twenty minutes
    python benchmarks/scoring.py --only memory   # or rate, http, sqlite, postgresql

Both sides in one run: what our log takes in against PostgreSQL's bare COPY of the same bytes
into one table without an index; exact (nothing counted before) and from the daily roll-up.
Beside each time on the clock stands what it took of a processor, of ours and of the server's:
on a machine that others use, too, the second is the one to go by.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import psycopg
from numpy.typing import NDArray
from postgres import server

from waystage.cli.main import run as waystage
from waystage.client import Sender
from waystage.plugin import Label, ScoredRow, ScoringLog, Slice, new_request_id
from waystage_plugins.monitors.labelled import by_score
from waystage_plugins.monitors.profile import Cells, edges_of, fill_scores
from waystage_plugins.monitors.statistics.auc import auc
from waystage_plugins.monitors.statistics.counts import ranked, raw
from waystage_plugins.monitors.statistics.divergence import psi
from waystage_plugins.monitors.statistics.ks import ks
from waystage_plugins.scoring import PostgresqlScoringLog, SqliteScoringLog
from waystage_plugins.scoring.postgres.connect import Place, transaction
from waystage_plugins.scoring.postgres.tables import make_days

T = TypeVar("T")
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


class Took:
    """Times a block: on the clock, and of processors, its own and the database server's."""

    def __init__(self, server_pid: int = 0) -> None:
        self._server, self.wall, self.own, self.server = server_pid, 0.0, 0.0, 0.0

    def __enter__(self) -> Took:
        self._then = (time.perf_counter(), time.process_time(), tree_seconds(self._server))
        return self

    def __exit__(self, *_: object) -> None:
        now = (time.perf_counter(), time.process_time(), tree_seconds(self._server))
        self.wall, self.own, self.server = (b - a for a, b in zip(self._then, now, strict=True))

    def __str__(self) -> str:
        server = f" + {self.server:.2f} s in the server" if self._server else ""
        return f"{self.wall:.2f} s, of a processor {self.own:.2f} s{server}"

    def each(self, count: int) -> str:
        """Say how many a second, and what one takes of a processor."""
        used = (self.own + self.server) / count * 1e6
        return f"{count / self.wall:,.0f}/s, {used:.1f} µs of a processor for each"


def tree_seconds(pid: int) -> float:
    """Give the processor time of a process, its children and those of them that have ended."""
    if not pid:
        return 0.0
    found = 0
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            fields = (place / "stat").read_text().rpartition(")")[2].split()
            if place.name == str(pid):
                found += sum(map(int, fields[11:15]))
            elif fields[1] == str(pid):
                found += sum(map(int, fields[11:13]))
    return found / os.sysconf("SC_CLK_TCK")


def rate(log: ScoringLog, count: int, server_pid: int = 0) -> None:
    """Say how many rows and labels a second the log takes, from one writer."""
    log.append(rows(1))  # which makes the tables
    given = list(rows(count))
    with Took(server_pid) as took:
        log.append(given)
    print(f"{log.use}: rows in, batches of 10,000: {took.each(count)}", flush=True)
    labels = [Label(row.request_id, n % 2, row.at) for n, row in enumerate(given)]
    with Took(server_pid) as took:
        log.label(labels)
    print(f"{log.use}: labels in: {took.each(count)}", flush=True)
    small = list(rows(5_000, count))
    with Took(server_pid) as took:
        for first in range(0, len(small), 100):
            log.append(small[first : first + 100])
    print(f"{log.use}: rows in, batches of 100: {took.each(len(small))}", flush=True)


def bare_copy(url: str, count: int, server_pid: int) -> None:
    """Say how fast the same values go by COPY into one table without an index."""
    given = [(r.request_id, r.at, r.service, r.stage, r.snapshot, r.role, r.score, r.latency_ms,
              str(r.inputs)) for r in rows(count)]  # fmt: skip
    with psycopg.connect(url) as connection:
        connection.execute(
            "CREATE TABLE bare (a text, b timestamptz, c text, d text, e text, f text,"
            " g float8, h float8, i text)"
        )
        connection.commit()
        with Took(server_pid) as took:
            for first in range(0, count, 10_000):
                _copy_bare(connection, given[first : first + 10_000])
    print(f"bare COPY of the same: {took.each(count)}", flush=True)


def _copy_bare(connection: psycopg.Connection[Any], given: list[tuple[Any, ...]]) -> None:
    copying = "COPY bare FROM STDIN (FORMAT BINARY)"
    with connection.cursor() as cursor, cursor.copy(copying) as copy:
        copy.set_types(["text", "timestamptz", *["text"] * 4, "float8", "float8", "text"])
        for row in given:
            copy.write_row(row)
    connection.commit()


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
    with psycopg.connect(log.url, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE)")  # as the server does by itself a while later


def fill_sqlite(log: SqliteScoringLog, each: int, distinct: bool) -> None:
    """Write a month with labels of all rows, day after day."""
    chance = random.Random(7)
    for day in range(DAYS):
        made = [(f"{day * each + n:036x}", chance.random(), chance.random()) for n in range(each)]
        at, step = START + timedelta(days=day), timedelta(days=1) / each
        log.append(
            ScoredRow(name, at + n * step, "bench", "PROD", "credit/1", "champion",
                      score if distinct else round(score, 4))
            for n, (name, score, _) in enumerate(made)
        )  # fmt: skip
        log.label(Label(name, int(event < 0.08), at) for name, _, event in made)


def query(log: ScoringLog, what: str, server_pid: int = 0) -> None:
    """Say how long KS, AUC and PSI take: exact, nothing counted before, and from the roll-up."""
    half = replace(MONTH, end=START + timedelta(days=DAYS / 2))
    for name in ("exact, nothing counted before", "from the roll-up", "from the roll-up, again"):
        with Took(server_pid) as reading:
            found = log.grouped(MONTH)
        with Took() as counting:
            counts = by_score(found)
            result, area = ks(counts), auc(counts)
        print(f"{log.use}, {found.rows:,} rows, {what}, {name}: reading {reading}; KS and AUC "
              f"{counting}; {len(found.score):,} scores, {result.value:.6f}, {area.value:.6f}",
              flush=True)  # fmt: skip
    with Took(server_pid) as took:
        cells = [_cells_of(log, half), _cells_of(log, MONTH)]
    print(f"{log.use}, {what}: PSI of the score, half a month and a month {took}; "
          f"{float(psi(*cells)):.6f}", flush=True)  # fmt: skip


def _cells_of(log: ScoringLog, which: Slice) -> NDArray[np.int64]:
    cells = Cells(np.arange(1, 10) / 10, [])
    fill_scores(cells, log.scores(which))
    return cells.counts


def least(work: Callable[[], T]) -> tuple[T, Took]:
    """Give what comes of some work, and of three goes the one that took a processor least."""
    goes: list[tuple[T, Took]] = []
    for _ in range(3):
        with Took() as took:
            found = work()
        goes.append((found, took))
    return min(goes, key=lambda go: go[1].own)


def in_memory(count: int) -> None:
    """Say how long KS, AUC and PSI of scores in memory take."""
    chance = np.random.default_rng(7)
    event = (chance.random(count) < 0.08).astype(np.int64)
    for what in ("no two scores alike", "scores of 4 decimals"):
        score = chance.random(count) if what.startswith("no") else chance.random(count).round(4)
        halves = score[: count // 2], score[count // 2 :]

        def moved(halves: tuple[Any, Any] = halves) -> float:
            edges = edges_of(halves[0], 10)
            cells = [np.bincount(np.searchsorted(edges, half), minlength=len(edges) + 1)
                     for half in halves]  # fmt: skip
            return float(psi(*cells))

        _, counting = least(partial(raw, score, event))
        order = partial(ranked, score, event)
        value, ranking = least(lambda order=order: ks(order()))
        area, areas = least(lambda order=order: auc(order()))
        index, drifting = least(moved)
        print(f"in memory, {count:,} rows, {what}: counts by score {counting}; from the rows "
              f"KS {ranking}, AUC {areas}; PSI of its halves with deciles {drifting}; "
              f"{value.value:.6f}, {area.value:.6f}, {index:.6f}", flush=True)  # fmt: skip


def peers(log: PostgresqlScoringLog, what: str, server_pid: int) -> None:
    """Say how long two plain ways to the same counts take: SQL alone, and rows by COPY."""
    joined = "FROM scored s LEFT JOIN labelled l ON l.day = s.day AND l.id = s.id"
    with transaction(Place(log.url, log.namespace)) as connection:
        with Took(server_pid) as took:
            found = connection.execute(
                "SELECT s.score, count(*) FILTER (WHERE l.event = 1),"
                f" count(*) FILTER (WHERE l.event = 0) {joined} GROUP BY s.score ORDER BY s.score"
            ).fetchall()
        print(f"{what}: GROUP BY score in SQL {took}; {len(found):,} rows", flush=True)
        copying = f"COPY (SELECT s.score, l.event {joined}) TO STDOUT (FORMAT BINARY)"
        with Took(server_pid) as took, connection.cursor() as cursor, cursor.copy(copying) as copy:
            copy.set_types(["float8", "int2"])
            scores = np.fromiter(copy.rows(), dtype=[("score", "f8"), ("event", "i2")])
        print(f"{what}: COPY into numpy {took}; {len(scores):,} rows", flush=True)


def pid_of(made: Any) -> int:
    """Give the process of a server that all its others are children of."""
    with psycopg.connect(made.url("postgres")) as connection:
        told = Path(f"/proc/{connection.info.backend_pid}/stat").read_text()
    return int(told.rpartition(")")[2].split()[1])


def peak_mb() -> float:
    """Give the most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


SCORES = {"scores of 4 decimals": "round(random()::numeric, 4)::float8",
          "no two scores alike": "random()"}  # fmt: skip


def on_sqlite(count: int) -> None:
    """Fill files with a month, and ask."""
    for what in SCORES:
        with tempfile.TemporaryDirectory() as place:
            log = SqliteScoringLog(path=Path(place) / "scores.db")
            fill_sqlite(log, count // DAYS, what.startswith("no"))
            query(log, what)


def on_postgresql(made: Any, count: int) -> None:
    """Fill a server with a month, and ask."""
    for what, score in SCORES.items():
        log = PostgresqlScoringLog(url=made.database(empty=True))
        fill(log, count // DAYS, score)
        query(log, what, pid_of(made))
        print(f"peak memory of this process so far {peak_mb():.0f} MB", flush=True)
        peers(log, what, pid_of(made))
        made.drop(log.url)


def rates(made: Any, count: int) -> None:
    """Write into both logs, and beside them into a bare table."""
    with tempfile.TemporaryDirectory() as place:
        rate(SqliteScoringLog(path=Path(place) / "scores.db"), count)
    url = made.database(empty=True)
    bare_copy(url, count, pid_of(made))
    rate(PostgresqlScoringLog(url=url), count, pid_of(made))


def over_http_into_both(made: Any, count: int) -> None:
    """Send rows to a daemon, once with each log behind it."""
    url = made.database(empty=True)
    logs = {"sqlite": "{use: scoring_log.sqlite, with: {path: scores.db}}",
            "postgresql": f"{{use: scoring_log.postgresql, with: {{url: '{url}'}}}}"}  # fmt: skip
    for name, log in logs.items():
        with tempfile.TemporaryDirectory() as place:
            over_http(Path(place) / name, log, count)


def main() -> None:
    """Measure everything, or with fewer rows what a small machine can hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000, help="of the month")
    parser.add_argument("--into", type=int, default=200_000, help="written to measure the rate")
    parser.add_argument("--only", default="", help="memory, rate, http, sqlite or postgresql")
    asked = parser.parse_args()
    print(" ".join(sys.argv), "load", os.getloadavg(), flush=True)
    wanted = {asked.only} if asked.only else {"memory", "rate", "http", "sqlite", "postgresql"}
    if "memory" in wanted:
        in_memory(asked.rows)
    if "sqlite" in wanted:
        on_sqlite(asked.rows)
    if wanted & {"rate", "http", "postgresql"}:
        with server() as made:
            if "rate" in wanted:
                rates(made, asked.into)
            if "http" in wanted:
                over_http_into_both(made, asked.into)
            if "postgresql" in wanted:
                on_postgresql(made, asked.rows)
    print("load", os.getloadavg(), flush=True)


if __name__ == "__main__":
    main()
