"""Room for SQLite's log: nothing of what was committed is touched, and no disk is filled."""

from __future__ import annotations

import resource
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from waystage.store import Store, log_room

LOG_BYTES = 3_000_000  # enough to see what happens


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setattr(log_room, "LOG_BYTES", LOG_BYTES)
    made = Store(f"sqlite:///{tmp_path / 'waystage.db'}")
    with made.engine.begin() as connection:
        connection.execute(text("CREATE TABLE notes (no INTEGER PRIMARY KEY)"))
    yield made
    made.close()


def note(store: Store, *numbers: int) -> None:
    for number in numbers:
        with store.engine.begin() as connection:
            connection.execute(text("INSERT INTO notes VALUES (:no)"), {"no": number})


def notes_after_a_crash(place: Path) -> list[int]:
    """Open what lies on the disk as it is, without what any process knows of it."""
    crashed = place / "crashed"
    crashed.mkdir()
    for end in ("", "-wal"):
        shutil.copy(place / f"waystage.db{end}", crashed / f"waystage.db{end}")
    opened = Store(f"sqlite:///{crashed / 'waystage.db'}")
    with opened.engine.connect() as connection:
        assert connection.execute(text("PRAGMA integrity_check")).scalar() == "ok"
        found = list(connection.execute(text("SELECT no FROM notes ORDER BY no")).scalars())
    opened.close()
    return found


def test_what_was_committed_before_and_after_is_there_after_a_crash(
    store: Store, tmp_path: Path
) -> None:
    note(store, 1, 2)
    assert store.lay_out_log()
    note(store, 3)
    assert (tmp_path / "waystage.db-wal").stat().st_size == LOG_BYTES
    assert notes_after_a_crash(tmp_path) == [1, 2, 3]


def test_the_log_does_not_grow_while_what_it_has_room_for_is_written(
    store: Store, tmp_path: Path
) -> None:
    assert store.lay_out_log()
    note(store, *range(50))
    assert (tmp_path / "waystage.db-wal").stat().st_size == LOG_BYTES
    assert store.lay_out_log(), "there already: nothing to do"
    assert notes_after_a_crash(tmp_path) == list(range(50))


def test_a_disk_that_refuses_is_left_as_it_was(store: Store, tmp_path: Path) -> None:
    note(store, 1)
    log = tmp_path / "waystage.db-wal"
    before = log.stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (before + LOG_BYTES // 2, hard))
    try:
        assert not store.lay_out_log()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert log.stat().st_size == before
    note(store, 2)
    assert notes_after_a_crash(tmp_path) == [1, 2]


def test_a_disk_with_little_room_is_not_filled(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_room, "SPARE", 1 << 40)
    assert not store.lay_out_log()
    assert (tmp_path / "waystage.db-wal").stat().st_size < LOG_BYTES


def test_other_databases_have_no_such_log(database_url: str) -> None:
    made = Store(database_url)
    assert made.lay_out_log() == (made.engine.dialect.name == "sqlite")
    made.close()
