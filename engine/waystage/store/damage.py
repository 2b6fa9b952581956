"""Whether a SQLite database is damaged, and what is said of it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import Engine

from waystage.errors import StoreUnfit

CHECKED_BYTES = 512 << 20  # a bigger file is checked by `waystage doctor`, not at each start
# what SQLite says of a file whose bytes are not what they were
DAMAGED = ("malformed", "not a database", "corrupt")
UNREADABLE = "its own texts cannot be read"
RESTORE = (
    "; it is damaged: nothing was changed; `waystage restore BACKUP` puts a backup in its place "
    "and keeps this file beside it"
)


def refuse_damaged(engine: Engine) -> None:
    """Raise `StoreUnfit` if SQLite's own check finds the file damaged."""
    file = Path(str(engine.url.database))
    if not file.is_file() or file.stat().st_size > CHECKED_BYTES:
        return
    if wrong := damage(file):
        raise StoreUnfit(f"database {file}: {wrong}{RESTORE}")


def damage(file: Path) -> str:
    """Say what SQLite's own check finds wrong with a file; empty if nothing."""
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as looked:
            found = looked.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        # one that is busy or cannot be read is told by whoever opens it
        return str(error) if any(word in str(error) for word in DAMAGED) else ""
    except UnicodeDecodeError:  # of the very error: it names what has a broken name
        return UNREADABLE
    return "" if found == ("ok",) else " ".join(str(found[0]).split())
