"""The database: its shape, who may open it, and what it does with a stale writer."""

from __future__ import annotations

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from waystage.errors import StoreUnfit
from waystage.store import Store
from waystage.store.commit import Batch
from waystage.store.database import rooted
from waystage.store.schema import metadata

ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def store(database_url: str):
    found = Store(database_url)
    yield found
    found.close()


def test_the_migrations_lead_to_the_tables_of_the_schema(store):
    with store.engine.connect() as connection:
        difference = compare_metadata(MigrationContext.configure(connection), metadata)
    assert difference == []


def test_opening_a_database_twice_changes_nothing(store, database_url):
    again = Store(database_url)
    assert again.runs() == []
    again.close()


def test_a_database_of_a_newer_version_is_refused_in_one_line(store, database_url):
    with store.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreUnfit, match="written by a newer Waystage"):
        Store(database_url)


def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(tmp_path):
    file = tmp_path / "waystage.db"
    file.write_text("this is no database, but somebody's notes" * 100)
    with pytest.raises(StoreUnfit, match="not a database"):
        Store(f"sqlite:///{file}")
    assert file.read_text().startswith("this is no database")


def test_a_directory_that_is_not_there_is_named(tmp_path):
    with pytest.raises(StoreUnfit, match="unable to open"):
        Store(f"sqlite:///{tmp_path / 'missing' / 'waystage.db'}")


def test_another_kind_of_database_is_refused(tmp_path):
    with pytest.raises(StoreUnfit, match="neither sqlite"):
        Store("mysql://host/name")


@ON_SQLITE
def test_sqlite_keeps_acknowledged_commits_through_a_power_cut(store):
    with store.engine.connect() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 2  # FULL


class Undone(Exception):  # no error: what the writer does then
    """The transaction is rolled back."""


def test_a_writer_that_is_behind_the_run_changes_nothing(store):
    batch = Batch()
    batch.update_runs.append(("open", "", "a", 2, b"{}", b"", 0, 0, 1, 1))
    batch.history.append((1, 2, 0, "me", b"{}", b""))

    def write() -> None:
        with store.committing() as connection:
            assert store.statements.write(connection, batch) is False
            raise Undone

    with pytest.raises(Undone):
        write()
    with store.reading() as connection:
        assert connection.execute(text("SELECT count(*) FROM history")).scalar() == 0


def test_a_relative_file_is_one_of_the_project(tmp_path):
    assert rooted("sqlite:///waystage.db", tmp_path) == f"sqlite:///{tmp_path}/waystage.db"
    assert rooted("postgresql://h/n", tmp_path) == "postgresql://h/n"
