"""The profile of a column: its cells, frozen once, and how many values lie in each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from waystage.plugin import JsonObject
from waystage_plugins.monitors.columns import SCORE

CHUNK = 10_000  # rows in memory at once
SAMPLE = 50_000  # values that the edges of cells come from; of fewer rows, all
CATEGORIES = 50  # of a column that are told apart; the rarer ones are one cell
LARGEST = 1e150  # number that is counted: squares and sums of such are finite
LONGEST = 200  # characters of a category that are told apart

Row = tuple[object, Mapping[str, object]]  # score and inputs
Floats = NDArray[np.float64]


@dataclass
class Cells:
    """One column: numbers by edges, or categories by value; then `missing` and `unseen`.

    A number belongs to the first cell whose edge it does not exceed. Missing are null, absent,
    NaN, infinities and what is beyond ±`LARGEST`; unseen are categories that the baseline does
    not have, and in a column of numbers what is none. `outside` adds up how far numbers lie
    below and above all edges.
    """

    edges: Floats | None
    values: list[str]
    spread: float = 0.0
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    outside: Floats = field(default_factory=lambda: np.zeros(2))

    def __post_init__(self) -> None:
        if len(self.counts) == 0:
            size = len(self.values) + 1 if self.edges is None else len(self.edges) + 1
            self.counts = np.zeros(size + 2, np.int64)

    @property
    def numeric(self) -> bool:
        """Whether the column holds numbers."""
        return self.edges is not None

    @property
    def seen(self) -> NDArray[np.int64]:
        """The counts without missing and unseen values."""
        return self.counts[:-2]

    def empty(self) -> Cells:
        """Give the same cells with nothing in them."""
        return Cells(self.edges, self.values, self.spread)

    def add(self, values: Sequence[object]) -> None:
        """Count more values."""
        if self.edges is None:
            self._add_categories(values)
        else:
            self._add_numbers(values, self.edges)

    def add_counted(self, scores: Sequence[tuple[float | None, int]]) -> None:
        """Count more numbers, given as (number or None, how many)."""
        assert self.edges is not None, "categories are counted one by one"
        missing = sum(rows for score, rows in scores if score is None)
        told = np.array([pair for pair in scores if pair[0] is not None], dtype=np.float64)
        numbers, rows = told.reshape(-1, 2).T
        usable = np.abs(numbers) <= LARGEST
        missing += int(rows[~usable].sum())
        numbers, rows = numbers[usable], rows[usable]
        cells = np.searchsorted(self.edges, numbers, side="left")
        # sums of float64 are exact here: counts stay far below 2^53
        found = np.bincount(cells, weights=rows, minlength=len(self.edges) + 1)
        self.counts[:-2] += found.astype(np.int64)
        self.counts[-2] += missing
        if len(self.edges):
            below, above = self.edges[0] - numbers, numbers - self.edges[-1]
            apart = [(far * rows)[far > 0].sum() for far in (below, above)]
            self.outside += apart

    def _add_numbers(self, values: Sequence[object], edges: Floats) -> None:
        numbers, missing, unseen = numbers_of(values)
        cells = np.searchsorted(edges, numbers, side="left")
        self.counts[:-2] += np.bincount(cells, minlength=len(edges) + 1)
        self.counts[-2:] += [missing, unseen]
        if len(edges):
            below, above = edges[0] - numbers, numbers - edges[-1]
            self.outside += [below[below > 0].sum(), above[above > 0].sum()]

    def _add_categories(self, values: Sequence[object]) -> None:
        places = {value: place for place, value in enumerate(self.values)}
        last = len(self.counts) - 1
        for value, count in Counter(map(category, values)).items():
            place = last - 1 if value is None else places.get(value, last)
            self.counts[place] += count

    def to_json(self) -> JsonObject:
        """Give the cells as they are kept."""
        kept: JsonObject = {"counts": self.counts.tolist()}
        if self.edges is None:
            return kept | {"values": list(self.values)}
        return kept | {"edges": self.edges.tolist(), "spread": self.spread,
                       "outside": self.outside.tolist()}  # fmt: skip

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Cells:
        """Read back what was kept."""
        counts = np.array(kept["counts"], dtype=np.int64)
        if "values" in kept:
            return cls(None, list(kept["values"]), counts=counts)
        edges, outside = (np.array(kept[name], dtype=np.float64) for name in ("edges", "outside"))
        return cls(edges, [], float(kept["spread"]), counts, outside)


def numbers_of(values: Iterable[object]) -> tuple[Floats, int, int]:
    """Part values into numbers, how many are missing, and how many are no numbers.

    A number beyond ±`LARGEST` counts as missing, as infinities do.
    """
    found: list[Any] = []  # floats and integers
    missing = unseen = 0
    for value in values:
        kind = type(value)
        if kind is float or kind is int:
            found.append(value)
        elif value is None:
            missing += 1
        else:
            unseen += 1
    try:
        numbers = np.array(found, dtype=np.float64)
    except OverflowError:  # an integer beyond all floats
        kept = [value for value in found if not abs(value) > LARGEST]
        missing += len(found) - len(kept)
        numbers = np.array(kept, dtype=np.float64)
    usable = np.abs(numbers) <= LARGEST
    return numbers[usable], missing + int((~usable).sum()), unseen


def category(value: object) -> str | None:
    """Give a value as a category's name; None when it is missing."""
    if value is None or value != value:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # 3.0 and 3 are the same in JSON
    return (str(value).lower() if isinstance(value, bool) else str(value))[:LONGEST]


