"""Runs that this daemon cannot read: left to a newer one that wrote them, or alone for a while."""

from __future__ import annotations

import time
from math import inf

from sqlalchemy import ColumnElement, exists, or_

from waystage.store import schema as t


class Foreign:
    """What this daemon has found that it cannot read, so that it takes no more of it."""

    def __init__(self) -> None:
        self._definitions: set[str] = set()
        self._runs: dict[int, float] = {}  # until when, by the monotonic clock

    def __bool__(self) -> bool:
        return bool(self._definitions or self._runs)

    def add_definition(self, digest: str) -> None:
        """Leave all runs that are pinned to this text."""
        self._definitions.add(digest)

    def add_run(self, no: int, seconds: float = inf) -> None:
        """Leave one run, for so long."""
        self._runs[no] = time.monotonic() + seconds

    def clear(self) -> None:
        """Look anew: those who could read it are gone."""
        self._definitions.clear()
        self._runs.clear()

    def without(self, run: ColumnElement[int]) -> list[ColumnElement[bool]]:
        """Give what leaves these runs out of a query; nothing as long as there are none."""
        if not self:
            return []
        r, now = t.runs.c, time.monotonic()
        runs = sorted(no for no, until in self._runs.items() if until > now)
        theirs = or_(r.definition.in_(sorted(self._definitions)), r.no.in_(runs))
        return [~exists().where(r.no == run, theirs)]
