"""A small plot for terminals: values over time with the threshold of then and of now."""

from __future__ import annotations

from collections.abc import Sequence

HEIGHT, WIDTH = 11, 64
VALUE, WAS, NOW, BOTH = "●", "┄", "─", "═"
Point = tuple[float | None, float | None, float | None]


def plot(points: Sequence[Point]) -> list[str]:
    """Draw `(value, threshold then, threshold now)`, the oldest left; missing values leave a gap.

    More points than columns are thinned; the newest stays.
    """
    shown = list(points)[:: -(-len(points) // WIDTH) or 1][-WIDTH:] if points else []
    known = [number for point in shown for number in point if number is not None]
    if not known:
        return []
    low, high = min(known), max(known)
    high = high if high > low else low + 1.0
    step = max(1, min(4, WIDTH // len(shown)))
    grid = [[" "] * (step * len(shown)) for _ in range(HEIGHT)]
    for number, point in enumerate(shown):
        _column(grid, number * step, step, [_row(each, low, high) for each in point])
    lines = [f"{_label(row, low, high):>8} ┤{''.join(cells)}" for row, cells in enumerate(grid)]
    return [*lines, f"{'':>8}  {VALUE} value  {WAS} threshold then  {NOW} now  {BOTH} both"]


def _column(grid: list[list[str]], left: int, wide: int, rows: list[int | None]) -> None:
    value, was, now = rows
    for column in range(left, left + wide):
        if was is not None:
            grid[was][column] = WAS
        if now is not None:
            grid[now][column] = BOTH if now == was else NOW
    if value is not None:
        grid[value][left + wide // 2] = VALUE


def _row(number: float | None, low: float, high: float) -> int | None:
    if number is None:
        return None
    return round((high - number) / (high - low) * (HEIGHT - 1))


def _label(row: int, low: float, high: float) -> str:
    return f"{high - (high - low) * row / (HEIGHT - 1):.3f}" if row % 5 == 0 else ""
