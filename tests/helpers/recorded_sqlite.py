"""SQLite by way of `apsw`, with a file system layer that notes every write and every sync.

`apsw` looks here as the standard library's `sqlite3` does, as far as SQLAlchemy looks at it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apsw

NAME = "waystage-recorded"
Op = tuple[str, str, int, bytes]  # what, the file's ending, where or how long, what was written

# the words of Python's database interface
paramstyle, threadsafety, sqlite_version = "qmark", 1, apsw.sqlite_lib_version()
sqlite_version_info = tuple(map(int, sqlite_version.split(".")))
PARSE_DECLTYPES = PARSE_COLNAMES = 0
Binary = bytes
Error = DatabaseError = OperationalError = IntegrityError = ProgrammingError = apsw.Error
InterfaceError = InternalError = DataError = NotSupportedError = Warning = apsw.Error


class Disk:
    """What was done to the files of one database, in order."""

    def __init__(self) -> None:
        self.ops: list[Op] = []

    def note(self, what: str, name: str, where: int = 0, data: bytes = b"") -> None:
        """Note an operation that has ended."""
        ending = "-wal" if name.endswith("-wal") else "-other" if "-" in Path(name).name else ""
        self.ops.append((what, ending, where, data))


DISK = Disk()


class _File(apsw.VFSFile):
    def __init__(self, name: Any, flags: list[int]) -> None:
        self._name = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802  # the name is SQLite's
        super().xWrite(data, offset)
        DISK.note("write", self._name, offset, bytes(data))

    def xTruncate(self, size: int) -> None:  # noqa: N802  # the name is SQLite's
        super().xTruncate(size)
        DISK.note("truncate", self._name, size)

    def xSync(self, flags: int) -> None:  # noqa: N802  # the name is SQLite's
        super().xSync(flags)
        DISK.note("sync", self._name)


class _Layer(apsw.VFS):
    def __init__(self) -> None:
        super().__init__(NAME, "")

    def xOpen(self, name: Any, flags: list[int]) -> _File:  # noqa: N802  # the name is SQLite's
        return _File(name, flags)

    def xDelete(self, name: str, syncdir: bool) -> None:  # noqa: N802  # the name is SQLite's
        super().xDelete(name, syncdir)
        DISK.note("delete", name)


LAYER = _Layer()


class Cursor:
    """Has its rows at hand as soon as it has asked."""

    arraysize = 1

    def __init__(self, connection: Any) -> None:
        self._connection, self._rows = connection, iter(())
        self.description: Any = None
        self.rowcount, self.lastrowid = -1, 0

    def execute(self, text: str, parameters: Any = ()) -> Cursor:
        return self._run(text, parameters, many=False)

    def executemany(self, text: str, parameters: Any) -> Cursor:
        return self._run(text, parameters, many=True)

    def _run(self, text: str, parameters: Any, *, many: bool) -> Cursor:
        def look(own: Any, _text: str, _bound: Any) -> bool:
            self.description = own.get_description() or None
            return True

        own, before = self._connection.cursor(), self._connection.total_changes()
        self.description, own.exec_trace = None, look
        run = own.executemany if many else own.execute
        rows = list(run(text, parameters))
        self._rows = iter(rows)
        if self.description:
            self.description = [(name, *[None] * 6) for name, *_ in self.description]
        self.rowcount = self._connection.total_changes() - before
        self.lastrowid = self._connection.last_insert_rowid()
        return self

    def __iter__(self) -> Any:
        return self._rows

    def fetchone(self) -> Any:
        return next(self._rows, None)

    def fetchmany(self, size: int = 1) -> list[Any]:
        return [row for row, _ in zip(self._rows, range(size), strict=False)]

    def fetchall(self) -> list[Any]:
        return list(self._rows)

    def close(self) -> None:
        self._rows = iter(())


class Connection:
    """One connection whose files are noted."""

    isolation_level: Any = None

    def __init__(self, file: str) -> None:
        self._own = apsw.Connection(file, vfs=NAME)
        self._own.set_busy_timeout(30_000)

    def cursor(self, *_: Any) -> Cursor:
        return Cursor(self._own)

    def execute(self, text: str, parameters: Any = ()) -> Cursor:
        return self.cursor().execute(text, parameters)

    def executemany(self, text: str, parameters: Any) -> Cursor:
        return self.cursor().executemany(text, parameters)

    @property
    def in_transaction(self) -> bool:
        return bool(self._own.in_transaction)

    def commit(self) -> None:
        if self.in_transaction:
            self._own.execute("COMMIT")

    def rollback(self) -> None:
        if self.in_transaction:
            self._own.execute("ROLLBACK")

    def create_function(self, name: str, number: int, function: Any, **_: Any) -> None:
        self._own.create_scalar_function(name, function, number)

    def close(self) -> None:
        self._own.close()


def connect(file: str, **_: Any) -> Connection:
    """Open a database through the noting layer."""
    return Connection(file)
