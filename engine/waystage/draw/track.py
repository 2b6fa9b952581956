"""Where a run is in its lifecycle, and how it came there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from waystage.draw.chart import Chart, Link, unstaged


@dataclass(frozen=True)
class Track:
    """The boxes where a run is, those that it has been in, and the ways that it took.

    `here` maps a box to the stages in which the run is there now.
    """

    here: dict[str, tuple[str, ...]]
    been: frozenset[str]
    took: frozenset[tuple[str, str, str]]

    def went(self, link: Link) -> bool:
        """Whether the run took the arrow."""
        return any(
            event in link.events and target == link.target.path and _within(leaf, link.source.path)
            for leaf, event, target in self.took
        )


def track_of(chart: Chart, places: Iterable[str], records: Iterable[Sequence[str]]) -> Track:
    """Read a run's way from its present places and the records of its history."""
    moves = [(record[1], record[2], record[3]) for record in records if record[0] == "moved"]
    took = frozenset((unstaged(chart, s), event, unstaged(chart, t)) for s, event, t in moves)
    here: dict[str, tuple[str, ...]] = {}
    for place in places:
        path = unstaged(chart, place)
        here[path] = (*here.get(path, ()), *_dropped(place, path))
    been = {path for leaf, _, target in took for path in (leaf, target)} | set(here)
    around = {above.path for path in been if path in chart.boxes
              for above in chart.boxes[path].above()}  # fmt: skip
    started = {box.path for box in chart.root.children if box.first}
    return Track(here, frozenset(around | started), took)


def _dropped(place: str, path: str) -> tuple[str, ...]:
    kept = path.split(".")
    return tuple(part for part in place.split(".") if part not in kept)


def _within(path: str, outer: str) -> bool:
    return path == outer or path.startswith(outer + ".")
