"""A step that kills who calls it is put in quarantine, so that a daemon does not die for ever."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from waystage.store import Store

PLAYER = Path(__file__).with_name("poisonous.py")


def play(place: Path, url: str, *more: str) -> int:
    command = [sys.executable, str(PLAYER), str(place), url, *more]
    return subprocess.run(command, timeout=300, check=False).returncode


def test_a_step_that_killed_its_daemon_three_times_is_not_called_again(tmp_path, database_url):
    (tmp_path / "poison.txt").touch()
    for _ in range(3):
        assert play(tmp_path, database_url) == -signal.SIGKILL
    assert play(tmp_path, database_url) == 0
    assert len((tmp_path / "calls.txt").read_text().splitlines()) == 3
    store = Store(database_url)
    (incident,) = store.incidents()
    assert incident.kind == "poison"
    assert incident.message == (
        "poison.act: 3 calls were cut off by a crash: the daemon ended each time before it answered"
    )
    store.close()
    # when the cause is mended, a person lets it be called again
    (tmp_path / "poison.txt").unlink()
    assert play(tmp_path, database_url, "the library is mended") == 0
    store = Store(database_url)
    assert store.runs()[0].outcome == "done"
    assert store.incidents() == []
    store.close()


@pytest.mark.parametrize("crashes", [1, 2])
def test_one_or_two_crashes_are_no_poison(tmp_path, crashes):
    url = f"sqlite:///{tmp_path / 'waystage.db'}"
    (tmp_path / "poison.txt").touch()
    for _ in range(crashes):
        assert play(tmp_path, url) == -signal.SIGKILL
    (tmp_path / "poison.txt").unlink()
    assert play(tmp_path, url) == 0
    store = Store(url)
    assert store.runs()[0].outcome == "done"
    store.close()
