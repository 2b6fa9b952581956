"""Each migration leaves the version before at work: it only adds what that one can live with.

What a migration takes away, because the version before no longer used it, it says in `UNUSED`:
("table", "table.column", …).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, inspect, text

from waystage.store.shapes import migrations, steps

BEFORE = ("CREATE TABLE a (x INTEGER NOT NULL, y VARCHAR(9))", "CREATE TABLE b (z INTEGER)")


def shape(engine: Engine) -> dict[str, Any]:
    """Give what a version that writes these tables relies on."""
    looked, found = inspect(engine), {}
    for table in looked.get_table_names():
        columns = {c["name"]: (str(c["type"]), c["nullable"], c["default"] is not None)
                   for c in looked.get_columns(table)}  # fmt: skip
        unique = {tuple(u["column_names"]) for u in looked.get_unique_constraints(table)}
        unique |= {tuple(i["column_names"]) for i in looked.get_indexes(table) if i["unique"]}
        rules = len(looked.get_foreign_keys(table)) + len(looked.get_check_constraints(table))
        found[table] = {"columns": columns, "unique": unique, "rules": rules}
    return found


def breaks(before: dict[str, Any], after: dict[str, Any], unused: Any = ()) -> Iterator[str]:
    """Say what the version that knows `before` could not live with."""
    for table, was in before.items():
        if table in unused:
            continue
        now = after.get(table)
        if now is None:
            yield f"{table} is gone"
            continue
        gone = {c for c in was["columns"] if f"{table}.{c}" in unused}
        for name, (kind, nullable, _) in was["columns"].items():
            if name in gone:
                continue
            if name not in now["columns"]:
                yield f"{table}.{name} is gone"
            elif now["columns"][name][:2] != (kind, nullable):
                yield f"{table}.{name} is another: {now['columns'][name]}"
        for name, (_, nullable, default) in now["columns"].items():
            if name not in was["columns"] and not nullable and not default:
                yield f"{table}.{name} must be written, and the version before does not"
        if now["unique"] - was["unique"] or now["rules"] > was["rules"]:
            yield f"{table} has a rule more"


def test_each_migration_leaves_the_version_before_at_work(tmp_path):
    config = migrations()
    scripts = reversed(list(ScriptDirectory.from_config(config).walk_revisions()))
    engine, before, found = create_engine(f"sqlite:///{tmp_path / 'db'}"), None, []
    for script in scripts:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, script.revision)
        after = shape(engine)
        if before is not None:
            found += breaks(before, after, getattr(script.module, "UNUSED", ()))
            assert steps(str(script.down_revision), script.revision) == 1, "they are numbered"
        before = after
    engine.dispose()
    assert found == []


@pytest.mark.parametrize("change", [
    "ALTER TABLE a ADD COLUMN n VARCHAR(9)",
    "ALTER TABLE a ADD COLUMN n INTEGER NOT NULL DEFAULT 0",
    "CREATE TABLE c (q INTEGER NOT NULL)",
    "CREATE INDEX a_by_y ON a (y)",
])  # fmt: skip
def test_what_only_adds_is_fine(change):
    assert breaking(change) == []


@pytest.mark.parametrize(("change", "why"), [
    ("DROP TABLE b", "b is gone"),
    ("ALTER TABLE a DROP COLUMN y", "a.y is gone"),
    ("ALTER TABLE a RENAME COLUMN y TO why", "a.y is gone"),
    ("CREATE UNIQUE INDEX one_y ON a (y)", "a has a rule more"),
    ("DROP TABLE a; CREATE TABLE a (x INTEGER NOT NULL, y INTEGER)", "a.y is another"),
    ("DROP TABLE b; CREATE TABLE b (z INTEGER, n INTEGER NOT NULL)", "b.n must be written"),
])  # fmt: skip
def test_what_the_version_before_could_not_live_with_is_found(change, why):
    assert any(said.startswith(why) for said in breaking(change))


def test_what_the_version_before_no_longer_used_may_go():
    assert breaking("ALTER TABLE a DROP COLUMN y", ("a.y",)) == []
    assert breaking("DROP TABLE b", ("b",)) == []


def breaking(change: str, unused: Any = ()) -> list[str]:
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        for statement in BEFORE:
            connection.execute(text(statement))
    before = shape(engine)
    with engine.begin() as connection:
        for statement in change.split("; "):
            connection.execute(text(statement))
    found = list(breaks(before, shape(engine), unused))
    engine.dispose()
    return found
