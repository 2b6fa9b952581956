"""Looks that were taken to compare two models, one after the other whoever takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from waystage.plugin import Compared
from waystage_plugins.scoring import looking
from waystage_plugins.scoring.postgres.connect import Place, transaction
from waystage_plugins.scoring.postgres.tables import lock_shape

if TYPE_CHECKING:
    from waystage.plugin import JsonObject

THERE = "SELECT 1 FROM pg_tables WHERE schemaname = %s AND tablename = 'look'"


def looks(place: Place, of: Compared, look: JsonObject | None) -> list[JsonObject]:
    """Give the looks in their order; `look` is taken first if it is given."""
    if look is not None:
        _take(place, of, look)
    with transaction(place) as connection:
        if connection.execute(THERE, (place.namespace,)).fetchone() is None:
            return []
        return looking.told(connection.execute(*looking.taken(of, "%s")))


def _take(place: Place, of: Compared, look: JsonObject) -> None:
    with transaction(place) as connection:
        lock_shape(connection, place.namespace)  # two at once would make one table, or one number
        if connection.execute(THERE, (place.namespace,)).fetchone() is None:
            connection.execute(looking.LOOKS)
        connection.execute(*looking.taking(of, look, "%s"))
