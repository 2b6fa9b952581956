"""A daemon that hangs past its leases while another goes on: nothing stale is written."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from fault_rows import FULL

from waystage.store import Store

PLAYER = Path(__file__).with_name("player.py")
RUNS = 60
FAULT = "a daemon stopped in the middle of a transaction (PostgreSQL)"
PROMISE = "others wait no longer than the limit of its transactions; each thing is done once"
HOW = (
    "SIGSTOP behind the n-th batch's writes, before its COMMIT; 60 runs, another daemon does them "
    "meanwhile; the limit is one second instead of thirty; then SIGCONT"
)
WAY = [
    "moved first done rest",
    "moved rest over last",
    "moved last done inner",
    "moved inner done end",
]


@pytest.mark.parametrize("seed", range(2))
def test_daemons_that_are_stopped_and_woken_in_turn_do_everything_once(
    shared_postgres, postgres_url, tmp_path, seed
):
    chance = random.Random(seed)
    # who stops daemons at will is not the steps' fault: they are in no quarantine for it
    environment = os.environ | {"WAYSTAGE_NO_QUARANTINE": "1", "WAYSTAGE_PATIENCE": "120"}
    players = [
        subprocess.Popen(
            [sys.executable, str(PLAYER), str(tmp_path), postgres_url, str(RUNS)],
            stderr=subprocess.PIPE,
            env=environment,
        )
        for _ in range(2)
    ]
    effects = tmp_path / "effects.txt"
    until(lambda: effects.exists() or players[0].poll() is not None)
    for number in range(6):
        hanging = players[(number + seed) % 2]
        hanging.send_signal(signal.SIGSTOP)
        time.sleep(0.2 + chance.random())  # the leases are half a second
        hanging.send_signal(signal.SIGCONT)
    for player in players:
        _, said = player.communicate(timeout=180)
        assert player.returncode == 0, said
    all_done_once(postgres_url)


@pytest.mark.parametrize("moves", range(1, 41, 2) if FULL else [5])
def test_a_daemon_stopped_in_a_transaction_holds_the_others_up_for_a_while_only(
    shared_postgres, postgres_url, tmp_path, record, moves
):
    hanging, command = stopped(tmp_path, postgres_url, after=moves, limit=1)
    try:
        other = subprocess.run(command, env=environment(1), timeout=300, check=False)
        assert other.returncode == 0, "it goes on while the first still hangs"
        all_done_once(postgres_url)
    finally:
        hanging.send_signal(signal.SIGCONT)
    assert hanging.wait(timeout=300) == 0, "what it had written is gone: it looks, and goes on"
    all_done_once(postgres_url)
    record(fault=FAULT, promise=PROMISE, how=HOW, tried=1, wrong=0)


@pytest.mark.skipif(not FULL, reason="it waits for what stands still; `make faults` runs it")
def test_without_the_limit_the_others_stand_still(shared_postgres, postgres_url, tmp_path, record):
    hanging, command = stopped(tmp_path, postgres_url, after=5, limit=0)
    other = subprocess.Popen(command, env=environment(0))
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(timeout=30)
    finally:
        hanging.kill()
        hanging.wait(timeout=60)
        assert other.wait(timeout=300) == 0, "that was all that held it up"
    all_done_once(postgres_url)
    record(fault=FAULT, promise=PROMISE, how=HOW, tried=0, wrong=0,
           caught="no limit of the database's: the other daemon stood still")  # fmt: skip


def stopped(place: Path, url: str, *, after: int, limit: int) -> tuple[Any, list[str]]:
    """Start a daemon that stops behind its writes; gives it, and the words that start others."""
    command = [sys.executable, str(PLAYER), str(place), url, str(RUNS)]
    hanging = subprocess.Popen(command, env=environment(limit) | {"WAYSTAGE_STOPS": str(after)})
    _, status = os.waitpid(hanging.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status), f"it ended before it came there: {status}"
    return hanging, command


def environment(limit: int) -> dict[str, str]:
    """Give the environment of a daemon whose transactions may take so many seconds (0: ever)."""
    return os.environ | {"WAYSTAGE_HANGS": str(limit), "WAYSTAGE_NO_QUARANTINE": "1"}


def all_done_once(url: str) -> None:
    store = Store(url)
    runs = [run for run in store.runs(limit=1000) if run.lifecycle == "crashed"]
    assert len(runs) == RUNS
    for run in runs:
        moves = [" ".join(r[:4]) for row in store.history(run.id) for r in row.records]
        assert [move for move in moves if move.startswith("moved")] == WAY
        assert store.run_body(run.id)["data"] == {"seen": 1}
        assert run.status == "ended"
        assert [child.outcome for child in store.children(run.id)] == ["done"]
    store.close()


def until(holds) -> None:
    end = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.001)
