"""Where every box and line of a chart goes: one layered drawing per box that holds boxes.

A line that leaves or enters a box that holds others passes its border at a port; inside, the
port is a cell of the first or last row, so lines go around boxes there too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

from waystage.draw.chart import Box, Chart, Link
from waystage.draw.layers import Cell, Join, order, rank, spread, straighten

CHAR, LINE, PAD, GAP, HEAD = 6.3, 14.0, 16.0, 18.0, 26.0
Side = Literal["top", "bottom"]
Point = tuple[float, float]


@dataclass
class Wire:
    """The part of a link inside one box: its cells from top to bottom."""

    link: Link
    cells: list[Cell]
    upward: bool
    label: Cell | None = None


@dataclass
class Area:
    """The drawing inside one box; positions count from the box's upper left corner."""

    box: Box
    cells: dict[Box, Cell] = field(default_factory=dict)
    ports: dict[tuple[Link, Box], Cell] = field(default_factory=dict)
    wires: list[Wire] = field(default_factory=list)
    wanted: list[tuple[Link, Box | None, Box | None, Side]] = field(default_factory=list)
    ranks: dict[Box, int] = field(default_factory=dict)
    width: float = 0.0
    height: float = 0.0


def text_width(text: str) -> float:
    """Estimate how wide a text of 11 px is; wide scripts count twice."""
    return CHAR * sum(2 if ord(c) > 0x2E80 else 1 for c in text)


def head_height(box: Box) -> float:
    """Give the height of a box's title and lines."""
    return HEAD + LINE * len(box.lines)


def head_width(box: Box) -> float:
    """Give the width of a box's title and of its stages beside it."""
    stages = text_width(" → ".join(box.stages)) + 14 if box.stages else 0.0
    return text_width(box.title) * 1.15 + stages


def areas_of(chart: Chart) -> dict[Box, Area]:
    """Lay out all boxes that hold boxes, the inner ones first."""
    holders = [chart.root, *(box for box in chart.boxes.values() if box.children)]
    areas = {box: Area(box) for box in holders}
    levels = _levels(chart, areas)
    for area in areas.values():
        _rank(area, levels.get(area.box, []), areas)
    for box in reversed(holders):
        _lay(areas[box], areas)
    return areas


Level = tuple[Link, Box, Box]


def _levels(chart: Chart, areas: dict[Box, Area]) -> dict[Box, list[Level]]:
    """Give each link to the innermost box around both of its ends."""
    found: dict[Box, list[Level]] = {}
    for link in chart.links:
        if link.source is link.target:
            continue
        out, into = link.source.above(), link.target.above()
        if link.source in into:
            _enter(areas, link, link.source, "top")
        elif link.target in out:
            _leave(areas, link, link.target, "bottom")
        else:
            around = next(box for box in out if box in into)
            ends = (out[out.index(around) - 1], into[into.index(around) - 1])
            found.setdefault(around, []).append((link, *ends))
    return found


def _leave(areas: dict[Box, Area], link: Link, end: Box, side: Side) -> None:
    """Ask for the line from the link's source to the border of `end`."""
    inner = link.source
    while inner is not end:
        assert inner.parent is not None
        areas[inner.parent].wanted.append((link, inner, None, side))
        inner = inner.parent


def _enter(areas: dict[Box, Area], link: Link, end: Box, side: Side) -> None:
    inner = link.target
    while inner is not end:
        assert inner.parent is not None
        areas[inner.parent].wanted.append((link, None, inner, side))
        inner = inner.parent


def _rank(area: Area, levels: list[Level], areas: dict[Box, Area]) -> None:
    boxes = sorted(area.box.children, key=lambda box: not box.first)
    area.ranks, upward = rank(boxes, [(source, target) for _, source, target in levels])
    for number, (link, source, target) in enumerate(levels):
        sides: tuple[Side, Side] = ("top", "bottom") if number in upward else ("bottom", "top")
        area.wanted.append((link, source, target, sides[0]))
        _leave(areas, link, source, sides[0])
        _enter(areas, link, target, sides[1])


