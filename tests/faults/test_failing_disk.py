"""A disk that is full or answers with errors: nothing is acknowledged, and it goes on by itself."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fault_rows import FULL, scaled

from waystage.store import Store

TOOL = Path(__file__).parents[1] / "helpers" / "failing_disk.py"
NOTHING = {"acknowledged": [], "refused": [], "kept": [], "calls": [], "findings": []}
PROMISE = (
    "nothing is acknowledged that is not kept, nothing refused is; reading goes on; "
    "it resumes by itself, and no step is called twice"
)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Give a directory that is a file system of its own, of 24 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "waystage", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a file system can be mounted by root alone")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def play(place: Path, count: int, how: str, *before: str, bug: str = "") -> dict[str, Any]:
    """Send events while the disk fails, and give what was said and what is kept."""
    Store(f"sqlite:///{place / 'waystage.db'}").close()
    done = subprocess.run(
        [*before, sys.executable, str(TOOL), str(place), str(count), how],
        env=os.environ | {"WAYSTAGE_PLANTED": bug}, capture_output=True, text=True, timeout=600,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    for file in place.glob("*"):
        file.unlink()
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def wrong_in(told: dict[str, Any]) -> int:
    """Count what is not as it was said."""
    kept = Counter(told["kept"])
    lost = sum(kept[number] != 1 for number in told["acknowledged"])
    invented = sum(kept[number] != 0 for number in told["refused"])
    twice = len(told["calls"]) - len(set(told["calls"])) + abs(len(told["calls"]) - len(kept))
    return lost + invented + twice + len(told["findings"])


def row(told: dict[str, Any], planted: dict[str, Any]) -> dict[str, Any]:
    """Give what is recorded in all of these."""
    assert told["refused"], "nothing was refused: the disk did not fail when it was to"
    print({name: len(value) if isinstance(value, list) else value for name, value in told.items()})
    return {
        "promise": PROMISE,
        "tried": len(told["refused"]) + len(told["acknowledged"]),
        "wrong": wrong_in(told),
        "caught": f"a failed commit taken for a done one: {wrong_in(planted)} wrong"
        * bool(wrong_in(planted)),
    }


def test_a_full_disk_loses_and_invents_nothing(small_disk, record):
    count = scaled(full=120, part=6)
    told = play(small_disk, count, "fill")
    assert told["faults"], "no answer of a step met the full disk"
    planted = play(small_disk, 6, "fill", bug="deaf") if FULL else NOTHING
    record(
        fault="disk full", **row(told, planted),
        how="a file system of 24 MB filled to its last byte: before an event, or while a step is "
        "being called; SQLite",
    )  # fmt: skip


def test_files_that_may_not_grow_lose_and_invent_nothing(tmp_path, record):
    told = play(tmp_path, scaled(full=120, part=6), "limit")
    planted = play(tmp_path, 6, "limit", bug="deaf")
    record(
        fault="files may not grow", **row(told, planted),
        how="the process's limit of file size set to what the log has; SQLite",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("calls", "error", "when"), [("fdatasync,fsync", "EIO", "3+3"), ("pwrite64", "ENOSPC", "40+31")]
)
def test_writes_and_syncs_that_fail_lose_and_invent_nothing(tmp_path, record, calls, error, when):
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    before = (
        strace, "-f", "-qq", "-o", str(tmp_path / "trace"), "-P", str(tmp_path / "waystage.db-wal"),
        "-e", f"trace={calls}", "-e", f"inject={calls}:error={error}:when={when}",
    )  # fmt: skip
    probe = [strace, "-qq", "-o", str(tmp_path / "trace"), "true"]
    if subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("strace may not trace here")
    told = play(tmp_path, scaled(full=60, part=8), "none", *before)
    planted = play(tmp_path, 8, "none", *before, bug="deaf") if FULL else NOTHING
    record(
        fault="writes and syncs fail", **row(told, planted),
        how="fault injection into the system calls of a real process: each 3rd sync of SQLite's "
        "log fails with EIO, each 31st write with ENOSPC",
    )  # fmt: skip
