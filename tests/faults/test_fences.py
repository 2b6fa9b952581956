"""A daemon that hangs past its leases and comes back: what it says then is not written."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import hanging_player
import psycopg
from fault_rows import FULL, scaled

ORDER = 1 << 20  # fencing numbers of one order are those between two multiples


def hang(url: str, runs: int, seed: int, *planted: str) -> tuple[int, int, int, int]:
    """Stop and wake two daemons in turn; give claims, claims taken over, stale writes, stops."""
    chance = random.Random(seed)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(hanging_player.WATCH)
    code = "import hanging_player; hanging_player.main()"
    path = os.pathsep.join([str(Path(hanging_player.__file__).parent), *sys.path])
    players = [
        subprocess.Popen(
            [sys.executable, "-c", code, url, str(runs), *planted], stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": path}, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    try:
        for player in players:
            assert player.stdout is not None
            assert player.stdout.readline() == "open\n"
        stops = 0
        while all(player.poll() is None for player in players):
            hanging = players[stops % 2]
            hanging.send_signal(signal.SIGSTOP)
            time.sleep(0.6 + chance.random())  # the leases are half a second
            hanging.send_signal(signal.SIGCONT)
            time.sleep(0.2 + chance.random() / 2)
            stops += 1
        for player in players:
            assert player.wait(timeout=120) == 0
    finally:
        for player in players:
            player.kill()
            player.communicate()
    return (*judged(url), stops)


def judged(url: str) -> tuple[int, int, int]:
    """Count claims, those that were taken over, and answers to another claim than the last."""
    latest: dict[tuple[int, int], int] = {}
    dones: dict[int, int] = defaultdict(int)
    claims = taken = stale = 0
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT run, fence, body FROM watched ORDER BY id").fetchall()
        runs = connection.execute("SELECT no FROM runs").fetchall()
    for run, fence, body in rows:
        if fence is not None:
            claims += 1
            taken += (run, fence // ORDER) in latest
            latest[run, fence // ORDER] = fence
            continue
        event = json.loads(bytes(body))["event"]
        if event["kind"] == "step.done":
            said: Any = event["data"]["fence"]
            dones[run] += 1
            stale += latest[run, said // ORDER] != said
    twice = sum(abs(dones[run] - hanging_player.STEPS) for (run,) in runs)
    return claims, taken, stale + twice


def test_nothing_stale_is_written_by_a_daemon_that_comes_back(shared_postgres, record):
    runs = scaled(full=1000, part=12)
    url, planted = shared_postgres.database(), shared_postgres.database()
    claims, taken, stale, stops = hang(url, runs, 1)
    wrong = 0 if FULL else 1
    for attempt in range(
        5 * FULL
    ):  # in a short time a hanging daemon may happen to have called nothing
        _, _, wrong, _ = hang(planted, 100, attempt, "believe")
        if wrong:
            break
        planted = shared_postgres.database()
    assert wrong, "the check does not see the planted bug"
    record(
        fault="two daemons on PostgreSQL, one hangs past its leases and comes back",
        promise="0 stale writes",
        tried=claims,
        wrong=stale,
        how=f"SIGSTOP and SIGCONT in turn, {stops} times, leases of half a second; {taken:,} "
        "claims were taken over; the server's own triggers saw each claim and each answer",
        caught=f"no look at the fencing number: {wrong} stale writes",
    )
