"""From cells to absolute positions: the frame of every box, the points of every line."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from waystage.draw.chart import Box, Chart, Link
from waystage.draw.layers import Cell
from waystage.draw.place import Area, Point, Wire, areas_of, port_at


@dataclass(frozen=True)
class Frame:
    """A box's place: upper left corner and size."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Line:
    """A link's points from source to target, and where the middle of its label is."""

    link: Link
    points: tuple[Point, ...]
    label: Point


@dataclass(frozen=True)
class Plan:
    """A whole drawing."""

    frames: dict[Box, Frame]
    lines: list[Line]


def plan_of(chart: Chart) -> Plan:
    """Lay a chart out."""
    areas = areas_of(chart)
    frames: dict[Box, Frame] = {}
    _frame(
        chart.root, Frame(0, 0, areas[chart.root].width, areas[chart.root].height), areas, frames
    )
    ends = {(box, link): at for area in areas.values() for box, link, at in _ends(area, areas)}
    parts: dict[Link, list[tuple[Area, Wire]]] = {}
    for area in areas.values():
        for wire in area.wires:
            parts.setdefault(wire.link, []).append((area, wire))
    lines = [_line(link, each, frames, ends) for link, each in parts.items()]
    return Plan(frames, lines)


def _frame(box: Box, frame: Frame, areas: dict[Box, Area], frames: dict[Box, Frame]) -> None:
    frames[box] = frame
    for child, cell in areas[box].cells.items() if box in areas else ():
        x, y = frame.x + cell.x - cell.width / 2, frame.y + cell.y
        _frame(child, Frame(x, y, cell.width, cell.height), areas, frames)


def _ends(area: Area, areas: dict[Box, Area]) -> list[tuple[Box, Link, float]]:
    """Give where on its border each line meets a box; those on one side are spread evenly."""
    boxes = {cell: box for box, cell in area.cells.items()}
    meets: dict[tuple[Box, bool], list[tuple[float, Link]]] = {}
    found = []
    for wire in area.wires:
        for cell, near, low in ((wire.cells[0], wire.cells[1], True),
                                (wire.cells[-1], wire.cells[-2], False)):  # fmt: skip
            box = boxes.get(cell)
            if box in areas and (wire.link, box) in areas[box].ports:
                found.append((box, wire.link, port_at(areas, wire.link, box)))
            elif box is not None:
                meets.setdefault((box, low), []).append((near.x, wire.link))
    for (box, _), lines in meets.items():
        width = area.cells[box].width * 0.8
        lines.sort(key=lambda each: each[0])
        for index, (_, link) in enumerate(lines, 1):
            found.append((box, link, width * (index / (len(lines) + 1) - 0.5)))
    return found


def _line(
    link: Link, parts: list[tuple[Area, Wire]], frames: dict[Box, Frame],
    ends: dict[tuple[Box, Link], float],
) -> Line:  # fmt: skip
    points: list[Point] = []
    label: Point = (0, 0)
    for area, wire in sorted(parts, key=lambda part: _turn(link, part[0].box)):
        frame = frames[area.box]
        way = [(frame.x + x, frame.y + y) for x, y in _points(area, wire, ends)]
        points.extend(way[::-1] if wire.upward else way)
        if wire.label is not None:
            cell = wire.label
            label = (frame.x + cell.x, frame.y + (cell.y + cell.floor) / 2)
    return Line(link, tuple(_simple(points)), label)


def _turn(link: Link, box: Box) -> int:
    """Order the parts of a link: outwards from its source, across, inwards to its target."""
    depth = len(box.above())
    inside_target, inside_source = box in link.target.above(), box in link.source.above()
    if inside_target and inside_source:
        return 0
    return depth if inside_target else -depth


def _points(area: Area, wire: Wire, ends: dict[tuple[Box, Link], float]) -> list[Point]:
    boxes = {cell: box for box, cell in area.cells.items()}
    points: list[Point] = []
    for index, cell in enumerate(wire.cells):
        box = boxes.get(cell)
        x = cell.x + (ends.get((box, wire.link), 0.0) if box else 0.0)
        if 0 < index < len(wire.cells) - 1:
            points += [(x, cell.y), (x, cell.floor)]
        elif index == 0:
            points += [(x, _bottom(cell, box)), (x, cell.floor)]
        else:
            points += [(x, cell.y), (x, cell.y if box else area.height)]
    return points


def _bottom(cell: Cell, box: Box | None) -> float:
    """Give where a line begins: below its box, or at the border that the port is in."""
    return cell.y + cell.height if box else 0.0


def _simple(points: list[Point]) -> list[Point]:
    return [points[0], *(b for a, b in pairwise(points) if a != b)]
