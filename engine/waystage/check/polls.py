"""Polls that nothing ends but the answer that is hoped for.

- W-POLL-ENDLESS: steps or measurements and a timer of less than an hour go round, and neither
  a deadline nor a signal nor a person nor a count leads out.

Why it hurts: what is asked for may never come, and the run asks for years without anybody
being told. To mend it, put the loop into a state with a timer or a signal that leads out, or
let one step wait by itself, under its `deadline`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from waystage.check.cron import read_cron
from waystage.check.flow import END, Raised
from waystage.check.graph import circle, reachable, reverse
from waystage.check.places import YamlPath
from waystage.check.subject import Subject
from waystage.errors import Problem
from waystage.expressions import BadExpression, compile_expression
from waystage.spec.lifecycle import Arrow, Timer

SHORT = timedelta(hours=1)
OFTEN = 2  # so many times an hour of a cron line are a poll


def check(subject: Subject) -> Iterator[Problem]:
    """Follow the arrows that need nobody and little time."""
    if subject.skeleton.nowhere:
        return
    polls = {leaf: set(_followed(subject, leaf)) for leaf in subject.flow.leaves}
    turned, seen, told = reverse(polls), set[str](), set[YamlPath]()
    for leaf in subject.flow.leaves:
        if leaf in seen or not (way := circle(polls, leaf)):
            continue
        loop = reachable(polls, [leaf]) & reachable(turned, [leaf])
        seen |= loop
        place = subject.skeleton.places[leaf]
        if place.path in told or not any(_ticks(subject, each, loop) for each in way):
            continue
        told.add(place.path)
        if any(subject.skeleton.definition.nodes[each].activity in ("steps", "verify")
               for each in loop) and not _ends(subject, loop):  # fmt: skip
            text = f"{' → '.join([*way, leaf])} polls, and nothing but its own answer ends it"
            hint = "put it into a state with a timer or a signal that leads out"
            yield subject.problem("W-POLL-ENDLESS", place.path, text, hint)


def _followed(subject: Subject, leaf: str) -> Iterator[str]:
    short = {each.event for each in _timers(subject, leaf)}
    for edge in subject.flow.edges[leaf]:
        if edge.target != END and (edge.quick or edge.event in short):
            yield edge.target


def _timers(subject: Subject, leaf: str) -> Iterator[Raised]:
    """Give the short timers of a leaf itself."""
    nodes = subject.skeleton.definition.nodes
    for raised in subject.flow.raised_at(leaf):
        own = raised.kind == "timer" and raised.owner == leaf
        if own and _is_short(nodes[leaf].spec.timers[raised.event]):
            yield raised


def _is_short(timer: Timer) -> bool:
    if timer.cron is not None:
        try:
            return len(read_cron(timer.cron).minutes) >= OFTEN
        except ValueError:
            return False  # told by the check of timers
    length = timer.after if timer.after is not None else timer.every
    return length is not None and timedelta() < length < SHORT


def _ticks(subject: Subject, leaf: str, loop: set[str]) -> bool:
    flow = subject.flow
    targets = (t for raised in _timers(subject, leaf) for t in flow.targets(raised))
    return any(flow.definition.leaf_of(target) in loop for target in targets)


def _ends(subject: Subject, loop: set[str]) -> bool:
    """Whether a signal, a deadline around the loop, a count or the date leads out."""
    around = _around(subject, loop)
    for leaf in loop:
        for raised in subject.flow.raised_at(leaf):
            deadline = raised.kind == "timer" and raised.owner in around
            if (raised.kind == "signal" or deadline) and _leaves(subject, raised, loop):
                return True
    arrows = [arrow for leaf in loop for arrow in _arrows(subject, leaf)]
    written = {("data", name) for arrow in arrows for name in arrow.set}
    return any(_counts(arrow, written) for arrow in arrows)


def _around(subject: Subject, loop: set[str]) -> set[str]:
    """Give the states that hold the whole loop, whose timers go on while it goes round."""
    chain = subject.skeleton.definition.chain
    return set.intersection(*({node.path for node in chain(leaf)} - {leaf} for leaf in loop))


def _leaves(subject: Subject, raised: Raised, loop: set[str]) -> bool:
    flow = subject.flow
    return any(flow.definition.leaf_of(t) not in loop for t in flow.targets(raised))


def _arrows(subject: Subject, leaf: str) -> Iterator[Arrow]:
    for arrows in subject.skeleton.definition.nodes[leaf].spec.next.values():
        yield from arrows


def _counts(arrow: Arrow, written: set[tuple[str, str]]) -> bool:
    if arrow.if_ is None:
        return False
    try:
        read = compile_expression(arrow.if_).references
    except BadExpression:
        return True  # told by the check of expressions
    return any(path[:2] in written or path[0] == "now" for path in read)
