"""Guards that never hold, hide behind others, overlap, or leave out one number.

- E-GUARD-NEVER: whatever the values, the guard is false.
- E-GUARD-SHADOWED: wherever the guard holds, one before it holds too.
- W-GUARD-HOLE: guards take the numbers on both sides of a limit and not the limit itself, as
  with `<` and `>` and no `=`.
- W-GUARD-OVERLAP: two guards on the same number hold for some values together, and neither is
  the narrower one, so that only their order decides.
- W-GUARD-COVERED: the guards take every value, and the last entry without `if` none.

Why it hurts: a model whose KS is exactly the limit goes where nobody meant it to go, or an
arrow that reviewers believe in is dead. To mend it, write `<=` or `>=` on one side; where the
guards cover everything, take the last `if` and the entry after it away.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import reduce
from operator import or_

from waystage.check.cells import Cells
from waystage.check.places import YamlPath
from waystage.check.subject import Subject
from waystage.errors import Problem
from waystage.expressions import BadExpression, Scope, compile_expression
from waystage.expressions.ast import Node
from waystage.expressions.checker import Checker
from waystage.spec.lifecycle import Arrow

SHOWN = 5  # entries that a message names


def check(subject: Subject) -> Iterator[Problem]:
    """Decide every list of guards that can be decided."""
    scope = subject.scope
    for place in subject.places:
        for event, arrows in place.spec.next.items():
            guards = _guards(arrows)
            if guards:
                cells = Cells(guards, lambda node: _is_whole(node, scope))
                yield from _problems(subject, place.at("next", event), cells, len(arrows))


def _guards(arrows: tuple[Arrow, ...]) -> list[Node]:
    """Give the guards in their order, up to the first entry without; none if one is unreadable."""
    texts: list[str] = []
    for arrow in arrows:
        if arrow.if_ is None:
            break
        texts.append(arrow.if_)
    try:
        return [compile_expression(text).ast for text in texts]
    except BadExpression:
        return []  # told by the check of expressions


def _is_whole(node: Node, scope: Scope) -> bool:
    return Checker(scope.names).type(node).kind == "int"


def _problems(subject: Subject, path: YamlPath, cells: Cells, arrows: int) -> Iterator[Problem]:
    if not cells.decided:
        return
    holding = cells.holding()
    yield from _dead(subject, path, holding)
    for variable, value in cells.points_left_out():
        at = variable.name if variable.kind == "order" else f"{variable.name} is {value:g}"
        text = f"where {at}, no guard holds, though guards take what lies on both sides"
        yield subject.problem("W-GUARD-HOLE", path, text, "write <= or >= on one side")
    if [variable.kind for variable in cells.variables.values()] == ["number"]:
        yield from _overlaps(subject, path, holding)
    if arrows > len(holding) and _any(holding).bit_count() == len(cells.truth):
        last = (*path, len(holding))
        text = "this entry is never tried: the guards before it take every value"
        hint = "take it away, and the if: of the entry before"
        yield subject.problem("W-GUARD-COVERED", last, text, hint)


def _any(sets: Iterable[int]) -> int:
    return reduce(or_, sets, 0)


def _dead(subject: Subject, path: YamlPath, holding: list[int]) -> Iterator[Problem]:
    taken = 0
    for number, own in enumerate(holding):
        at = (*path, number, "if")
        if not own:
            yield subject.problem("E-GUARD-NEVER", at, "this guard can never hold")
        elif not own & ~taken:
            before = [n + 1 for n in range(number) if holding[n] & own]
            text = f"wherever this guard holds, entry {_either(before)} was taken before"
            yield subject.problem("E-GUARD-SHADOWED", at, text, "put the narrower guard first")
        taken |= own


def _either(numbers: list[int]) -> str:
    shown = " or ".join(str(number) for number in numbers[:SHOWN])
    return f"{shown} or another" if len(numbers) > SHOWN else shown


def _overlaps(subject: Subject, path: YamlPath, holding: list[int]) -> Iterator[Problem]:
    """Tell for each guard the first before it that it overlaps with."""
    for second, own in enumerate(holding):
        taken = 0  # by the entries before the first one
        for first, other in enumerate(holding[:second]):
            both = own & other
            if both & ~taken and own & ~other and other & ~own:
                text = f"entries {first + 1} and {second + 1} both hold for some values"
                hint = "let one end where the other begins"
                yield subject.problem("W-GUARD-OVERLAP", (*path, second, "if"), text, hint)
                break
            taken |= other
