"""Whether a daemon lives, and whether it is ready for work."""

from __future__ import annotations

from concurrent.futures import TimeoutError as TooLate
from typing import TYPE_CHECKING

from waystage.errors import WaystageError
from waystage.store.codec import micros
from waystage.store.condition import file_of, room
from waystage.store.figures import lag

if TYPE_CHECKING:
    from waystage.daemon.daemon import Daemon

PATIENCE = 3.0  # seconds for the writer to take its turn
LONGEST_LAG = 60.0  # seconds
LEAST_BYTES = 20 << 20


def unfit(daemon: Daemon) -> list[str]:
    """Say why the daemon is not ready; an empty list: it is.

    The writer takes a turn with a transaction that could write; what it could not write last
    counts, and how long due work waits.
    """
    engine = daemon.engine
    if engine.failure is not None:
        return [f"the writer has stopped: {engine.failure}"]
    if engine.ends:
        return ["the daemon is ending"]
    if engine.fault:
        return [f"the database cannot be written: {engine.fault}"]
    try:
        engine.act(lambda tx: None).result(timeout=PATIENCE)
        waits = lag(daemon.store, micros(daemon.clock.now()))
    except TooLate:
        return [f"the writer did not take its turn within {PATIENCE:g} s"]
    except WaystageError as error:
        return [str(error)]
    late = [f"due work waits since {waits:.0f} s"] if waits > LONGEST_LAG else []
    return late + _full(daemon)


def _full(daemon: Daemon) -> list[str]:
    file = file_of(str(daemon.store.engine.url))
    if file is None:
        return []
    free, _ = room(file)
    return [f"only {free >> 20} MB are free on the disk"] if free < LEAST_BYTES else []
