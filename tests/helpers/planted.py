"""Bugs that are planted in the engine, to see that the tests of faults find them.

`plant(name)` breaks this process's engine; players do it when `WAYSTAGE_PLANTED` names one.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any


def split_commit() -> None:
    """Commit the runs' rows before the history and the work that belong to them."""
    from waystage.store.commit import Statements
    from waystage.store.driver import driver_of

    def split(self: Statements, connection: Any, batch: Any) -> None:
        driver_of(connection).execute("COMMIT")
        driver_of(connection).execute("BEGIN")
        whole(self, connection, batch)

    whole = Statements._write_others
    Statements._write_others = split  # this is the bug


def new_key() -> None:
    """Give a step another key each time that it is called."""
    from waystage.daemon.workers import Workers

    def keyed(self: Workers, claim: Any, run: Any) -> Any:
        context = right(self, claim, run)
        context.key = f"{context.key}#{claim.fence}"
        return context

    right = Workers._context
    Workers._context = keyed  # this is the bug


def told_early() -> None:
    """Tell those who wait that it is done before it is committed."""
    from waystage.daemon.engine import Engine

    def early(self: Engine, tx: Any, items: Any, due: bool) -> None:
        right(self, tx, items, due)
        for item in items:
            if item.future is not None:
                item.future.set_result(item.result)
        items[:] = [replace(item, future=None) for item in items]

    right = Engine._fill
    Engine._fill = early  # this is the bug


BUGS: dict[str, Callable[[], None]] = {
    "split-commit": split_commit, "new-key": new_key, "told-early": told_early,
}  # fmt: skip


def plant(name: str = "") -> None:
    """Plant what is named, or what the environment names."""
    name = name or os.environ.get("WAYSTAGE_PLANTED", "")
    if name:
        BUGS[name]()
