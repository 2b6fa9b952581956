"""The hot statements on PostgreSQL: all rows of a batch in one statement, as arrays.

One statement over arrays is planned and run once, whatever the number of rows; the arrays go
over the line in binary form, which costs a third of their text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Engine,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    and_,
    bindparam,
    column,
    delete,
    func,
    insert,
    null,
    select,
    update,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql import Executable

from waystage.store import schema as t
from waystage.store.packing import packed

# the fencing numbers in force, which stay so until the commit
FENCES = """
SELECT work.run, work.slot, fence FROM work
JOIN unnest(%(runs)b::bigint[], %(slots)b::text[]) AS given (run, slot)
ON work.run = given.run AND work.slot = given.slot
ORDER BY work.run, work.slot FOR UPDATE OF work
"""
PARAMETER = re.compile(r"%\((\w+)\)s::(\w+)\[\]")


class ArrayStatement:
    """A statement compiled once, run once for all rows, whose columns are `names`."""

    def __init__(self, engine: Engine, statement: Executable, names: Sequence[str]) -> None:
        compiled = statement.compile(dialect=engine.dialect)  # type: ignore[attr-defined]  # every Core statement compiles
        kinds = dict(PARAMETER.findall(str(compiled)))
        self.text = PARAMETER.sub(r"%(\1)b::\2[]", str(compiled))
        self._columns = [(name, kinds[name]) for name in names]

    def run(self, driver: Any, rows: list[tuple[Any, ...]]) -> Any:
        """Run it for all rows; gives the cursor, whose `rowcount` says how many it touched."""
        given = zip(self._columns, zip(*rows, strict=True), strict=True)
        parameters = {name: packed(kind, values) for (name, kind), values in given}
        return driver.execute(self.text, parameters)


def places(claims: Sequence[tuple[int, str, int]]) -> dict[str, Any]:
    """Give what `FENCES` asks about."""
    runs, slots, _ = zip(*claims, strict=True)
    return {"runs": packed("BIGINT", runs), "slots": packed("TEXT", slots)}


def rows_of(table: Table, names: Mapping[str, str]) -> Any:
    """Give what the arrays hold as a table; `names` says which column of `table` each is like."""
    kinds = {name: _kind(table.c[like].type) for name, like in names.items()}
    arrays = [bindparam(name, type_=ARRAY(kind)) for name, kind in kinds.items()]
    columns = [column(name, kind) for name, kind in kinds.items()]
    return func.unnest(*arrays).table_valued(*columns).render_derived(name="given")


def _kind(of: Any) -> Any:
    for kind in (BigInteger, Integer, LargeBinary):
        if isinstance(of, kind):
            return kind()
    if isinstance(of, String):
        return Text()
    raise TypeError(f"no array is made of {of!r}")


def same(table: Table, names: Sequence[str]) -> Any:
    """Give what the arrays hold, each named like its column."""
    return rows_of(table, {name: name for name in names})


def updating_runs(names: Sequence[str]) -> Executable:
    """Set runs to what they are now, if they are still as they were."""
    like = {"b_no": "no", "b_before": "revision", "b_revision": "revision"}
    given = rows_of(t.runs, {name: like.get(name, name) for name in names})
    values = {name: given.c[name] for name in names if name not in like}
    return (
        update(t.runs)
        .where(t.runs.c.no == given.c.b_no, t.runs.c.revision == given.c.b_before)
        .values({**values, "revision": given.c.b_revision})
    )


def inserting(table: Table, names: Sequence[str]) -> Executable:
    """Write new rows."""
    return insert(table).from_select(names, select(same(table, names)))


def putting(
    table: Table, names: Sequence[str], keys: int, *, added: Mapping[str, Any] | None = None
) -> Executable:
    """Write rows or replace those with the same first columns; `added` is set off by an array."""
    given, added = same(table, names), added or {}
    columns = [given.c[name] + added[name] if name in added else given.c[name] for name in names]
    empty = [name for name in ("memo",) if name in table.c]
    put = postgresql.insert(table).from_select(
        [*names, *empty], select(*columns, *(null() for _ in empty))
    )
    return put.on_conflict_do_update(
        index_elements=list(names[:keys]),
        set_={name: put.excluded[name] for name in (*names[keys:], *empty)},
    )


def dropping(table: Table, names: Sequence[str]) -> Executable:
    """Take rows away."""
    given = same(table, names)
    return delete(table).where(and_(*(table.c[name] == given.c[name] for name in names)))
