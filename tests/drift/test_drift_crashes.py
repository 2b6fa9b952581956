"""A daemon killed around a restore, and two daemons beside each other: restored once, told once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from drifting import Drifting

LOOKER = Path(__file__).with_name("looker.py")
LEASE = 1.5  # seconds after which a dead daemon's turn is another's


def look_in_a_process(work, *, crash: str = "", looks: int = 1) -> int:
    """Look from another process; gives how that ended."""
    environment = os.environ | ({"WAYSTAGE_CRASH": crash} if crash else {})
    command = [sys.executable, str(LOOKER), str(work.root), str(work.home), str(LEASE), str(looks)]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=90, check=False
    )
    assert not (done.returncode > 0), done.stderr
    return done.returncode


def look_when_free(work) -> None:
    """Look as soon as the dead daemon's turn has ended."""
    end = time.monotonic() + 120
    while work.replicas() != 1 or work.state != "ok":
        assert time.monotonic() < end, work.row().drift
        time.sleep(0.05)
        work.look()


@pytest.mark.slow
@pytest.mark.parametrize("point", ["before-restore", "after-restore"])
def test_a_daemon_killed_around_a_restore_leaves_one_restore(drifting, point):
    work = drifting(on_drift="restore", lease=LEASE)
    run = work.begin()
    work.change(replicas=5)
    work.stop()
    assert look_in_a_process(work, crash=f"{point}:1") == -signal.SIGKILL
    assert work.replicas() == (5 if point == "before-restore" else 1)
    work.boot()
    assert work.row().drift["count"] == 1, "what is about to be done was written before"
    look_when_free(work)
    assert (work.replicas(), work.state) == (1, "ok")
    assert set(work.applied()) == {f"restore/{work.row().id}/1"}, "one key, whoever calls"
    names = [name for name, _, _ in work.signals(run)]
    assert names == ["runtime.drifted", "runtime.restoring", "runtime.ok"]
    assert len(work.messages()) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("point", "number"), [("before-commit", 1), ("after-commit", 1), ("before-commit", 2)]
)
def test_a_daemon_killed_at_a_commit_of_a_look_tells_and_restores_once(drifting, point, number):
    work = drifting(on_drift="restore", lease=LEASE)
    run = work.begin()
    work.change(replicas=5)
    work.stop()
    assert look_in_a_process(work, crash=f"{point}:{number}", looks=2) == -signal.SIGKILL
    work.boot()
    look_when_free(work)
    assert set(work.applied()) <= {f"restore/{work.row().id}/1"}
    assert work.replicas() == 1
    names = [name for name, _, _ in work.signals(run)]
    assert names == ["runtime.drifted", "runtime.restoring", "runtime.ok"]
    assert len(work.messages()) == 2


def test_two_daemons_restore_and_tell_once(postgres_url, tmp_path):
    home = tmp_path / "home"
    first = Drifting(tmp_path / "one", postgres_url, home, on_drift="restore")
    second = Drifting(tmp_path / "two", postgres_url, home, clock=first.clock, on_drift="restore")
    try:
        run = first.begin()
        for _ in range(3):
            first.change(replicas=5)
            sides = [threading.Thread(target=side.look, args=(20,)) for side in (first, second)]
            for each in sides:
                each.start()
            for each in sides:
                each.join()
            assert first.state == "ok"
            first.turn(hours=2)
        assert first.applied() == [f"restore/{first.row().id}/{n}" for n in (1, 2, 3)]
        assert len(first.messages()) == 6
        names = [name for name, _, _ in first.signals(run)]
        assert names == ["runtime.drifted", "runtime.restoring", "runtime.ok"] * 3
    finally:
        first.stop()
        second.stop()


def test_a_daemon_whose_turn_was_taken_writes_nothing_of_its_restore(
    postgres_url, tmp_path, monkeypatch
):
    from waystage.daemon import restoring

    home = tmp_path / "home"
    first = Drifting(tmp_path / "one", postgres_url, home, on_drift="restore", lease=0.5)
    second = Drifting(
        tmp_path / "two", postgres_url, home, clock=first.clock, on_drift="restore", lease=0.5
    )
    calls = restoring._restore
    hung: list[str] = []

    def restore(engine, *given):
        if engine is first.daemon.engine and not hung:
            hung.append("it hangs, and the other one takes over")
            look_when_free(second)
        return calls(engine, *given)

    try:
        first.begin()
        monkeypatch.setattr(restoring, "_restore", restore)
        first.change(replicas=5)
        first.look()
        assert hung
        assert set(first.applied()) == {f"restore/{first.row().id}/1"}
        assert (first.state, first.row().drift["count"]) == ("ok", 1)
    finally:
        first.stop()
        second.stop()
