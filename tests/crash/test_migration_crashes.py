"""A daemon killed at any moment of a migration: the run is in one text or in the other."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from waystage.daemon.definitions import Definitions
from waystage.kernel import Event, Run
from waystage.kernel.replay import rebuild
from waystage.store import Store

MIGRATOR = Path(__file__).with_name("migrator.py")


def play(place: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(MIGRATOR), str(place)],
        env=os.environ | environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("point", "number"), [("before-commit", 2), ("before-commit", 3), ("after-commit", 2)]
)
def test_a_crash_around_a_migration_leaves_one_migration_and_one_way(
    point: str, number: int, tmp_path: Path
) -> None:
    crashed = play(tmp_path, WAYSTAGE_CRASH=f"{point}:{number}")
    assert crashed.returncode == -signal.SIGKILL, crashed.stderr
    done = play(tmp_path)
    assert done.returncode == 0, done.stderr
    store = Store(f"sqlite:///{tmp_path / 'waystage.db'}")
    (run,) = store.runs()
    assert run.outcome == "moved"
    rows = store.history(run.id)
    moves = [record for row in rows for record in row.records if record[0] == "migrated"]
    assert len(moves) == 1
    history = [(Event.from_json(row.event, row.actor), row.at) for row in rows]
    by_hash = Definitions(store).by_hash
    first = by_hash(history[0][0].data["opened"]["definition"])
    body = store.run_body(run.id)
    assert body is not None
    assert rebuild(first, history, by_hash) == Run.from_json(body)
    store.close()
