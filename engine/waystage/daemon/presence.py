"""Being one of several daemons: saying which version is at work, and seeing which others are."""

from __future__ import annotations

import logging
import os
import re
import socket
from typing import TYPE_CHECKING

from waystage import __version__
from waystage.errors import StoreUnfit
from waystage.store.presence import AtWork, present, say_gone, say_present
from waystage.store.shapes import STEPS, known_revisions, revision, steps

if TYPE_CHECKING:
    from waystage.daemon.daemon import Daemon

log = logging.getLogger("waystage.daemon")


class Presence:
    """What a daemon tells the others of itself; nothing on SQLite, where there are no others."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon, self._known = daemon, known_revisions()
        place = f"{socket.gethostname()}, process {os.getpid()}, {daemon.root}"
        head = str(self._known[1])
        self.me = AtWork(daemon.engine.owner, __version__, head, place)
        self.others: tuple[AtWork, ...] = ()
        self._newer = False
        self._told: str | None = None

    def look(self) -> None:
        """Say that this daemon is at work, and see who else is.

        Raises `StoreUnfit` when the database has moved on by more than this version can follow.
        """
        daemon = self._daemon
        if not daemon.store.shared:
            return
        with daemon.store.writing() as connection:
            say_present(connection, self.me, daemon.engine.lease)
            found = revision(connection)
            others = [each for each in present(connection) if each.name != self.me.name]
        self._hold_to(found)
        self.others = tuple(others)
        self._know_of_newer(any(map(self._is_newer, others)))

    def newer_at_work(self) -> bool:
        """Say whether a daemon of a newer version is at work beside this one.

        One that came since the last look is asked for: what is told here decides whether a step
        that is not known fails, and the newer one may have ordered it a moment ago.
        """
        store = self._daemon.store
        if not self._newer and store.shared:
            with store.reading() as connection:
                self._newer = any(map(self._is_newer, present(connection)))
        return self._newer

    def leave(self) -> None:
        """Say that this daemon has ended."""
        if self._daemon.store.shared:
            with self._daemon.store.writing() as connection:
                say_gone(connection, [self.me.name])

    def _is_newer(self, other: AtWork) -> bool:
        ahead = steps(self.me.knows, other.knows) or 0
        return ahead > 0 or _parts(other.version) > _parts(self.me.version)

    def _know_of_newer(self, newer: bool) -> None:
        if self._newer and not newer:
            self._daemon.store.foreign.clear()  # nobody else will do it: look anew
        self._newer = newer

    def _hold_to(self, found: str | None) -> None:
        if found is None or found in self._known[0]:
            return
        ahead = steps(self.me.knows, found)
        if ahead is None or ahead > STEPS:
            raise StoreUnfit(
                f"the database was brought to schema {found}, and this version ({__version__}) "
                f"can follow no further than one step from {self.me.knows}: it ends; upgrade it"
            )
        if found != self._told:
            log.warning("the database has schema %s, one step newer than %s of this version (%s): "
                        "going on; upgrade it soon", found, self.me.knows, __version__)  # fmt: skip
            self._told = found


def _parts(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]
