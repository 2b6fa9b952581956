"""Tables of a database as inputs and outputs of jobs: rows as JSON lines, in chunks."""

from __future__ import annotations

import json
import math
import re
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import date, datetime, time
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID

from pydantic import Field, field_validator

from waystage.errors import Conflict, Hopeless
from waystage.plugin import Services, Storage
from waystage_plugins.storage.files import file_digest

CHUNK = 1_000
NAME = r"[A-Za-z_][A-Za-z0-9_]{0,62}"
TABLE = re.compile(rf"(?:{NAME}\.)?{NAME}")
LEDGER = "waystage_outputs"
MAKE_LEDGER = f"""
CREATE TABLE IF NOT EXISTS {LEDGER} (
    key VARCHAR(500) NOT NULL, target VARCHAR(200) NOT NULL, digest VARCHAR(80) NOT NULL,
    row_count BIGINT NOT NULL, PRIMARY KEY (key, target)
)
"""


class Tables(Storage):
    """What storages with tables share; `queries` give what is read a name that stands for a table.

    What is written is added to the table in one transaction, together with a row of the table
    `waystage_outputs` that says so: the same key adds its rows once.
    """

    scheme: ClassVar[str] = "table"
    mark: ClassVar[str]  # what stands for a value in a statement

    queries: dict[str, str] = Field(
        default={}, description="names for queries, to be read like tables"
    )

    @field_validator("queries")
    @classmethod
    def _names(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if not re.fullmatch(NAME, name):
                raise ValueError(f"{name!r} is no name of a query")
        return value

    @abstractmethod
    def reading(self, ctx: Services, sql: str) -> AbstractContextManager[tuple[Any, Iterator[Any]]]:
        """Give the columns' descriptions and the rows of a query, streamed, all of one moment."""

    @abstractmethod
    def writing(self, ctx: Services) -> AbstractContextManager[Any]:
        """Give a cursor in a transaction that commits when this ends without an error."""

    @abstractmethod
    def lock(self, cursor: Any) -> None:
        """Keep others out who write outputs, until the transaction ends."""

    def check(self, path: str) -> str:
        """Say whether it is a table's name."""
        if path in self.queries or TABLE.fullmatch(path):
            return ""
        return f"{path!r} is no name of a table (NAME or SCHEMA.NAME) and none of queries:"

    def read(self, ctx: Services, path: str, into: Path) -> None:
        """Write a table or a named query as JSON lines, one object per row."""
        sql = self.queries.get(path) or f"SELECT * FROM {self._quoted(path)}"  # noqa: S608  # quoted
        with self.reading(ctx, sql) as (columns, rows), into.open("x", encoding="utf-8") as file:
            names = [str(column[0]) for column in columns]
            if len({*names}) != len(names):
                raise Hopeless(f"{path}: two columns have one name: {', '.join(names)}")
            while chunk := list(islice(rows, CHUNK)):
                file.writelines(_line(path, names, row) for row in chunk)

    def write(self, ctx: Services, source: Path, path: str, *, key: str, replace: bool) -> None:
        """Add the rows of a JSON-lines file, or with `replace` put them in place of all others."""
        if path in self.queries:
            raise Hopeless(f"{path} is a query: rows can only be written to a table")
        table, digest = self._quoted(path), file_digest(source)
        with self.writing(ctx) as cursor:
            self.lock(cursor)
            if told := self._told(cursor, key, path):
                if told != digest:
                    raise Conflict(f"table {path} has other rows of {key} already")
                return
            if replace:
                cursor.execute(f"DELETE FROM {table}")  # noqa: S608  # quoted
            count = self._insert(cursor, path, source)
            values = ", ".join([self.mark] * 4)
            cursor.execute(
                f"INSERT INTO {LEDGER} VALUES ({values})",  # noqa: S608  # placeholders
                (key, path, digest, count),
            )

    def digest(self, ctx: Services, path: str, *, key: str) -> str | None:
        """Give the digest of the rows that were written with this key."""
        with self.writing(ctx) as cursor:
            self.lock(cursor)
            return self._told(cursor, key, path)

    def _told(self, cursor: Any, key: str, path: str) -> str | None:
        where = f"key = {self.mark} AND target = {self.mark}"
        cursor.execute(f"SELECT digest FROM {LEDGER} WHERE {where}", (key, path))  # noqa: S608  # placeholders
        found = cursor.fetchone()
        return str(found[0]) if found else None

    def _insert(self, cursor: Any, path: str, source: Path) -> int:
        cursor.execute(f"SELECT * FROM {self._quoted(path)} WHERE 1 = 0")  # noqa: S608  # quoted
        known, count = [str(column[0]) for column in cursor.description], 0
        columns: list[str] = []
        with source.open(encoding="utf-8") as lines:
            rows = _rows(source.name, lines)
            while chunk := list(islice(rows, CHUNK)):
                columns = columns or _fitting(path, chunk[0], known)
                cursor.executemany(
                    self._statement(path, columns), [_values(path, columns, row) for row in chunk]
                )
                count += len(chunk)
        return count

    def _statement(self, path: str, columns: Sequence[str]) -> str:
        named = ", ".join(_quote(column) for column in columns)
        if self.mark.startswith("%"):
            named = named.replace("%", "%%")  # a per cent sign of a name is none of a value's
        values = ", ".join([self.mark] * len(columns))
        return f"INSERT INTO {self._quoted(path)} ({named}) VALUES ({values})"  # noqa: S608  # quoted

    def _quoted(self, path: str) -> str:
        if not TABLE.fullmatch(path):
            raise Hopeless(self.check(path))
        return ".".join(_quote(part) for part in path.split("."))


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _line(path: str, names: Sequence[str], row: Sequence[Any]) -> str:
    told = {name: _plain(path, name, value) for name, value in zip(names, row, strict=True)}
    return json.dumps(told, ensure_ascii=False, allow_nan=False) + "\n"


def _plain(path: str, name: str, value: Any) -> Any:
    """Give a value as JSON has it; NaN and infinities are none, like NULL."""
    if isinstance(value, Decimal):
        whole = value.is_finite() and value == value.to_integral_value()
        value = int(value) if whole else float(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if value is None or isinstance(value, bool | int | float | str | list | dict):
        return value
    raise Hopeless(
        f"{path}: column {name} holds {type(value).__name__}, which JSON has no word for"
    )


def _rows(name: str, lines: Iterator[str]) -> Iterator[Mapping[str, Any]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise Hopeless(f"{name}, line {number}: is not JSON: {error}") from error
        if not isinstance(row, dict) or not row:
            raise Hopeless(f"{name}, line {number}: is not an object that names its columns")
        yield row


def _fitting(path: str, row: Mapping[str, Any], known: Sequence[str]) -> list[str]:
    if unknown := [name for name in row if name not in known]:
        raise Hopeless(f"table {path} has no column {unknown[0]!r} (it has {', '.join(known)})")
    return list(row)


def _values(path: str, columns: Sequence[str], row: Mapping[str, Any]) -> list[Any]:
    if {*row} != {*columns}:
        raise Hopeless(
            f"rows for table {path} differ: one has {', '.join(columns)}, one {', '.join(row)}"
        )
    found = (row[name] for name in columns)
    return [json.dumps(each) if isinstance(each, list | dict) else each for each in found]
