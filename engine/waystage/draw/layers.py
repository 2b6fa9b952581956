"""Layered drawing: rows from top to bottom, few crossings, short lines.

The method is that of Sugiyama, Tagawa and Toda (1981): break cycles, give each vertex a row,
order the rows by the barycenter of their neighbors, then move each vertex towards them.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import fsum  # the same in all versions of Python, which `sum` of floats is not
from typing import TypeVar

V = TypeVar("V", bound=Hashable)
SWEEPS = 12
APART = 18.0


@dataclass(eq=False)
class Cell:
    """Something with a place in a row: a box, a port in a border, or a point of a line."""

    width: float
    height: float
    rank: int = 0
    x: float = 0.0
    y: float = 0.0
    floor: float = 0.0  # where its row ends
    stiff: float = 1.0


@dataclass(frozen=True)
class Join:
    """A line between cells of neighboring rows, and where it meets them, from their middles."""

    upper: Cell
    lower: Cell
    upper_at: float = 0.0
    lower_at: float = 0.0


def rank(vertices: Sequence[V], arrows: Sequence[tuple[V, V]]) -> tuple[dict[V, int], set[int]]:
    """Give each vertex its row (longest path), and the arrows that go upwards."""
    after: dict[V, list[tuple[int, V]]] = {vertex: [] for vertex in vertices}
    for number, (source, target) in enumerate(arrows):
        after[source].append((number, target))
    state: dict[V, int] = {}
    upward: set[int] = set()
    done: list[V] = []

    for first in vertices:
        path = [] if first in state else [(first, iter(after[first]))]
        state.setdefault(first, 1)
        while path:
            vertex, rest = path[-1]
            for number, target in rest:
                if state.get(target) == 1:
                    upward.add(number)
                elif target not in state:
                    state[target] = 1
                    path.append((target, iter(after[target])))
                    break
            else:
                state[vertex] = 2
                done.append(vertex)
                path.pop()
    rows = dict.fromkeys(vertices, 0)
    for vertex in reversed(done):
        for number, target in after[vertex]:
            if number not in upward:
                rows[target] = max(rows[target], rows[vertex] + 1)
    return rows, upward


def order(rows: list[list[Cell]], joins: Sequence[Join]) -> None:
    """Order each row so that few lines cross; the best of some sweeps stays."""
    best, fewest = [list(row) for row in rows], crossings(rows, joins)
    above, below = _neighbors(joins)
    places = {cell: float(index) for row in rows for index, cell in enumerate(row)}
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        for row in rows if down else rows[::-1]:
            near = above if down else below
            centers = {cell: _center(cell, near.get(cell, ()), places) for cell in row}
            row.sort(key=centers.__getitem__)
            places.update((cell, float(index)) for index, cell in enumerate(row))
        count = crossings(rows, joins)
        if count < fewest:
            best, fewest = [list(row) for row in rows], count
    rows[:] = best


Near = tuple[Cell, float, float]  # the neighbor; where the line meets it, and where oneself


def _neighbors(joins: Sequence[Join]) -> tuple[dict[Cell, list[Near]], dict[Cell, list[Near]]]:
    """Give each cell's neighbors in the row above and in the row below."""
    above: dict[Cell, list[Near]] = {}
    below: dict[Cell, list[Near]] = {}
    for join in joins:
        above.setdefault(join.lower, []).append((join.upper, join.upper_at, join.lower_at))
        below.setdefault(join.upper, []).append((join.lower, join.lower_at, join.upper_at))
    return above, below


def _center(cell: Cell, near: Sequence[Near], places: dict[Cell, float]) -> float:
    meets = [_at(other, at, places) for other, at, _ in near]
    return fsum(meets) / len(meets) if meets else places[cell]


def _at(cell: Cell, offset: float, places: dict[Cell, float]) -> float:
    """Give where in its row a line meets a cell: 2.25 is in the right half of the third."""
    return places[cell] + offset / (cell.width + 1)


def crossings(rows: Sequence[Sequence[Cell]], joins: Sequence[Join]) -> int:
    """Count how many pairs of lines cross."""
    places = {cell: float(index) for row in rows for index, cell in enumerate(row)}
    by_row: dict[int, list[tuple[float, float]]] = {}
    for join in joins:
        ends = (_at(join.upper, join.upper_at, places), _at(join.lower, join.lower_at, places))
        by_row.setdefault(join.upper.rank, []).append(ends)
    return sum(
        (a[0] - b[0]) * (a[1] - b[1]) < 0
        for pairs in by_row.values()
        for i, a in enumerate(pairs)
        for b in pairs[i + 1 :]
    )


def spread(rows: Sequence[Sequence[Cell]], joins: Sequence[Join]) -> None:
    """Set every cell's `x` (its middle): near its neighbors, apart from those beside it."""
    above, below = _neighbors(joins)
    for row in rows:
        _settle(row, [0.0] * len(row))
    for sweep in range(2 * SWEEPS):
        for row in rows if sweep % 2 == 0 else rows[::-1]:
            _settle(row, [_wish(c, [*above.get(c, ()), *below.get(c, ())]) for c in row])


def _wish(cell: Cell, near: Sequence[Near]) -> float:
    weight = fsum(other.stiff * cell.stiff for other, _, _ in near)
    total = fsum(other.stiff * cell.stiff * (other.x + at - own) for other, at, own in near)
    return total / weight if weight else cell.x


def _settle(row: Sequence[Cell], wishes: Sequence[float]) -> None:
    """Come as near to the wishes as distances allow: least squares by pooling neighbors."""
    offsets, reach = [], 0.0
    for index, cell in enumerate(row):
        if index:
            reach += (row[index - 1].width + cell.width) / 2 + APART
        offsets.append(reach)
    pools: list[tuple[float, int]] = []
    for wish, offset in zip(wishes, offsets, strict=True):
        mean, size = wish - offset, 1
        while pools and pools[-1][0] > mean:
            before, count = pools.pop()
            mean, size = (before * count + mean * size) / (count + size), count + size
        pools.append((mean, size))
    settled = [mean for mean, size in pools for _ in range(size)]
    for cell, base, offset in zip(row, settled, offsets, strict=True):
        cell.x = base + offset


def straighten(rows: Sequence[Sequence[Cell]], chains: Sequence[Sequence[Cell]]) -> None:
    """Let the points of each long line stand below each other wherever there is room."""
    beside = {
        cell: (row[index - 1] if index else None, row[index + 1] if index + 1 < len(row) else None)
        for row in rows
        for index, cell in enumerate(row)
    }
    for chain in chains:
        group: list[Cell] = []
        low, high = float("-inf"), float("inf")
        for cell in chain:
            left, right = _room(cell, *beside[cell])
            if max(low, left) > min(high, right):
                _align(group, low, high)
                group, low, high = [], float("-inf"), float("inf")
            group.append(cell)
            low, high = max(low, left), min(high, right)
        _align(group, low, high)


def _room(cell: Cell, before: Cell | None, after: Cell | None) -> tuple[float, float]:
    left = before.x + (before.width + cell.width) / 2 + APART if before else float("-inf")
    right = after.x - (after.width + cell.width) / 2 - APART if after else float("inf")
    return min(left, cell.x), max(right, cell.x)


def _align(group: Sequence[Cell], low: float, high: float) -> None:
    if group:
        middle = sorted(cell.x for cell in group)[len(group) // 2]
        for cell in group:
            cell.x = min(max(middle, low), high)
