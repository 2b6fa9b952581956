"""The states of a lifecycle as they are written, each with its path in the file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from waystage.spec.lifecycle import Lifecycle, State

YamlPath: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True)
class Place:
    """A state as written: where, below which other, and in which stages it is run."""

    path: YamlPath
    name: str
    spec: State
    parent: Place | None
    stages: tuple[str, ...]

    def at(self, *parts: str | int) -> YamlPath:
        """Give the path of a part of the state."""
        return (*self.path, *parts)


def walk(spec: Lifecycle) -> Iterator[Place]:
    """Give every state, the outer before the inner."""
    yield from _walk(spec.states, ("states",), None, ())


def _walk(
    states: Mapping[str, State], path: YamlPath, parent: Place | None, stages: tuple[str, ...]
) -> Iterator[Place]:
    for name, spec in states.items():
        own = spec.stages or ((spec.stage,) if spec.stage else stages)
        place = Place((*path, name), name, spec, parent, own)
        yield place
        yield from _walk(spec.states or {}, place.at("states"), place, own)
        for branch, inner in (spec.branches or {}).items():
            yield from _walk(inner.states, place.at("branches", branch, "states"), place, own)
