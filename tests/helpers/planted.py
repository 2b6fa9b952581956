"""Bugs that are planted in the engine, to see that the tests of faults find them.

`plant(name)` breaks this process's engine; players do it when `WAYSTAGE_PLANTED` names one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any


def split_commit() -> None:
    """Commit the runs' rows before the history and the work that belong to them."""
    from waystage.store.commit import Statements

    def split(self: Statements, driver: Any, batch: Any) -> None:
        driver.execute("COMMIT")
        time.sleep(0.01)
        driver.execute("BEGIN")
        whole(self, driver, batch)

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


def deaf() -> None:
    """Take a commit that failed for one that was done."""
    from waystage.daemon.engine import Engine

    def postpone(self: Engine, items: Any, error: Any, **more: Any) -> None:
        for item in items:
            if item.future is not None:
                item.future.set_result(item.result)
        right(self, [item for item in items if item.future is None], error, **more)

    right = Engine._postpone
    Engine._postpone = postpone  # this is the bug


BUGS: dict[str, Callable[[], None]] = {
    "split-commit": split_commit, "new-key": new_key, "told-early": told_early,
    "deaf": deaf,
}  # fmt: skip


def plant(name: str = "") -> None:
    """Plant what is named, or what the environment names."""
    name = name or os.environ.get("WAYSTAGE_PLANTED", "")
    if name:
        BUGS[name]()
