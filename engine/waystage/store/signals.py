"""Signals that were sent under a key, so that the same one counts once however often it comes."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, delete, insert, select

from waystage.store import schema as t
from waystage.store.codec import dump, load_row

KEPT = 30 * 86_400_000_000  # microseconds for which a key is known


def signal_sent(connection: Connection, key: str) -> dict[str, Any] | None:
    """Give what was sent under this key."""
    query = select(t.signals.c.body).where(t.signals.c.key == key)
    found = connection.execute(query).scalar()
    return None if found is None else load_row(found)


def keep_signal(connection: Connection, key: str, body: dict[str, Any], at: int) -> None:
    """Keep what was sent under a key, and forget the oldest keys."""
    connection.execute(delete(t.signals).where(t.signals.c.at < at - KEPT))
    connection.execute(insert(t.signals).values(key=key, body=dump(body), at=at))
