"""One daemon per SQLite file."""

from __future__ import annotations

import os
from pathlib import Path

from waystage.errors import StoreLocked


class FileLock:
    """Holds a SQLite database for one daemon, by a lock that the system frees at its death."""

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(database.name + ".daemon")
        self._file: int | None = None

    def acquire(self) -> None:
        """Take the lock or raise `StoreLocked` naming the process that has it."""
        import fcntl

        if self._file is not None:
            return
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(handle, 20).decode(errors="replace").strip() or "unknown"
            os.close(handle)
            raise StoreLocked(
                f"{self._path.with_suffix('').name}: another daemon (process {holder}) is at work "
                "on this SQLite database; stop it, or use postgresql:// for several daemons"
            ) from error
        os.ftruncate(handle, 0)
        os.write(handle, str(os.getpid()).encode())
        self._file = handle

    def release(self) -> None:
        """Give the lock back."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
