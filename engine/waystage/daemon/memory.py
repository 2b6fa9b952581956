"""What was loaded before the daemon began is there to stay: the collector need not look at it."""

from __future__ import annotations

import gc

YOUNG = 20_000  # objects made before a look at the young ones; a transition makes about a hundred


def spare_the_collector() -> None:
    """Keep modules, plugins and definitions out of every later collection.

    A full collection looks at some hundred thousand of their parts, for which every run in
    motion waits up to a tenth of a second.
    """
    gc.freeze()
    gc.set_threshold(YOUNG, 20, 20)
