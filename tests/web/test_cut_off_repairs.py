"""Mending many incidents is cut off in the middle, and said again: each is mended once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.web.conftest import Api, make_project

from waystage.store import reading_only
from waystage.store.rows import ALL

COUNT = 17  # five to a call: cut off in the second, and in the first of what is left
HEARING = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("waystage.cli.main", run_name="__main__")
"""
ROOT = Path(__file__).parents[2]
Start = Callable[..., "subprocess.Popen[str]"]
ORDER = ("retry", "--all-of", "kind=failed", "--reason", "the file is there", "--yes")


@pytest.fixture
def parked(tmp_path: Path) -> Path:
    """Make a project in which many runs are parked, and whose cause is mended."""
    root = make_project(tmp_path / "project")
    api = Api(root)
    for number in range(COUNT):
        api.open("breaking", key=f"b{number}")
    api.until(lambda: len(api.get("incidents")) == COUNT)
    api.stop()
    (root / "mended").touch()
    return root


@pytest.fixture
def start(parked: Path) -> Iterator[Start]:
    """Give what starts a daemon that is cut off, and ends it afterwards."""
    started: list[subprocess.Popen[str]] = []

    def begin(how: str, number: int = 0) -> subprocess.Popen[str]:
        (parked / ".waystage/daemon.json").unlink(missing_ok=True)
        code = "from tests.helpers import repairing_daemon; repairing_daemon.main()"
        found = subprocess.Popen([sys.executable, "-c", code, str(parked), how, str(number)],
                                 cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                 text=True)  # fmt: skip
        started.append(found)
        assert found.stdout is not None
        assert found.stdout.readline() == "up\n"
        return found

    yield begin
    for each in started:
        each.kill()
        each.communicate(timeout=60)


def verb(root: Path, *words: str) -> subprocess.Popen[str]:
    """Begin a verb as otto, in a process of its own that hears Ctrl-C, whoever runs the tests."""
    command = [sys.executable, "-c", HEARING, "--project", str(root), "--as", "otto"]
    return subprocess.Popen([*command, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True, start_new_session=True)  # fmt: skip


def told(begun: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, errors = begun.communicate(timeout=120)
    return begun.returncode, out, errors


def until(holds: Callable[[], Any]) -> None:
    end = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < end, "nothing happens any more"
        time.sleep(0.01)


def each_was_mended_once(root: Path) -> None:
    reader = reading_only(f"sqlite:///{root / 'waystage.db'}")
    try:
        until(lambda: reader.count_incidents(ALL) == 0)
        until(lambda: all(run.status == "ended" for run in reader.runs()))
        closed = reader.incidents(open_only=False)
        assert [(row.how, row.closed_by) for row in closed] == [("retried", "engine")] * COUNT, (
            "by its success"
        )
        for row in closed:
            kinds = [each.event["kind"] for each in reader.history(row.run)]
            assert kinds.count("incident.retry") == 1, kinds
    finally:
        reader.close()


def test_what_was_cut_off_by_ctrl_c_and_by_a_crash_goes_on_when_said_again(
    parked: Path, start: Start
) -> None:
    held = start("hold", number=7)
    begun = verb(parked, *ORDER, "--json")
    until((parked / "held").exists)
    os.kill(begun.pid, signal.SIGINT)
    code, out, errors = told(begun)
    answered = json.loads(out)
    assert (code, answered["whole"], len(answered["incidents"])) == (130, False, 5), errors
    assert "Say the same again for the others." in errors
    held.kill()
    held.wait(timeout=60)

    dying = start("kill", number=3)
    code, out, errors = told(verb(parked, *ORDER))
    assert dying.wait(timeout=60) == -signal.SIGKILL
    assert (code, out.strip()) == (1, "retry: 0 done, 0 not."), errors
    assert "no daemon answers" in errors

    start("none")
    code, out, errors = told(verb(parked, *ORDER))
    assert (code, "done, 0 not." in out) == (0, True), errors
    each_was_mended_once(parked)
