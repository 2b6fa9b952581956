"""Layered drawing: rows from top to bottom, few crossings, short lines.

The method is that of Sugiyama, Tagawa and Toda (1981): break cycles, give each vertex a row,
order the rows by the barycenter of their neighbors, then move each vertex towards them.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
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

    def visit(vertex: V) -> None:
        state[vertex] = 1
        for number, target in after[vertex]:
            if state.get(target) == 1:
                upward.add(number)
            elif target not in state:
                visit(target)
        state[vertex] = 2
        done.append(vertex)

    for vertex in vertices:
        if vertex not in state:
            visit(vertex)
    rows = dict.fromkeys(vertices, 0)
    for vertex in reversed(done):
        for number, target in after[vertex]:
            if number not in upward:
                rows[target] = max(rows[target], rows[vertex] + 1)
    return rows, upward


def order(rows: list[list[Cell]], joins: Sequence[Join]) -> None:
    """Order each row so that few lines cross; the best of some sweeps stays."""
    best, fewest = [list(row) for row in rows], crossings(rows, joins)
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        for row in rows if down else rows[::-1]:
            places = {cell: float(i) for each in rows for i, cell in enumerate(each)}
            row.sort(key=lambda cell, p=places, d=down: _center(cell, joins, p, down=d))  # type: ignore[misc]  # defaults bind the loop's values
        count = crossings(rows, joins)
        if count < fewest:
            best, fewest = [list(row) for row in rows], count
    rows[:] = best


def _center(cell: Cell, joins: Sequence[Join], places: dict[Cell, float], *, down: bool) -> float:
    near = [places[j.upper] for j in joins if down and j.lower is cell]
    near += [places[j.lower] for j in joins if not down and j.upper is cell]
    return sum(near) / len(near) if near else places[cell]


def crossings(rows: Sequence[Sequence[Cell]], joins: Sequence[Join]) -> int:
    """Count how many pairs of lines cross."""
    place = {cell: index for row in rows for index, cell in enumerate(row)}
    by_row: dict[int, list[tuple[int, int]]] = {}
    for join in joins:
        ends = (place[join.upper], place[join.lower])
        by_row.setdefault(join.upper.rank, []).append(ends)
    return sum(
        (a[0] - b[0]) * (a[1] - b[1]) < 0
        for pairs in by_row.values()
        for i, a in enumerate(pairs)
        for b in pairs[i + 1 :]
    )


def spread(rows: Sequence[Sequence[Cell]], joins: Sequence[Join]) -> None:
    """Set every cell's `x` (its middle): near its neighbors, apart from those beside it."""
    for row in rows:
        _settle(row, [0.0] * len(row))
    for sweep in range(2 * SWEEPS):
        down = sweep % 2 == 0
        for row in rows if down else rows[::-1]:
            _settle(row, [_wish(cell, joins) for cell in row])


def _wish(cell: Cell, joins: Sequence[Join]) -> float:
    total = weight = 0.0
    for join in joins:
        if join.lower is cell:
            pull = join.upper.stiff * cell.stiff
            total += pull * (join.upper.x + join.upper_at - join.lower_at)
        elif join.upper is cell:
            pull = join.lower.stiff * cell.stiff
            total += pull * (join.lower.x + join.lower_at - join.upper_at)
        else:
            continue
        weight += pull
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
