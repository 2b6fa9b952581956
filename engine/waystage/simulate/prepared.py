"""A lifecycle made ready to be simulated many times: compiled, its names and arrows at hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

from waystage.check.places import YamlPath, walk
from waystage.expressions.types import DYN, Type, conform
from waystage.kernel import Definition, Node, compile_lifecycle
from waystage.kernel.definition import Way
from waystage.kernel.machine import Environment, RegionMachine
from waystage.plugin import Plugin
from waystage.spec.lifecycle import Lifecycle
from waystage.spec.load import Loaded

Arrow: TypeAlias = tuple[YamlPath, str, int]  # whose `next`, which event, which of its list


class _Watched(RegionMachine):
    """A region's machine that notes which arrows were chosen."""

    def __init__(self, inner: RegionMachine, chosen: list[Way]) -> None:
        self._inner, self._chosen = inner, chosen

    def fire(self, leaf: str, event: str, environment: Environment) -> Way | None:
        way = self._inner.fire(leaf, event, environment)
        if way is not None:
            self._chosen.append(way)
        return way

    def handles(self, leaf: str, event: str) -> bool:
        return self._inner.handles(leaf, event)


@dataclass
class Prepared:
    """A compiled lifecycle; `chosen` holds the arrows that the last event took."""

    loaded: Loaded[Lifecycle]
    definition: Definition
    chosen: list[Way] = field(default_factory=list)

    def __post_init__(self) -> None:
        watched = {region: _Watched(machine, self.chosen)
                   for region, machine in self.definition.machines.items()}  # fmt: skip
        self.definition.__dict__["machines"] = watched  # where the cached property keeps them

    @property
    def spec(self) -> Lifecycle:
        """The lifecycle as written."""
        return self.loaded.spec

    @cached_property
    def places(self) -> Mapping[str, YamlPath]:
        """Where in the file each state is; states of several stages share one place."""
        known = {id(place.spec): place.path for place in walk(self.spec)}
        found = {path: known.get(id(node.spec)) for path, node in self.definition.nodes.items()}
        return {path: place for path, place in found.items() if place is not None}

    @cached_property
    def arrows(self) -> Mapping[int, Arrow]:
        """What is written for each compiled arrow, by the arrow's identity."""
        return {id(way): arrow for way, arrow in self._arrows()}

    def _arrows(self) -> Iterator[tuple[Way, Arrow]]:
        for path, place in self.places.items():
            for event, ways in self.definition.nodes[path].ways.items():
                for number, way in enumerate(ways):
                    yield way, (place, event, number)

    @cached_property
    def _names(self) -> Mapping[str, frozenset[str]]:
        """Which states a written name means: a path, its last words, both also without stages."""
        found: dict[str, set[str]] = {}
        for path, node in self.definition.nodes.items():
            for whole in {path, self._plain(node)}:
                words = whole.split(".")
                for start in range(len(words)):
                    found.setdefault(".".join(words[start:]), set()).add(path)
        exact = {path: {path} for path in self.definition.nodes}
        return {name: frozenset(paths) for name, paths in (found | exact).items()}

    def _plain(self, node: Node) -> str:
        above = self.definition.nodes.get(node.parent) if node.parent else None
        lead = self._plain(above) if above else (node.parent or "")
        if node.is_stage:
            return lead
        return f"{lead}.{node.name}" if lead else node.name

    def named(self, written: str) -> frozenset[str]:
        """Give the states that a name means; none if there is no such state."""
        return self._names.get(written, frozenset())

    @property
    def names(self) -> list[str]:
        """Every name that a state may be called by."""
        return sorted(self._names)

    @cached_property
    def defaults(self) -> dict[str, Any]:
        """The parameters where nobody says anything."""
        return {name: each.default for name, each in self.spec.params.items()}

    @cached_property
    def data(self) -> dict[str, Any]:
        """The variables of a run that begins."""
        given = {name: each.default for name, each in self.spec.data.items()}
        return _conforming(given, self.definition.data_types)

    def params(self, *given: Mapping[str, Any]) -> dict[str, Any]:
        """Give a run's parameters: the defaults, then what is given, the last going before."""
        found = self.defaults
        for each in given:
            found = found | {k: value for k, value in each.items() if k in self.defaults}
        return _conforming(found, self.definition.param_types)


class Lifecycles(Mapping[str, Prepared]):
    """Lifecycles by name, each made ready when it is first asked for."""

    def __init__(
        self, loaded: Mapping[str, Loaded[Lifecycle]], catalog: Mapping[str, type[Plugin]]
    ) -> None:
        self._loaded, self._catalog = loaded, catalog
        self._ready: dict[str, Prepared] = {}

    def __getitem__(self, name: str) -> Prepared:
        if name not in self._ready:
            self._ready[name] = prepare(self._loaded[name], self._catalog)
        return self._ready[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._loaded)

    def __len__(self) -> int:
        return len(self._loaded)

    def __contains__(self, name: object) -> bool:
        return name in self._loaded


def prepare(loaded: Loaded[Lifecycle], catalog: Mapping[str, type[Plugin]]) -> Prepared:
    """Compile a lifecycle; raises `DefinitionError` or `ExpressionError`."""

    def changes(use: str) -> str:
        return str(getattr(catalog.get(use), "changes", "none"))

    return Prepared(loaded, compile_lifecycle(loaded.spec, loaded.digest, changes))


def _conforming(values: Mapping[str, Any], types: Mapping[str, Type]) -> dict[str, Any]:
    return {name: conform(value, types.get(name, DYN)) for name, value in values.items()}
