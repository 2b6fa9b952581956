"""Room for SQLite's log, made before it is needed.

Each commit is a sync of the log. A file that grows has its new size written besides, which is
a second flush of the disk: measured on ext4, three writes and two flushes for a commit in a
growing log, two and one in a log that is written over. What follows the log's last valid frame
means nothing to SQLite (https://www.sqlite.org/fileformat2.html#the_write_ahead_log), so the
room may be zeros.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from sqlalchemy import Engine

LOG_PAGES = 8000  # so many are written before they are copied into the database
LOG_BYTES = LOG_PAGES * (4096 + 24) + (1 << 20)  # pages with their headers, and the last batch
SPARE = 20  # times the room must be free on the disk
CHUNK = 1 << 20


def lay_out_log(engine: Engine) -> bool:
    """Make the log as large as it becomes anyway; says whether there is room by now.

    A disk that has little room, or refuses, is left as it was.
    """
    database = engine.url.database
    if engine.dialect.name != "sqlite" or database in (None, "", ":memory:"):
        return False
    with engine.begin():  # nobody else writes the log while this transaction is open
        return _extended(Path(f"{database}-wal"))


def _extended(log: Path) -> bool:
    with suppress(OSError):
        space = os.statvfs(log)
        if space.f_bavail * space.f_frsize < SPARE * LOG_BYTES:
            return False
        with log.open("r+b", buffering=0) as file:
            return _filled(file.fileno())
    return False


def _filled(file: int) -> bool:
    before = size = os.fstat(file).st_size
    try:
        while size < LOG_BYTES:
            size += os.pwrite(file, bytes(min(CHUNK, LOG_BYTES - size)), size)
        os.fsync(file)
    except OSError:
        os.ftruncate(file, before)
        return False
    return True
