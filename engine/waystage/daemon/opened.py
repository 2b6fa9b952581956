"""What a transaction knows of the runs that it opens, asked for all of them at once."""

from __future__ import annotations

from collections.abc import Iterable

from waystage.daemon.crash import crash_point
from waystage.errors import Conflict
from waystage.kernel import Definition
from waystage.store import Connection, Store
from waystage.store.openings import Outlook


class OpenedRuns:
    """Keys, numbers and pauses, as the database has them, and what was opened since."""

    def __init__(self, store: Store, connection: Connection) -> None:
        self._store, self._connection = store, connection
        self._ids: dict[str, str | None] = {}
        self._numbers: list[int] = []
        self._given = 0
        self._pauses: dict[str, tuple[str, str]] | None = None
        self._kept: set[str] = set()

    def expect(self, keys: Iterable[str]) -> None:
        """Look for keys by which runs are about to be opened."""
        unknown = sorted(set(keys) - self._ids.keys())
        if not unknown:
            return
        crash_point("before-open")
        found = self._look(unknown)
        self._ids.update({key: found.ids.get(key) for key in unknown})
        self._numbers.extend(found.numbers)
        self._given = max(self._given, *found.numbers, 0)

    def id_of(self, key: str) -> str | None:
        """Give the id of the run that the key has opened."""
        self.expect([key])
        return self._ids[key]

    def add(self, key: str, service: str) -> tuple[int, str]:
        """Give number and id of the run that the key opens now; raises `Conflict`."""
        known = self.id_of(key)
        if known is not None:
            raise Conflict(f"{key} has opened {known} already")
        no = self._numbers.pop(0)
        self._ids[key] = name = f"{service}-{no}"
        return no, name

    def pause_of(self, lifecycle: str) -> tuple[str, str] | None:
        """Give who paused the lifecycle and why; None if nobody did."""
        if self._pauses is None:
            self._look([])
        assert self._pauses is not None
        return self._pauses.get(lifecycle)

    def keep(self, definition: Definition, at: int) -> None:
        """Keep the lifecycle's text, once for all runs that are pinned to it."""
        if definition.hash in self._store.kept_definitions or definition.hash in self._kept:
            return
        spec = definition.spec
        body = spec.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
        digest, name = definition.hash, spec.lifecycle
        self._store.keep_definition(self._connection, digest, name, body, at)
        self._kept.add(digest)

    def changed(self) -> None:
        """Ask again for what another part of this transaction may have changed."""
        self._pauses = None

    def committed(self) -> None:
        """Know from now on what is in the database for sure."""
        self._store.kept_definitions |= self._kept

    def _look(self, keys: list[str]) -> Outlook:
        found = self._store.openings.look(self._connection, keys, self._given)
        self._pauses = found.pauses
        return found
