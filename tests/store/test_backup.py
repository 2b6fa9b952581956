"""Backups of a database in use, putting one back, and a damaged file that is refused."""

from __future__ import annotations

import random
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from waystage.cli.main import run as waystage
from waystage.errors import Conflict, NotFound, StoreLocked, StoreUnfit
from waystage.store import Store
from waystage.store.backup import back_up, put_back
from waystage.store.damage import damage


class Kept:
    """A database file with rows that tests count."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.store = Store(f"sqlite:///{file}")

    def add(self, first: int, count: int) -> None:
        with self.store.writing() as connection:
            connection.exec_driver_sql(
                "INSERT INTO snapshots VALUES ('r', 'n', ?, 'd', x'7b7d', 1)",
                [(f"{number:06}",) for number in range(first, first + count)],
            )


def count(file: Path) -> int:
    with closing(sqlite3.connect(file)) as connection:
        return int(connection.execute("SELECT count(*) FROM snapshots").fetchone()[0])


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    found = Kept(tmp_path / "waystage.db")
    yield found
    found.store.close()


def test_a_backup_is_one_moment_of_a_database_that_is_being_written(
    kept: Kept, tmp_path: Path
) -> None:
    kept.add(0, 500)
    ending = threading.Event()

    def write() -> None:
        number = 1000
        while not ending.is_set():
            kept.add(number, 10)
            number += 10

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for name in ("one", "two", "three"):
            back_up(kept.file, tmp_path / name)
            assert count(tmp_path / name) >= 500
            assert count(tmp_path / name) % 10 == 0  # no transaction is there in part
    finally:
        ending.set()
        writer.join()
    assert not list(tmp_path.glob("*.new"))
    assert (tmp_path / "one").stat().st_mode & 0o777 == 0o600


def test_a_backup_is_put_back_and_what_was_there_is_kept(kept: Kept, tmp_path: Path) -> None:
    kept.add(0, 20)
    back_up(kept.file, tmp_path / "backup")
    kept.add(20, 20)
    kept.store.close()
    aside = put_back(tmp_path / "backup", kept.file, "before-x")
    assert aside is not None
    assert (count(kept.file), count(aside)) == (20, 40)
    again = Kept(kept.file)
    again.add(20, 1)
    again.store.close()
    assert count(kept.file) == 21


def test_nothing_is_put_back_under_a_daemon_at_work(kept: Kept, tmp_path: Path) -> None:
    kept.add(0, 5)
    back_up(kept.file, tmp_path / "backup")
    kept.store.occupy()
    with pytest.raises(StoreLocked, match="another daemon"):
        put_back(tmp_path / "backup", kept.file, "x")
    assert count(kept.file) == 5


def test_what_is_no_backup_is_not_put_back(kept: Kept, tmp_path: Path) -> None:
    notes, other = tmp_path / "notes", tmp_path / "other.db"
    notes.write_text("these are notes " * 500)
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE x (y)")
    for file, says in ((notes, "not a database"), (other, "no backup of Waystage")):
        with pytest.raises(StoreUnfit, match=says):
            put_back(file, kept.file, "x")
    with pytest.raises(NotFound):
        put_back(tmp_path / "nothing", kept.file, "x")
    with pytest.raises(Conflict, match="the database itself"):
        back_up(kept.file, kept.file)
    assert count(kept.file) == 0


def broken(file: Path) -> None:
    """Write nonsense over pages in the middle."""
    data = bytearray(file.read_bytes())
    dice = random.Random(3)
    for page in range(2, len(data) // 4096, 2):
        data[page * 4096 : page * 4096 + 200] = dice.randbytes(200)
    file.write_bytes(data)


def occupied(file: Path) -> None:
    """Begin as a daemon does."""
    with closing(Store(f"sqlite:///{file}")) as store:
        store.occupy()


def test_a_daemon_refuses_a_damaged_file_leaves_it_as_it_is_and_says_the_cure(kept: Kept) -> None:
    kept.add(0, 5000)
    kept.store.close()
    broken(kept.file)
    before = kept.file.read_bytes()
    assert damage(kept.file)
    with pytest.raises(StoreUnfit, match="waystage restore BACKUP"):
        occupied(kept.file)
    assert kept.file.read_bytes() == before
    with pytest.raises(StoreUnfit):
        back_up(kept.file, kept.file.with_name("copy"))
    assert not kept.file.with_name("copy").exists()


def test_a_sound_file_is_not_called_damaged(kept: Kept) -> None:
    kept.add(0, 5000)
    assert damage(kept.file) == ""
    kept.store.occupy()


def test_backup_and_restore_are_verbs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "project"
    assert waystage(["init", str(root)]) == 0
    base = ["--project", str(root)]
    assert waystage([*base, "backup", str(tmp_path / "b")]) == 1
    assert "is not there yet" in capsys.readouterr().err
    found = Kept(root / "waystage.db")
    found.add(0, 7)
    assert waystage([*base, "backup", str(tmp_path / "b")]) == 0
    found.store.close()
    broken(root / "waystage.db")
    assert waystage([*base, "restore", str(tmp_path / "b")]) == 0
    assert "What was there is waystage.db.before-" in capsys.readouterr().out
    assert count(root / "waystage.db") == 7
    yaml = root / "waystage.yaml"
    yaml.write_text(yaml.read_text().replace("sqlite:///waystage.db", "postgresql://h/n"))
    assert waystage([*base, "backup", str(tmp_path / "b")]) == 1
    assert "pg_dump" in capsys.readouterr().err
