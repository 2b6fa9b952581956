"""A daemon killed at any named point ends, after a restart, where a calm one ends."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from waystage.daemon.crash import POINTS
from waystage.store import Store

PLAYER = Path(__file__).with_name("player.py")
# messages are sent by the outbox, which this lifecycle does not use
PASSED = tuple(point for point in POINTS if not point.endswith("-send"))


def play(place: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(PLAYER), str(place)],
        env=os.environ | environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def outcome(place: Path) -> tuple[list[str], list[str], str]:
    """Give the moves, the effects and how the run ended."""
    store = Store(f"sqlite:///{place / 'waystage.db'}")
    try:
        (run,) = store.runs()
        moves = [
            " ".join(r) for row in store.history(run.id) for r in row.records if r[0] == "moved"
        ]
        effects = sorted((place / "effects.txt").read_text().splitlines())
        return moves, effects, f"{run.status} {run.outcome} {store.run_body(run.id)['data']}"
    finally:
        store.close()


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory):
    """Play once without a crash and count how often each point is passed."""
    place = tmp_path_factory.mktemp("calm")
    counts = place / "counts.txt"
    done = play(place, WAYSTAGE_CRASH_COUNT=str(counts))
    assert done.returncode == 0, done.stderr
    passed = {
        name: int(n) for name, n in (line.split() for line in counts.read_text().splitlines())
    }
    return outcome(place), passed


def test_a_calm_run_passes_every_point(calm):
    assert set(calm[1]) == set(PASSED)


@pytest.mark.parametrize("point", PASSED)
def test_a_crash_at_any_passing_of_a_point_changes_nothing_in_the_end(point, calm, tmp_path):
    expected, passed = calm
    numbers = sorted({1, (passed[point] + 1) // 2, max(1, passed[point] - 1)})
    for number in numbers:
        place = tmp_path / str(number)
        place.mkdir()
        crashed = play(place, WAYSTAGE_CRASH=f"{point}:{number}")
        assert crashed.returncode == -signal.SIGKILL, f"{point}:{number} was not passed"
        done = play(place)
        assert done.returncode == 0, done.stderr
        assert outcome(place) == expected, f"{point}:{number}"


def test_a_daemon_killed_at_random_again_and_again_ends_as_a_calm_one(calm, tmp_path):
    chance = random.Random(20260301)
    for _ in range(6):
        process = subprocess.Popen([sys.executable, str(PLAYER), str(tmp_path)])
        time.sleep(0.25 + chance.random() * 0.4)
        process.kill()
        process.wait()
    assert play(tmp_path).returncode == 0
    assert outcome(tmp_path) == calm[0]
