"""How long it can take at most from a breach until something is taken back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from waystage.check.flow import END, Flow, Raised
from waystage.kernel import Node
from waystage.kernel.work import MONITOR_RETRY
from waystage.plugin import Plugin
from waystage.retry import RetryPolicy
from waystage.spec.values import format_duration

CALL = timedelta(hours=1)  # what the daemon gives a call that says no timeout
ZERO = timedelta()


@dataclass(frozen=True, slots=True)
class Back:
    """The longest way from a breach to a step that takes something back; None has no bound."""

    state: str
    most: timedelta | None
    why: str = ""


class _Unbounded(Exception):  # it ends a search, it is no error
    """A way that may last for ever; the text says why."""


class Longest:
    """Follows every way on, taking the longest time at each."""

    def __init__(self, flow: Flow, catalog: Mapping[str, type[Plugin]]) -> None:
        self._flow, self._catalog = flow, catalog
        self._known: dict[str, timedelta] = {}

    def backs(self) -> Iterator[Back]:
        """Give the way back from every state whose monitors may breach."""
        for leaf in self._flow.leaves:
            if self._flow.definition.nodes[leaf].spec.verify:
                breach = Raised(leaf, leaf, "breach", "work")
                try:
                    most = self._after([breach], (leaf,))
                except _Unbounded as error:
                    yield Back(leaf, None, str(error))
                else:
                    yield Back(leaf, most)

    def _after(self, events: list[Raised], way: tuple[str, ...]) -> timedelta:
        leaf_of = self._flow.definition.leaf_of
        targets = {leaf_of(t) for raised in events for t in self._flow.targets(raised)}
        if not targets:
            raise _Unbounded(f"nothing leads on from {way[-1]}")
        return max(self._from(target, way) for target in sorted(targets))

    def _from(self, leaf: str, way: tuple[str, ...]) -> timedelta:
        node = self._flow.definition.nodes[leaf]
        if self._takes_back(node):
            return ZERO
        if leaf in way:
            raise _Unbounded(f"it comes back to {leaf} and has taken nothing back")
        if leaf not in self._known:
            self._known[leaf] = self._stay(node) + self._on(node, (*way, leaf))
        return self._known[leaf]

    def _on(self, node: Node, way: tuple[str, ...]) -> timedelta:
        if any(edge.target == END for edge in self._flow.edges[node.path]):
            raise _Unbounded(f"the run ends in {node.path} and has taken nothing back")
        events = [raised for raised in self._flow.raised_at(node.path) if raised.kind != "signal"]
        own = [raised for raised in events if raised.owner == node.path]
        return self._after([e for e in own if self._flow.targets(e)], way)

    def _takes_back(self, node: Node) -> bool:
        return any(getattr(self._catalog.get(work.spec.use), "changes", "") == "back"
                   for work in node.works)  # fmt: skip

    def _stay(self, node: Node) -> timedelta:
        spec = node.spec
        if node.works:
            return sum((_tries(w.spec.retry.policy(), w.spec.timeout, w.spec.deadline)
                        for w in node.works), ZERO)  # fmt: skip
        if spec.verify:
            return _tries(MONITOR_RETRY, None, None) * len(spec.verify)
        if spec.task:
            ends = spec.task.on_timeout not in (None, "escalate")
            if spec.task.due is None or not ends:
                raise _Unbounded(f"{node.path} waits for a person")
            return spec.task.due
        if node.activity == "final":
            return ZERO
        if node.activity != "wait":
            raise _Unbounded(f"{node.path} waits for {node.activity}")
        return _waits(node)


def _waits(node: Node) -> timedelta:
    delays = [timer.after or timer.every for timer in node.spec.timers.values()]
    known = [delay for delay in delays if delay is not None]
    if not known:
        what = "a date or a cron line" if delays else "a signal"
        raise _Unbounded(f"{node.path} waits for {what}")
    return min(known)


def _tries(policy: RetryPolicy, timeout: timedelta | None, deadline: timedelta | None) -> timedelta:
    """Give the longest time of one call with all its tries."""
    waits = sum(
        (min(policy.first * policy.factor**n, policy.cap) for n in range(policy.tries - 1)), ZERO
    )
    if policy.budget is not None:
        waits = min(waits, policy.budget)
    whole = (timeout or CALL) * policy.tries + waits
    return whole if deadline is None else min(whole, deadline)


def said(span: timedelta | None) -> str:
    """Write a time; None is no bound."""
    return "no bound" if span is None else format_duration(span)