def edges_of(sample: Floats, cells: int) -> Floats:
    """Give the edges of cells with about as many values each.

    The first and the last cell have no end. A value that fills a whole cell gets one of its own,
    with an edge on either side of it, so that a constant column whose constant changes is seen.
    """
    if len(sample) == 0:
        return np.zeros(0)
    # in whole numbers, so that every value several times gives the same edges
    places = -(-len(sample) * np.arange(1, cells) // cells) - 1
    quantiles = np.sort(sample)[np.maximum(places, 0)]
    edges, times = np.unique(quantiles, return_counts=True)
    return np.unique(np.concatenate([edges, np.nextafter(edges[times > 1], -np.inf)]))


class Sample:
    """A random sample of a column's values, the same for the same values in the same order."""

    def __init__(self, seed: int = 0) -> None:
        self._random = np.random.default_rng(seed)
        self._values, self._keys = np.zeros(0), np.zeros(0)

    def add(self, values: Floats) -> None:
        """Offer more values: those with the lowest random keys stay."""
        both = np.concatenate([self._values, values])
        keys = np.concatenate([self._keys, self._random.random(len(values))])
        if len(both) > SAMPLE:
            kept = np.argpartition(keys, SAMPLE)[:SAMPLE]
            both, keys = both[kept], keys[kept]
        self._values, self._keys = both, keys

    @property
    def values(self) -> Floats:
        """The sample so far."""
        return self._values


def chunks(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Give rows in lists of at most `CHUNK`."""
    source = iter(rows)
    while chunk := list(islice(source, CHUNK)):
        yield chunk


def column_of(chunk: Sequence[Row], name: str) -> list[object]:
    """Give one column of the rows; `SCORE` is the score."""
    if name == SCORE:
        return [score for score, _ in chunk]
    return [inputs.get(name) for _, inputs in chunk]


def shape(rows: Iterable[Row], kinds: Mapping[str, str], cells: int) -> dict[str, Cells]:
    """Choose the cells of every column: quantiles of a sample, or the commonest categories."""
    samples = {name: Sample() for name, kind in kinds.items() if kind == "number"}
    counted = {name: Counter[str]() for name, kind in kinds.items() if kind != "number"}
    for chunk in chunks(rows):
        for name, sample in samples.items():
            sample.add(numbers_of(column_of(chunk, name))[0])
        for name, counter in counted.items():
            counter.update(c for c in map(category, column_of(chunk, name)) if c is not None)
            if len(counter) > 100 * CATEGORIES:  # an id, say: the rare ones are let go
                counted[name] = Counter(dict(counter.most_common(50 * CATEGORIES)))
    found: dict[str, Cells] = {}
    for name in kinds:
        if name in samples:
            values = samples[name].values
            spread = float(values.std()) if len(values) else 0.0
            found[name] = Cells(edges_of(values, cells), [], spread)
        else:
            # the commonest; of equally common ones the first by name, whatever came first
            ranked = sorted(counted[name].items(), key=lambda item: (-item[1], item[0]))
            found[name] = Cells(None, [value for value, _ in ranked[:CATEGORIES]])
    return found


def fill_scores(cells: Cells, scores: Iterable[tuple[float | None, int]]) -> int:
    """Count scores that come as (score or None, rows) into the cells; answers how many rows."""
    total, source = 0, iter(scores)
    while chunk := list(islice(source, CHUNK)):
        total += sum(rows for _, rows in chunk)
        cells.add_counted(chunk)
    return total


def fill(cells: Mapping[str, Cells], rows: Iterable[Row]) -> int:
    """Count the rows into the cells of all columns; answers how many rows there were."""
    total = 0
    for chunk in chunks(rows):
        total += len(chunk)
        for name, each in cells.items():
            each.add(column_of(chunk, name))
    return total
