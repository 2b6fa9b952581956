"""Jobs of steps that nobody waits for any more: their runs have left the state, or ended."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from waystage.errors import Hopeless
from waystage.plugin import BatchRuntime

if TYPE_CHECKING:
    from waystage.daemon.connections import Connections
    from waystage.store import Store

log = logging.getLogger("waystage.daemon")


def end_leftovers(connections: Connections, store: Store) -> int:
    """Have every batch runtime end what it runs for nobody; answers how many jobs were ended.

    Runtimes that cannot be asked now are asked the next time.
    """
    count = 0
    for name, runtime in _batch_runtimes(connections):
        try:
            ended = runtime.end_unwanted(connections, store.keys_at_work)
        except Exception as error:  # noqa: BLE001  # a runtime may raise anything
            log.info("runtime %s cannot be asked for jobs that nobody waits for: %s", name, error)
            continue
        count += len(ended)
        for key in ended:
            log.info("the job of step %s in runtime %s was ended: its run has gone on", key, name)
    return count


def _batch_runtimes(connections: Connections) -> Iterator[tuple[str, BatchRuntime]]:
    for stage, loaded in connections.files.stages.items():
        for runtime in loaded.spec.runtimes:
            if runtime.mode == "batch":
                # what is wrong with its settings is told where the runtime is used
                with suppress(Hopeless):
                    plugin = connections.named_runtime(stage, runtime.name).batch
                    yield f"{stage}/{runtime.name}", plugin
