"""Walking graphs: what can be reached, and what goes in circles."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping


def reachable(edges: Mapping[str, Iterable[str]], start: Iterable[str]) -> set[str]:
    """Give all that can be reached, the start included."""
    found: set[str] = set()
    todo = list(start)
    while todo:
        each = todo.pop()
        if each not in found:
            found.add(each)
            todo.extend(edges.get(each, ()))
    return found


def reverse(edges: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    """Turn every edge around."""
    turned: dict[str, list[str]] = {}
    for source, targets in edges.items():
        for target in targets:
            turned.setdefault(target, []).append(source)
    return turned


def circle(edges: Mapping[str, Iterable[str]], start: str) -> list[str]:
    """Give a shortest way from a node back to itself, without its end; empty if there is none."""
    came: dict[str, str] = {}
    todo = [start]
    for each in todo:
        for target in edges.get(each, ()):
            if target == start:
                return _way(came, each, start)
            if target not in came:
                came[target] = each
                todo.append(target)
    return []


def _way(came: Mapping[str, str], last: str, start: str) -> list[str]:
    way = [last]
    while way[-1] != start:
        way.append(came[way[-1]])
    return way[::-1]


def circles(edges: Mapping[str, Collection[str]], nodes: Iterable[str]) -> list[list[str]]:
    """Give one circle for each group of nodes that lead to each other, in the order given."""
    found: list[list[str]] = []
    seen: set[str] = set()
    for node in nodes:
        if node in seen:
            continue
        if way := circle(edges, node):
            found.append(way)
            seen |= reachable(edges, [node]) & reachable(reverse(edges), [node])
    return found
