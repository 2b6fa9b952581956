"""What each released version wrote down means the same to this one, and its database goes on.

A failure here says that a run which is open somewhere would be another one after an upgrade. If
that is meant, the upgrade must migrate it; `docs/how-to/contributor.md` says how files are added.
"""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import golden_database
import golden_histories
import pytest
from golden_database import START, House

from waystage.kernel import tasks, work
from waystage.registry import load_catalog
from waystage.store.shapes import known_revisions

HERE = Path(__file__).parent
VERSIONS = sorted(path for path in HERE.glob("v*") if path.is_dir())
HISTORIES = [path for version in VERSIONS for path in sorted(version.glob("*.jsonl"))]
LIFECYCLES = [path for version in VERSIONS for path in sorted(version.glob("*.json"))]


def named(path: Path) -> str:
    """Name a file by its version and its stem."""
    return f"{path.parent.name} {path.stem}"


def test_there_are_files_of_this_version() -> None:
    import waystage

    version = ".".join(waystage.__version__.split(".")[:2])
    assert f"v{version}" in [path.name for path in VERSIONS], "run tests/golden/record.py"
    assert len(HISTORIES) > 30


@pytest.mark.parametrize("file", HISTORIES, ids=named)
def test_a_recorded_history_comes_out_as_it_did(file: Path) -> None:
    assert list(golden_histories.differences(file)) == []


@pytest.mark.parametrize("file", LIFECYCLES, ids=named)
def test_steps_say_of_their_stage_what_they_said(file: Path) -> None:
    """Who changes that makes open runs ask their stage, or not, where history has it otherwise."""
    import json

    recorded, catalog = json.loads(file.read_text())["changes"], load_catalog()
    present = {use: str(getattr(catalog[use], "changes", "none")) for use in recorded}
    assert present == recorded


def count() -> int:
    """Count the histories that come out otherwise."""
    return sum(any(golden_histories.differences(file)) for file in HISTORIES)


def test_a_kernel_that_means_something_else_is_found(
    record: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = count()
    with monkeypatch.context() as planted:
        planted.setattr(tasks, "_enough", lambda body, outcome: len(body["votes"]) > 1)
        votes = count()
    with monkeypatch.context() as planted:
        planted.setattr(work, "_deadline", lambda m, node, index: m.now)
        deadlines = count()
    assert votes
    assert deadlines
    record(
        fault="the engine is upgraded under open runs",
        promise="a recorded history means the same to every later version",
        tried=len(HISTORIES),
        wrong=wrong,
        how=f"histories of every scenario of {len(LIFECYCLES)} shipped lifecycles, as "
        f"{', '.join(path.name for path in VERSIONS)} wrote them, played by this kernel",
        caught=f"a quorum counted otherwise: {votes} differ; deadlines at once: {deadlines} differ",
    )


@pytest.mark.parametrize("version", VERSIONS, ids=lambda path: path.name)
def test_a_database_of_an_older_version_goes_on(version: Path, tmp_path: Path) -> None:
    file = tmp_path / "waystage.db"
    golden_database.load(version / "database.sql", file)
    with closing(sqlite3.connect(file)) as stored:  # before an engine makes them go on
        query = "SELECT count(*) FROM runs WHERE status = 'open'"
        assert stored.execute(query).fetchone()[0] >= 10
    house = House(file, START + golden_database.LATER / 3)
    try:
        with house.bare.store.reading() as connection:
            said = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
        assert said == known_revisions()[1]
        assert house.findings() == []
        golden_database.go_on(house)
        ends = {row.id: (row.lifecycle, row.status, row.outcome) for row in house.bare.store.runs()}
        assert [end for end in ends.values() if end[1:] != ("ended", "done")] == []
        assert house.bare.store.run_body(house.run("branches"))["data"] == {"level": 1.5}
        assert house.bare.store.run_body(house.run("lasts"))["steps"]["it"]["memo"] == {
            "asked": True
        }
        assert house.findings() == []
    finally:
        house.bare.stop()


@pytest.mark.parametrize("version", VERSIONS, ids=lambda path: path.name)
def test_a_row_that_is_another_one_is_found_in_an_older_database(
    version: Path, tmp_path: Path
) -> None:
    file = tmp_path / "waystage.db"
    golden_database.load(version / "database.sql", file)
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE runs SET outcome = 'rejected' WHERE lifecycle = 'ends'")
    house = House(file, START + golden_database.LATER / 3)
    try:
        assert any("outcome" in found for found in house.findings())
    finally:
        house.bare.stop()


def test_recording_twice_writes_the_same(tmp_path: Path) -> None:
    sys.path.insert(0, str(HERE))
    try:
        import record
    finally:
        sys.path.remove(str(HERE))
    for name in ("one", "two"):
        assert record.main([str(tmp_path / name)]) == 0
    assert record.main([str(tmp_path / "one")]) == 1, "what is there stays"
    one, two = ({path.name: path.read_text() for path in (tmp_path / name).iterdir()}
                for name in ("one", "two"))  # fmt: skip
    assert one == two
