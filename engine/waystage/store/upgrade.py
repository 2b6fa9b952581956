"""Bringing a database to this version's shape, one step at a time, beside the version before.

Shapes are numbered. A migration only adds what the version before can live with, or takes away
what that version no longer used; so a daemon goes on at a shape one step newer than its own,
and refuses to at two.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from waystage.errors import StoreUnfit
from waystage.store.backup import back_up
from waystage.store.filelock import FileLock
from waystage.store.presence import AtWork, present
from waystage.store.shapes import STEPS, known_revisions, migrations, revision, steps
from waystage.store.shared import fault_of, lock_name

log = logging.getLogger("waystage.store")
TRIES, PAUSE = 20, 0.5  # of a migration that stands in the way of others, and they in its
BUSY = "55P03"  # a lock was not to be had in time


def migrate(engine: Engine, *, upgrade: bool = True) -> None:
    """Run the migrations that the database has not seen; without `upgrade`, none on one in use.

    Raises `StoreUnfit` for a database that this version may not write, and for one that daemons
    are at work on which could not live with this version's shape.
    """
    known, head = known_revisions()
    with engine.connect() as connection:
        found = revision(connection)
        connection.rollback()
    if found == head or (found is not None and not refused_shape(engine, found, known, head)):
        return
    if found is not None and not upgrade:
        raise StoreUnfit(
            f"the database has the older schema {found}; `waystage up` brings it to {head}"
        )
    if engine.dialect.name == "sqlite":
        _on_sqlite(engine, found, str(head))
    else:
        _patiently(lambda: _on_postgresql(engine, str(head)))


def refused_shape(engine: Engine, found: str, known: set[str], head: str | None) -> bool:
    """Say whether there is something to migrate; False: it is one step newer, and that is fine.

    Raises `StoreUnfit` for a database that is too new.
    """
    if found in known:
        return True
    ahead = steps(str(head), found)
    if engine.dialect.name != "sqlite" and ahead is not None and 0 < ahead <= STEPS:
        return False
    by = f"{ahead} steps newer than" if ahead else "not one of"
    raise StoreUnfit(
        f"the database has schema {found}, which this version ({head}) does not know, {by} its "
        "own: it was written by a newer Waystage; upgrade, or restore a backup"
    )


def _on_sqlite(engine: Engine, found: str | None, head: str) -> None:
    name = engine.url.database
    if found is None or name in (None, "", ":memory:"):
        with engine.begin() as connection:
            _run(connection)
        return
    file = Path(str(name))
    lock = FileLock(file)  # no daemon of the version before may be at work
    lock.acquire()
    try:
        copy = file.with_name(f"{file.name}.before-{head}")
        back_up(file, copy)
        with engine.begin() as connection:
            _run(connection)
    finally:
        lock.release()
    log.warning("%s is brought from schema %s to %s; %s is what it was before",
                file.name, found, head, copy.name)  # fmt: skip


def _on_postgresql(engine: Engine, head: str) -> None:
    with engine.begin() as connection:
        lock_name(connection, "migrate", "")  # daemons that start together migrate once
        found = revision(connection)
        if found == head:
            return
        if found is not None:
            _refuse_left_behind(present(connection), found, head)
        # who waits for a table holds up everybody behind him: rather let go and come back
        connection.execute(text("SET LOCAL lock_timeout = '2s'"))
        _run(connection)
    if found is not None:
        log.warning("the database is brought from schema %s to %s", found, head)


def _refuse_left_behind(daemons: list[AtWork], found: str, head: str) -> None:
    for each in daemons:
        ahead = steps(each.knows, head)
        if ahead is None or ahead > STEPS:
            raise StoreUnfit(
                f"Waystage {each.version} is at work on this database ({each.place}) and knows "
                f"schema {each.knows}; it could not live with {head}. End it, or first bring all "
                "daemons to the version between; the database was left as it is"
            )


def _patiently(act: Callable[[], None]) -> None:
    for left in reversed(range(TRIES)):
        try:
            return act()
        except DBAPIError as error:
            state = getattr(error.orig, "sqlstate", None)
            if not left or (state != BUSY and fault_of(error) != "conflict"):
                raise
            time.sleep(PAUSE)
    return None


def _run(connection: Connection) -> None:
    config = migrations()
    from alembic import command

    config.attributes["connection"] = connection
    command.upgrade(config, "head")
