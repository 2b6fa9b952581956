"""One column then and now: its shares bin by bin, PSI, a figure and a table."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import inf, nextafter
from typing import TYPE_CHECKING

from waystage.plugin import Axis, Figure, Series, Table
from waystage_plugins.monitors.columns import SCORE

if TYPE_CHECKING:
    from waystage_plugins.monitors.profile import Cells
    from waystage_plugins.monitors.statistics.counts import Integers

LEVEL = 0.95
WIDEST = 40  # characters of a bin's name


@dataclass(frozen=True, slots=True)
class Moved:
    """A column's bins with their counts then and now, PSI, and what chance makes of PSI."""

    name: str
    labels: tuple[str, ...]
    then: Integers
    now: Integers
    parts: tuple[float, ...]  # what each bin adds to PSI
    psi: float
    noise: float


def moved(name: str, then: Cells, now: Cells, bins: int) -> Moved:
    """Compare one column; more bins than asked for are put together, bins that nobody is in go."""
    import numpy as np

    from waystage_plugins.monitors.statistics import divergence as d

    group, labels = _bins(then, bins)
    size = len(labels)
    before = np.bincount(group, weights=then.counts, minlength=size).astype(np.int64)
    after = np.bincount(group, weights=now.counts, minlength=size).astype(np.int64)
    used = (before + after) > 0
    before, after = before[used], after[used]
    kept = tuple(label for label, holds in zip(labels, used.tolist(), strict=True) if holds)
    p, q = np.maximum(d.shares(before), d.FLOOR), np.maximum(d.shares(after), d.FLOOR)
    parts = (q - p) * np.log(q / p)
    noise = d.noise_scale(before, after) * d.chi2_point(len(kept), LEVEL)
    return Moved(name, kept, before, after, tuple(parts.tolist()), float(parts.sum()), noise)


def figure(found: Moved) -> Figure:
    """Draw the shares then and now, bin by bin."""
    places = tuple(float(place) for place in range(len(found.labels)))
    then, now = _shares(found.then), _shares(found.now)
    title = "Score" if found.name == SCORE else found.name
    return Figure(
        title=f"{title}, PSI {found.psi:.3f}",
        about=_farthest(found, then, now),
        x=Axis(title="share of requests", low=0, unit="share"),
        y=Axis(labels=found.labels),
        series=(
            Series(name="baseline", form="bars", tone="other", x=then, y=places),
            Series(name="this window", form="bars", x=now, y=places),
        ),
    )


def shares_table(found: Moved) -> Table:
    """Give the same as rows."""
    then, now = _shares(found.then), _shares(found.now)
    rows = zip(found.labels, then, now, found.then.tolist(), found.now.tolist(), found.parts,
               strict=True)  # fmt: skip
    names = ("bin", "baseline", "this window", "requests then", "requests now", "part of PSI")
    title = "Score" if found.name == SCORE else found.name
    return Table(title=f"{title}: shares by bin", columns=names, rows=tuple(rows))


def _farthest(found: Moved, then: tuple[float, ...], now: tuple[float, ...]) -> str:
    worst = max(range(len(found.parts)), key=lambda place: found.parts[place])
    return (
        f"The bin that moved most is “{found.labels[worst]}”: {then[worst]:.1%} of the requests "
        f"then, {now[worst]:.1%} now. PSI is {found.psi:.3f}; chance alone makes it "
        f"{found.noise:.3f} or more in 5 of 100 windows."
    )


def _shares(counts: Integers) -> tuple[float, ...]:
    return tuple((counts / max(int(counts.sum()), 1)).tolist())


def _bins(cells: Cells, bins: int) -> tuple[Integers, list[str]]:
    """Give the bin of each cell, and the names of the bins; numbers are put together by share."""
    import numpy as np

    if cells.edges is None:
        names = [*(_short(value) for value in cells.values), "others", "missing"]
        others = len(cells.values)  # unseen values and those too rare to be told apart
        group = np.array([*range(others), others, others + 1, others], dtype=np.int64)
        return group, names
    seen = len(cells.edges) + 1
    inner = np.arange(seen)
    if seen > 2 * bins:
        share = cells.seen / max(int(cells.seen.sum()), 1)
        middle = np.cumsum(share) - share / 2
        inner = np.minimum((middle * bins).astype(np.int64), bins - 1)
        inner = np.cumsum(np.diff(inner, prepend=inner[:1]) > 0)
    last = np.flatnonzero(np.diff(inner, append=inner[-1] + 1))
    names = _spans([float(cells.edges[place]) for place in last[:-1]])
    group = np.array([*inner.tolist(), len(names), len(names) + 1], dtype=np.int64)
    return group, [*names, "missing", "no number"]


def _spans(edges: list[float]) -> list[str]:
    """Name the bins of numbers; a number is in the first bin whose upper edge it does not exceed.

    Two edges with no number between them hold a single value.
    """
    if not edges:
        return ["any number"]
    said = _written(edges)
    single = [nextafter(high, -inf) == low for low, high in pairwise(edges)]
    names = [f"below {said[1]}" if single[:1] == [True] else f"up to {said[0]}"]
    for place, (low, high) in enumerate(pairwise(said)):
        ends_below = single[place + 1 : place + 2] == [True]
        names.append(high if single[place] else f"{low} to {'below ' * ends_below}{high}")
    return [*names, f"above {said[-1]}"]


def _written(edges: list[float]) -> list[str]:
    """Write edges as short as they can be told apart, but for those with no number between."""
    apart = len({nextafter(edge, inf) if nextafter(edge, inf) in edges else edge
                 for edge in edges})  # fmt: skip
    said: list[str] = []
    for digits in range(4, 16):
        said = [f"{edge:.{digits}g}" for edge in edges]
        if len(set(said)) >= apart:
            break
    return [f"{float(text):,.0f}" if abs(float(text)) >= 1000 and float(text).is_integer() else text
            for text in said]  # fmt: skip


def _short(value: str) -> str:
    return value if len(value) <= WIDEST else f"{value[: WIDEST - 1]}…"
