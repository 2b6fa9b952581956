"""Severities that are the wrong way round: `warn` beyond `breach`, success that alarms."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import pairwise
from operator import eq, ge, gt, le, lt, ne

from waystage.bpmn import juel
from waystage.bpmn.graph import Graph
from waystage.bpmn.model import Flow, Node
from waystage.bpmn.report import Report
from waystage.bpmn.variables import Variables, valued

RANKS: tuple[tuple[int, frozenset[str]], ...] = (
    (2, frozenset({"critical", "breach", "error", "severe", "red", "alarm", "high", "fatal"})),
    (1, frozenset({"warn", "warning", "warned", "amber", "yellow", "medium"})),
    (0, frozenset({"ok", "info", "normal", "healthy", "green", "none", "low", "success"})),
)
GOOD = frozenset({"live", "deployed", "success", "succeeded", "passed", "approved", "promoted",
                  "completed", "released"})  # fmt: skip
BAD = frozenset({"fail", "failed", "failure", "error", "rejected", "refused", "breach", "rollback",
                 "decay", "decayed", "degraded", "below", "broken"})  # fmt: skip
FIELDS = ("severity", "level", "priority", "alertlevel", "severitylevel")
COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": lt, "<=": le, ">": gt, ">=": ge, "==": eq, "!=": ne,
}  # fmt: skip
_SIDE = r"([^\W\d]\w*|-?\d+(?:\.\d+)?)"
_PART = re.compile(rf"{_SIDE}\s*(==|!=|<=|>=|<|>)\s*{_SIDE}")


def severities(graph: Graph, variables: Variables, report: Report) -> None:
    """Write choices by severity that are the wrong way round to the report."""
    for node in graph.nodes.values():
        if graph.splits(node):
            _of_gateway(node, graph, variables, report)


def rank_of(text: str) -> int | None:
    """Give how bad a text says that something is: 0 fine, 1 a warning, 2 a breach."""
    words = _words(text)
    return next((rank for rank, known in RANKS if words & known), None)


def _words(text: str) -> set[str]:
    plain = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", text)
    return set(re.findall(r"[a-z]+", plain.lower()))


def _of_gateway(node: Node, graph: Graph, variables: Variables, report: Report) -> None:
    """Look along the values of the one variable: how bad they are must rise in one direction."""
    flows = [f for f in graph.out[node.id] if f.element.id != node.default]
    tests = [_tests(flow, variables) for flow in flows]
    names = {name for test in tests for name, _, _ in test or ()}
    if len(names) != 1 or not all(tests):
        return
    ranks = [_rank(flow, graph) for flow in flows]
    limits = sorted({limit for test in tests for _, _, limit in test or ()})
    points = [limits[0] - 1, *((a + b) / 2 for a, b in pairwise(limits)), limits[-1] + 1]
    taken = [
        next((n for n, test in enumerate(tests)
              if test and all(COMPARE[sign](at, limit) for _, sign, limit in test)), -1)
        for at in points
    ]  # fmt: skip
    along = [ranks[n] if n >= 0 else 0 for n in taken]
    said = [rank for rank in along if rank is not None]
    hidden = [n for n, rank in enumerate(ranks) if rank == 1 and n not in taken]
    rising = all(a <= b for a, b in pairwise(said)) or all(a >= b for a, b in pairwise(said))
    if (not rising) or (hidden and 2 in said):
        name = names.pop()
        shown = ", ".join(f"{('fine', 'warning', 'breach')[r]}" for r in dict.fromkeys(said))
        text = f"{node.element}: the severities are swapped: with rising {name!r} come {shown}"
        if hidden:
            text += "; the warning never comes, since the breach takes all of its values"
        report.wrong(node.element, "W-BPMN-SEVERITY", text, "a breach lies beyond its warning")


def _tests(flow: Flow, variables: Variables) -> list[tuple[str, str, float]] | None:
    """Give the comparisons with numbers that a condition joins by `and`; None if it is another."""
    text = juel.bare(flow.condition).replace(" and ", " && ")
    found: list[tuple[str, str, float]] = []
    for piece in text.split("&&"):
        match = _PART.fullmatch(piece.strip(" ()"))
        if match is None:
            return None
        left, right = _number(match[1], variables), _number(match[3], variables)
        if left is None and right is not None:
            found.append((match[1], match[2], right))
        elif right is None and left is not None:
            turned = match[2].translate(str.maketrans("<>", "><"))
            found.append((match[3], turned, left))
        else:
            return None
    return found


def _number(text: str, variables: Variables) -> float | None:
    """Give the number that a word is, or that a data object which nothing writes holds."""
    declared = variables.objects.get(text)
    if declared is not None and not variables.writers.get(text):
        text = declared.value
    number = valued(text, "number") if text else None
    return number if isinstance(number, float) else None


def _rank(flow: Flow, graph: Graph) -> int | None:
    target = graph.nodes[flow.target]
    said = [each.value for each in target.inputs if each.name.lower() in FIELDS]
    ranks = [rank_of(text) for text in (*said, flow.element.name, target.element.name)]
    return next((rank for rank in ranks if rank is not None), None)


def message_severities(nodes: Iterable[Node], report: Report) -> None:
    """Hold the severity of each message against what it is about."""
    loud: list[Node] = []
    quiet: list[Node] = []
    for node in nodes:
        for each in node.inputs:
            if each.name.lower() not in FIELDS:
                continue
            rank, words = rank_of(each.value), _words(node.element.name)
            if rank == 2 and words & GOOD and not words & BAD:
                loud.append(node)
            elif rank == 0 and words & BAD and not words & GOOD:
                quiet.append(node)
    for node in (*loud, *quiet):
        other = next(iter(quiet if node in loud else loud), None)
        told = "good news with the severity of a failure" if node in loud else (
            "a failure with the severity of good news"
        )  # fmt: skip
        text = f"{node.element} tells {told}"
        if other is not None:
            text += f", and {other.element} (line {other.element.spot.line}) the reverse: "
            text += "the pair is swapped"
        report.wrong(node.element, "W-BPMN-SEVERITY", text, "exchange the two severities")
        if other is not None:
            return
