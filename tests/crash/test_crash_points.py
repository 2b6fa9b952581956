"""A daemon killed at any named point ends, after a restart, where a calm one ends."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from fault_rows import FULL

from waystage.daemon.crash import POINTS
from waystage.store import Store

PLAYER = Path(__file__).with_name("player.py")
# this lifecycle sends no messages and deploys nothing
PASSED = tuple(point for point in POINTS if not point.endswith(("-send", "-restore")))

WHAT = {
    "fault": "SIGKILL at a named crash point",
    "promise": "the run ends as a calm one: same transitions, effects, data",
    "how": "every passing of every point around commits, calls and comings-back; "
    "SQLite and PostgreSQL",
}
CAUGHT = {
    "new-key": "a step that gets another key when it is called again",
    "split-commit": "runs committed before their history and work",
}


@dataclass(frozen=True)
class Scene:
    """A directory for the effects and a database for the run."""

    place: Path
    url: str

    def play(self, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command, env=os.environ | environment, capture_output=True, text=True,
            timeout=600, check=False,
        )  # fmt: skip

    @property
    def command(self) -> list[str]:
        return [sys.executable, str(PLAYER), str(self.place), self.url]

    def outcome(self) -> tuple[list[str], list[str], str]:
        """Give the moves, the effects and how the run and the one that it calls ended."""
        store = Store(self.url)
        try:
            child, run = store.runs()
            rows = [*store.history(run.id), *store.history(child.id)]
            moves = [" ".join(r) for row in rows for r in row.records if r[0] == "moved"]
            # PostgreSQL gives a number that a crash took with it to nobody else
            effects = (self.place / "effects.txt").read_text()
            effects = effects.replace(f"{run.id}/", "run/").replace(f"{child.id}/", "child/")
            ended = [(r.status, r.outcome, store.run_body(r.id).get("data")) for r in (run, child)]
            return moves, sorted(effects.splitlines()), str(ended)
        finally:
            store.close()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def scene(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """Give a maker of scenes, on one kind of database."""

    def make() -> Scene:
        place = tmp_path_factory.mktemp("scene")
        if request.param == "sqlite":
            return Scene(place, f"sqlite:///{place / 'waystage.db'}")
        return Scene(place, request.getfixturevalue("shared_postgres").database())

    return make


@pytest.fixture(scope="module")
def calm(scene):
    """Play once without a crash and count how often each point is passed."""
    made = scene()
    counts = made.place / "counts.txt"
    done = made.play(WAYSTAGE_CRASH_COUNT=str(counts))
    assert done.returncode == 0, done.stderr
    passed = {
        name: int(n) for name, n in (line.split() for line in counts.read_text().splitlines())
    }
    return made.outcome(), passed


def test_a_calm_run_passes_every_point(calm):
    assert set(calm[1]) == set(PASSED)


@pytest.mark.parametrize("point", PASSED)
def test_a_crash_at_any_passing_of_a_point_changes_nothing_in_the_end(point, calm, scene, record):
    expected, passed = calm
    middle = (passed[point] + 1) // 2
    numbers = sorted({1, middle, max(1, passed[point] - 1)})
    if not scene().url.startswith("sqlite"):
        numbers = [middle]  # what differs there is who holds a claim, not where it was lost
    if FULL:
        numbers = list(range(1, passed[point] + 1))
    with ThreadPoolExecutor(2) as pool:
        ended = list(pool.map(lambda number: crashed_there(scene(), point, number), numbers))
    other = sum(end != expected for end in ended)
    record(**WHAT, tried=len(numbers), wrong=other)


@pytest.mark.parametrize("bug", CAUGHT)
def test_the_same_crashes_find_a_planted_bug(bug, scene, record):
    calm, made = [scene() for _ in range(2)]
    environment = {"WAYSTAGE_PLANTED": bug}
    assert calm.play(**environment).returncode == 0, "without a crash nothing shows"
    made.play(WAYSTAGE_CRASH="before-commit:3", **environment)
    # what is stuck for ever need not be waited for
    done = made.play(WAYSTAGE_PATIENCE="3", **environment)
    assert done.returncode != 0 or made.outcome() != calm.outcome()
    record(**WHAT, tried=0, wrong=0, caught=f"{'; '.join(CAUGHT.values())}: both found")


def crashed_there(made: Scene, point: str, number: int) -> object:
    """Kill the daemon there, let another go on, and tell how it ended."""
    crashed = made.play(WAYSTAGE_CRASH=f"{point}:{number}")
    assert crashed.returncode == -signal.SIGKILL, f"{point}:{number} was not passed"
    done = made.play()
    return made.outcome() if done.returncode == 0 else done.stderr


def test_a_daemon_killed_at_random_again_and_again_ends_as_a_calm_one(calm, scene):
    chance, made = random.Random(20260301), scene()
    for _ in range(6):
        process = subprocess.Popen(made.command)
        time.sleep(0.25 + chance.random() * 0.4)
        process.kill()
        process.wait()
    assert made.play().returncode == 0
    assert made.outcome() == calm[0]
