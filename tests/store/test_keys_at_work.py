"""Which steps of these runs are at work is one question, answered by indexes alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import LargeBinary, Table, event, text

from waystage.store import Store
from waystage.store.codec import dump
from waystage.store.schema import runs, work


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    found = Store(database_url)
    with found.engine.begin() as connection:
        for number, run in enumerate(("a-1", "a-12", "b-1"), start=1):
            row = filled(runs, no=number, id=run, opened_by=run)
            connection.execute(runs.insert().values(**row))
            for slot in ("0", "1"):
                body = dump({"key": f"{run}/{number}/{slot}"})
                order = filled(work, run=number, slot=slot, body=body, owner=None)
                connection.execute(work.insert().values(**order))
    yield found
    found.close()


def filled(table: Table, **own: Any) -> dict[str, Any]:
    """Give a row with something in every column that must have something."""
    row: dict[str, Any] = {}
    for column in table.columns:
        if not column.nullable and column.default is None and column.name not in own:
            kind = column.type
            row[column.name] = b"" if isinstance(kind, LargeBinary) else kind.python_type(0)
    return row | own


def test_the_keys_of_the_named_runs_are_given_and_no_others(store: Store) -> None:
    assert store.keys_at_work(["a-1/1/0/2", "a-1/9/x"]) == {"a-1/1/0", "a-1/1/1"}
    assert store.keys_at_work(["b-1/3/1", "gone-7/1/0"]) == {"b-1/3/0", "b-1/3/1"}
    assert store.keys_at_work(["gone-7/1/0"]) == frozenset()
    assert len(store.keys_at_work()) == 6, "without a name all of them"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_no_table_is_read_whole(store: Store) -> None:
    asked: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, statement: str, values: Any, *rest: Any) -> None:
        asked.append((statement, values))

    event.listen(store.engine, "before_cursor_execute", note)
    store.keys_at_work(["a-1/1/0", "b-1/3/1"])
    event.remove(store.engine, "before_cursor_execute", note)
    ((statement, values),) = [each for each in asked if each[0].startswith("SELECT")]
    with store.engine.connect() as connection:
        rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all()
        assert rows
        assert not any("SCAN" in str(row[3]) for row in rows), rows
        assert connection.execute(text("SELECT count(*) FROM work")).scalar() == 6
