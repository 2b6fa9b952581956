"""A lifecycle reduced to states and arrows: it compiles whatever is wrong with the rest.

The kernel itself expands it and resolves its names, so that the checks and the runs cannot
see two different things.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from waystage.check.places import Place
from waystage.kernel import Definition, Node, compile_lifecycle
from waystage.kernel.definition import ROOT, Way, resolve
from waystage.spec.lifecycle import Arrow, Branch, Lifecycle, State


@dataclass(frozen=True)
class Nowhere:
    """An arrow whose target cannot be reached from its state."""

    place: Place
    event: str
    number: int
    target: str
    leaves_branch: bool
    known: tuple[str, ...]


@dataclass(frozen=True)
class Skeleton:
    """The expanded states, the place of each, and the arrows that lead nowhere."""

    definition: Definition
    places: Mapping[str, Place]
    nowhere: tuple[Nowhere, ...]


def build(spec: Lifecycle, places: Iterable[Place]) -> Skeleton:
    """Expand a lifecycle and resolve its arrows."""
    bare = _Bare({id(place.spec): place for place in places})
    states = bare.states(spec.states)
    initial = _first(spec.initial, spec.states)
    copy = Lifecycle.model_construct(
        lifecycle=spec.lifecycle, services=spec.services, initial=initial, states=states
    )
    d = compile_lifecycle(copy, "")
    found = {
        path: bare.origin[id(node.spec)]
        for path, node in d.nodes.items()
        if id(node.spec) in bare.origin
    }
    nowhere: dict[tuple[object, ...], Nowhere] = {}
    for path, place in found.items():
        for lost in _lead(d, d.nodes[path], place):
            nowhere.setdefault((place.path, lost.event, lost.number), lost)
    return Skeleton(d, found, tuple(nowhere.values()))


class _Bare:
    """Copies states without anything that could be wrong; remembers what each was made of."""

    def __init__(self, places: Mapping[int, Place]) -> None:
        self.places = places
        self.origin: dict[int, Place] = {}

    def states(self, states: Mapping[str, State]) -> dict[str, State]:
        return {name: self.state(spec) for name, spec in states.items()}

    def state(self, spec: State) -> State:
        inner = self.states(spec.states) if spec.states else None
        branches = {
            name: Branch.model_construct(
                initial=_first(branch.initial, branch.states), states=self.states(branch.states)
            )
            for name, branch in (spec.branches or {}).items()
        }
        initial = _first(spec.initial, spec.states) if spec.initial and spec.states else None
        call = spec.call and spec.call.model_copy(update={"with_": {}})
        # left out: what the kernel would compile as expressions, and the arrows
        copy = State.model_construct(
            stage=spec.stage, verify=spec.verify, wait=spec.wait, call=call,
            stages=spec.stages, initial=initial, states=inner, branches=branches or None,
            final=spec.final, outcome=spec.outcome, timers=spec.timers, signals=spec.signals,
            steps=None, task=None, next={}, lease=None,
        )  # fmt: skip
        self.origin[id(copy)] = self.places[id(spec)]
        return copy


def _first(name: str, states: Mapping[str, State]) -> str:
    return name if name in states else next(iter(states))


def _lead(d: Definition, node: Node, place: Place) -> list[Nowhere]:
    """Give the node its arrows and its activity; answer those that lead nowhere."""
    lost = []
    if not place.spec.states:
        node.activity = place.spec.activity
    node.spec = place.spec
    for event, arrows in place.spec.next.items():
        node.ways[event] = []
        for number, arrow in enumerate(arrows):
            target = resolve(d, node, arrow.to)
            if target is None or d.nodes[target].region != node.region:
                lost.append(_nowhere(d, node, place, event, number, arrow))
                target = node.path
            node.ways[event].append(Way(event, node.path, target, None, ()))
    return lost


def _nowhere(
    d: Definition, node: Node, place: Place, event: str, number: int, arrow: Arrow
) -> Nowhere:
    inside = node.region != ROOT
    owner = d.nodes[node.region.rpartition(".")[0]] if inside else node
    leaves = inside and resolve(d, owner, arrow.to) is not None
    enters = resolve(d, node, arrow.to) is not None
    levels = {each.parent for each in d.chain(node.path)}
    known = [n.name for n in d.nodes.values() if n.parent in levels and n.region == node.region]
    return Nowhere(place, event, number, arrow.to, leaves or enters, tuple(known))
