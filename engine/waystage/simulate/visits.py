"""Which states an event led through, read from what the kernel recorded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from waystage.kernel import Definition
from waystage.kernel.commands import Record
from waystage.kernel.definition import ROOT


def visited(definition: Definition, records: Iterable[Record]) -> list[str]:
    """Give the states that were entered, in order, those around a state before it."""
    found: list[str] = []
    for record in records:
        if record.what == "started":
            found += _below(definition, ROOT)
        elif record.what == "moved":
            found += _moved(definition, record.state, record.detail)
    return found


def _moved(definition: Definition, leaf: str, target: str) -> Iterator[str]:
    rest = definition.leaf_of(target)
    before, after = definition.lineage(leaf), definition.lineage(rest)
    start = 0
    while start < min(len(before), len(after)) and before[start] == after[start] != target:
        start += 1
    yield from after[start:]
    yield from _inside(definition, rest)


def _inside(definition: Definition, leaf: str) -> Iterator[str]:
    for branch in definition.nodes[leaf].branches:
        yield from _below(definition, branch)


def _below(definition: Definition, region: str) -> Iterator[str]:
    leaf = definition.leaf_of(definition.region_initial[region])
    yield from definition.lineage(leaf)
    yield from _inside(definition, leaf)