def _lay(area: Area, areas: dict[Box, Area]) -> None:
    for box in area.box.children:
        width, height = _size(box, areas)
        area.cells[box] = Cell(width, height, 2 * area.ranks[box])
    last = max(cell.rank for cell in area.cells.values())
    for link, source, target, side in area.wanted:
        area.wires.append(_wire(area, link, source, target, side, last))
    rows = _rows(area)
    order(rows, _joins(area, areas))
    spread(rows, _joins(area, areas))
    boxes = set(area.cells.values())
    chains = [[cell for cell in wire.cells if cell not in boxes] for wire in area.wires]
    for _ in range(3):
        straighten(rows, chains)
    _finish(area, rows)


def _size(box: Box, areas: dict[Box, Area]) -> tuple[float, float]:
    if box in areas:
        return areas[box].width, areas[box].height
    widest = max(head_width(box), *(text_width(text) for text in (*box.lines, "")))
    return max(64.0, widest + 2 * PAD), head_height(box) + (6 if box.lines else 2)


def _wire(
    area: Area, link: Link, source: Box | None, target: Box | None, side: Side, last: int
) -> Wire:
    start = area.cells[source] if source else _port(area, link, side, last)
    end = area.cells[target] if target else _port(area, link, side, last)
    upward = start.rank > end.rank
    upper, lower = (end, start) if upward else (start, end)
    middle = [Cell(4, 0, each, stiff=4) for each in range(upper.rank + 1, lower.rank)]
    wire = Wire(link, [upper, *middle, lower], upward)
    if _is_labelled(link, area.box):
        wire.label = middle[-1] if upward else middle[0]
        wire.label.width = max(text_width(text) for text in link.labels) + 8
        wire.label.height = LINE * len(link.labels)
    return wire


def _is_labelled(link: Link, holder: Box) -> bool:
    """A label stands once: inside the innermost box around both ends."""
    into = link.target.above()
    return holder is next(box for box in link.source.above() if box in into)


def _port(area: Area, link: Link, side: Side, last: int) -> Cell:
    port = Cell(2, 0, -2 if side == "top" else last + 2, stiff=2)
    area.ports[(link, area.box)] = port
    return port


def _rows(area: Area) -> list[list[Cell]]:
    cells = [*area.cells.values(), *area.ports.values()]
    cells += [cell for wire in area.wires for cell in wire.cells[1:-1]]
    rows: dict[int, list[Cell]] = {}
    for cell in cells:
        rows.setdefault(cell.rank, []).append(cell)
    return [rows[number] for number in sorted(rows)]


def _joins(area: Area, areas: dict[Box, Area]) -> list[Join]:
    boxes = {cell: box for box, cell in area.cells.items()}
    return [
        Join(upper, lower, port_at(areas, wire.link, boxes.get(upper)),
             port_at(areas, wire.link, boxes.get(lower)))
        for wire in area.wires
        for upper, lower in pairwise(wire.cells)
    ]  # fmt: skip


def port_at(areas: dict[Box, Area], link: Link, box: Box | None) -> float:
    """Give how far from a box's middle the link passes its border; 0 if it ends there."""
    if box is None or box not in areas:
        return 0.0
    port = areas[box].ports.get((link, box))
    return port.x - areas[box].width / 2 if port else 0.0


def _finish(area: Area, rows: list[list[Cell]]) -> None:
    y, boxes = head_height(area.box) + PAD / 2, set(area.cells.values())
    for row in rows:
        tall = max(cell.height for cell in row)
        for cell in row:
            cell.y, cell.floor = y, y + tall
            cell.height = cell.height if cell in boxes else tall
        y += tall + (GAP if tall else GAP / 2)
    left = min(cell.x - cell.width / 2 for row in rows for cell in row) - PAD
    right = max(cell.x + cell.width / 2 for row in rows for cell in row) + PAD
    spare = max(0.0, head_width(area.box) + 2 * PAD - (right - left)) / 2
    for row in rows:
        for cell in row:
            cell.x += spare - left
    area.width, area.height = right - left + 2 * spare, y - GAP + PAD
