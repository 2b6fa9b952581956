"""Containers of jobs, which end sooner than those of servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from waystage_plugins.images.engine import engine
from waystage_plugins.runtimes.docker.containers import Containers

PATIENCE = 3


class JobContainers(Containers):
    """What is done with the containers of jobs."""

    def stop(self, name: str) -> None:
        """Have a container end: asked first, killed soon; most jobs hear nothing as process 1."""
        self._api.stop(name, timeout=PATIENCE)


@contextmanager
def job_containers(
    host: str, cancelled: Callable[[], bool] = lambda: False
) -> Iterator[JobContainers]:
    """Reach an engine; raises `Retryable` or `Hopeless` with one line for what goes wrong."""
    with engine(host, cancelled) as found:
        yield JobContainers(found)
