"""What happened in the stand-in for a Kubernetes API: versions, for watches and for pages."""

from __future__ import annotations

import copy
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from threading import Condition, RLock
from typing import Any

from kube_answers import expired

Thing = dict[str, Any]
Place = tuple[str, str, str]  # group, plural, namespace
AWAY = (
    "The provided continue parameter is too old to display a consistent list result. You must "
    "start a new list without the continue parameter."
)


@dataclass(frozen=True)
class Change:
    """A change of one object; `before` is what it was, for selectors that it left."""

    version: int
    place: Place
    type: str  # ADDED, MODIFIED or DELETED
    thing: Thing
    before: Thing | None


class History:
    """All changes since the last compaction; `lock` is the store's."""

    def __init__(self, lock: RLock) -> None:
        self.version = 1
        self.oldest = 1  # versions before this one are forgotten
        self.changes: list[Change] = []
        self.last: dict[tuple[Place, str], Thing] = {}
        self.happened = Condition(lock)
        self._pages: dict[str, list[Thing]] = {}

    def next(self) -> str:
        """Give the next version."""
        self.version += 1
        return str(self.version)

    def note(self, place: Place, name: str, thing: Thing, *, gone: bool = False) -> None:
        """Keep what became of an object, and tell those who watch."""
        before, now = self.last.get((place, name)), copy.deepcopy(thing)
        kind = "DELETED" if gone else "MODIFIED" if before else "ADDED"
        self.changes.append(Change(self.version, place, kind, now, before))
        if gone:
            self.last.pop((place, name), None)
        else:
            self.last[place, name] = now
        with self.happened:
            self.happened.notify_all()

    def compact(self) -> None:
        """Forget the past: older watches and pages are answered with 410."""
        self.changes.clear()
        self._pages.clear()
        self.version += 1
        self.oldest = self.version
        with self.happened:
            self.happened.notify_all()

    def since(self, version: int, group: str, plural: str) -> Iterator[Change]:
        """Give the changes of a kind after a version; raises 410 when they are forgotten."""
        if version < self.oldest - 1:
            raise expired(f"too old resource version: {version} ({self.version})")
        for change in self.changes:
            if change.version > version and change.place[:2] == (group, plural):
                yield change

    def keep_page(self, rest: list[Thing]) -> str:
        """Keep the rest of a list as it is now; give what it is asked for with."""
        token = secrets.token_urlsafe(16)
        self._pages[token] = rest
        return token

    def page(self, token: str) -> list[Thing]:
        """Give the rest of a list; raises 410 when it is forgotten."""
        if token not in self._pages:
            raise expired(AWAY)
        return self._pages[token]
