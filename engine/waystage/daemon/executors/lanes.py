"""Which executor calls which plugin, and whether it may call one more."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from waystage.daemon.executors.base import Answer, Executor
from waystage.daemon.executors.limits import Limits
from waystage.daemon.executors.threads import Perform, Threads
from waystage.plugin import Plugin, Step
from waystage.spec.execution import Execution

INLINE, THREAD, PROCESS, DASK = "inline", "thread", "process", "dask"


class Lanes:
    """The executors of a daemon; one is made when a plugin of the catalog needs it."""

    def __init__(
        self,
        catalog: Mapping[str, type[Plugin]],
        connections: Any,
        execution: Execution,
        call: Perform,
        answer: Answer,
        freed: Callable[[], None],
    ) -> None:
        self._catalog, self._execution = catalog, execution
        self.limits = Limits(execution.at_once)
        self._lane = {use: lane_of(plugin, execution) for use, plugin in catalog.items()}
        lanes = set(self._lane.values())
        self._made: dict[str, Executor] = {THREAD: Threads(execution.threads, call, answer, freed)}
        if PROCESS in lanes:
            from waystage.daemon.executors.processes import Processes

            self._made[PROCESS] = Processes(
                execution.processes, connections, answer, freed, execution.memory
            )
        if DASK in lanes and execution.dask is not None:
            from waystage.daemon.executors.dask import Dask

            self._made[DASK] = Dask(execution.dask, connections, answer, freed)

    def __iter__(self) -> Iterator[Executor]:
        return iter(self._made.values())

    def of(self, use: str) -> str:
        """Name the lane of a plugin; what is not known is told so at once."""
        lane = self._lane.get(use)
        if lane is None:
            plugin = self._catalog.get(use)
            if plugin is None:
                return INLINE
            lane = self._lane[use] = lane_of(plugin, self._execution)
        return lane

    def executor(self, use: str) -> Executor:
        """Give who calls the plugin; not for those of the daemon's own loop."""
        return self._made[self.of(use)]

    def free(self, lane: str) -> int:
        """Say how many calls more may begin in a lane."""
        return self._made[lane].free()

    def full(self) -> list[str]:
        """Give the plugins of lanes in which nothing more can begin."""
        lanes = {name for name, executor in self._made.items() if executor.free() <= 0}
        return [use for use, lane in self._lane.items() if lane in lanes]

    def names(self) -> Iterable[str]:
        """Give the lanes that have an executor."""
        return self._made

    def start(self) -> None:
        """Prepare what takes a while, in the background."""
        for executor in self:
            executor.start()

    def stop(self) -> None:
        """Begin nothing more and end what ends with this daemon."""
        for executor in self:
            executor.stop()


def lane_of(plugin: type[Plugin], execution: Execution) -> str:
    """Say where a plugin is called: the operator's word goes before the plugin's own."""
    if execution.dask is not None and _matches(plugin.use, execution.dask.for_):
        return DASK
    if _matches(plugin.use, execution.isolate):
        return PROCESS
    if issubclass(plugin, Step):
        if plugin.isolated:
            return PROCESS
        if plugin.inline:
            return INLINE
    return THREAD


def _matches(use: str, globs: Iterable[str]) -> bool:
    return any(fnmatchcase(use, glob) for glob in globs)
