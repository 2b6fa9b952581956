"""Which states and arrows of a lifecycle scenarios went through, as they are written."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from waystage.check.places import YamlPath
from waystage.simulate.player import Played
from waystage.simulate.prepared import Arrow, Prepared


@dataclass(frozen=True, slots=True)
class Gap:
    """A state or an arrow that no scenario went through, with its place."""

    text: str
    file: str
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Coverage:
    """A lifecycle's coverage; a state that is run once per stage counts once."""

    lifecycle: str
    scenarios: int
    states: int
    states_seen: int
    arrows: int
    arrows_seen: int
    gaps: tuple[Gap, ...]

    @property
    def percent(self) -> float:
        """How many of its states and arrows were seen, of a hundred."""
        return 100.0 * (self.states_seen + self.arrows_seen) / max(1, self.states + self.arrows)


def coverage_of(prepared: Prepared, played: Iterable[Played]) -> Coverage:
    """Add up what scenarios went through of a lifecycle, their own or one that is called."""
    states: set[YamlPath] = set()
    arrows: set[Arrow] = set()
    scenarios = 0
    name = prepared.spec.lifecycle
    for each in (part for whole in played for part in whole.everyone()):
        if each.loaded.spec.lifecycle != name:
            continue
        scenarios += 1
        states |= {prepared.places[v.state] for v in each.visits if v.state in prepared.places}
        arrows |= {prepared.arrows[id(way)] for way in each.taken if id(way) in prepared.arrows}
    all_states = dict.fromkeys(prepared.places.values())
    all_arrows = dict.fromkeys(prepared.arrows.values())
    gaps = [
        _gap(prepared, path, f"{_shown(path)} is never entered")
        for path in all_states
        if path not in states
    ]
    gaps += [_arrow(prepared, arrow) for arrow in all_arrows if arrow not in arrows]
    gaps.sort(key=lambda gap: (gap.line, gap.column))
    return Coverage(
        prepared.spec.lifecycle, scenarios, len(all_states), len(states & all_states.keys()),
        len(all_arrows), len(arrows & all_arrows.keys()), tuple(gaps),
    )  # fmt: skip


def _gap(prepared: Prepared, path: YamlPath, text: str) -> Gap:
    place = prepared.loaded.source.problem("", path, text)
    return Gap(text, place.file, place.line, place.column)


def _arrow(prepared: Prepared, arrow: Arrow) -> Gap:
    path, event, number = arrow
    node = next(prepared.definition.nodes[p] for p, at in prepared.places.items() if at == path)
    written = node.spec.next[event]
    which = f" ({number + 1}. of {len(written)})" if len(written) > 1 else ""
    text = f"{_shown(path)}: {event}{which} → {written[number].to} is never taken"
    return _gap(prepared, (*path, "next", event, number), text)


def _shown(path: YamlPath) -> str:
    """Write a path in the file as the name of the state: without the words around the names."""
    names = [str(part) for place, part in enumerate(path) if place % 2]
    return ".".join(names)
