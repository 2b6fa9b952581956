"""Copies of a SQLite database that is in use, and putting one back."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from waystage.errors import Conflict, NotFound, StoreUnfit
from waystage.store.damage import damage
from waystage.store.filelock import FileLock
from waystage.store.shapes import known_revisions

PAGES = 1000  # copied at a time, so that writers wait for moments only
BESIDE = ("-wal", "-shm")


def back_up(file: Path, target: Path) -> int:
    """Copy a database, whatever daemon writes it, and check the copy; answers its size in bytes.

    The copy is one moment of the database. Raises `Conflict` if the target is the database.
    """
    if target.exists() and target.samefile(file):
        raise Conflict(f"{target} is the database itself; say another file")
    beside = target.with_name(target.name + ".new")
    beside.unlink(missing_ok=True)
    # for the owner alone: it holds what the database does
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    os.close(handle)
    try:
        _copy(file, beside)
    except sqlite3.DatabaseError as error:
        beside.unlink(missing_ok=True)
        raise StoreUnfit(f"{file} cannot be copied: {error}") from error
    if wrong := damage(beside):
        beside.unlink()
        raise StoreUnfit(f"{file} is damaged ({wrong}); an earlier backup was left as it is")
    _settled(beside, target)
    return target.stat().st_size


def put_back(backup: Path, file: Path, stamp: str) -> Path | None:
    """Put a backup in the place of a database; gives where the present file is kept.

    Raises `StoreLocked` while a daemon is at work, `StoreUnfit` for a backup that is none.
    """
    _fit(backup)
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(file)
    lock.acquire()
    try:
        beside = file.with_name(file.name + ".new")
        beside.unlink(missing_ok=True)
        _copy(backup, beside)
        kept = _set_aside(file, stamp)
        _settled(beside, file)
        return kept
    finally:
        lock.release()


def _fit(backup: Path) -> None:
    if not backup.is_file():
        raise NotFound(f"there is no file {backup}")
    if wrong := damage(backup):
        raise StoreUnfit(f"{backup}: {wrong}; nothing was changed")
    with closing(sqlite3.connect(f"{backup.absolute().as_uri()}?mode=ro", uri=True)) as looked:
        try:
            (found,) = looked.execute("SELECT version_num FROM alembic_version").fetchone()
        except (sqlite3.DatabaseError, TypeError) as error:
            raise StoreUnfit(f"{backup} is no backup of Waystage; nothing was changed") from error
    if found not in known_revisions()[0]:
        raise StoreUnfit(f"{backup} was written by a newer Waystage ({found}); upgrade")


def _set_aside(file: Path, stamp: str) -> Path | None:
    if not file.exists():
        return None
    kept = file.with_name(f"{file.name}.{stamp}")
    for ending in ("", *BESIDE):
        part = file.with_name(file.name + ending)
        if part.exists():
            part.rename(kept.with_name(kept.name + ending))
    return kept


def _copy(file: Path, target: Path) -> None:
    with (
        closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as source,
        closing(sqlite3.connect(target)) as copy,
    ):
        source.backup(copy, pages=PAGES)
        copy.execute("PRAGMA journal_mode=DELETE")  # one file, nothing beside it


def _settled(beside: Path, target: Path) -> None:
    """Give a whole file its name, so that a power cut leaves the one before or this one."""
    _sync(beside)
    beside.replace(target)
    _sync(target.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
