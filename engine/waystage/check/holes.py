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

from collections.abc import Iterator

from waystage.check.cells import Cells
from waystage.check.places import YamlPath
from waystage.check.subject import Subject
from waystage.errors import Problem
from waystage.expressions import BadExpression, Scope, compile_expression
from waystage.expressions.ast import Node
from waystage.expressions.checker import Checker
from waystage.spec.lifecycle import Arrow


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
    table = list(cells.truth.values())
    for number in range(len(table[0])):
        yield from _dead(subject, (*path, number, "if"), table, number)
    holes = list(cells.points_left_out())
    for variable, value in holes:
        at = variable.name if variable.kind == "order" else f"{variable.name} is {value:g}"
        text = f"where {at}, no guard holds, though guards take what lies on both sides"
        yield subject.problem("W-GUARD-HOLE", path, text, "write <= or >= on one side")
    yield from _overlaps(subject, path, cells, table)
    if arrows > len(table[0]) and all(any(row) for row in table):
        last = (*path, len(table[0]))
        text = "this entry is never tried: the guards before it take every value"
        hint = "take it away, and the if: of the entry before"
        yield subject.problem("W-GUARD-COVERED", last, text, hint)


def _dead(
    subject: Subject, path: YamlPath, table: list[tuple[bool, ...]], number: int
) -> Iterator[Problem]:
    holding = [row for row in table if row[number]]
    if not holding:
        yield subject.problem("E-GUARD-NEVER", path, "this guard can never hold")
    elif all(any(row[:number]) for row in holding):
        before = [n + 1 for n in range(number) if any(row[n] for row in holding)]
        text = f"wherever this guard holds, entry {_either(before)} was taken before"
        yield subject.problem("E-GUARD-SHADOWED", path, text, "put the narrower guard first")


def _either(numbers: list[int]) -> str:
    return " or ".join(str(number) for number in numbers)


def _overlaps(
    subject: Subject, path: YamlPath, cells: Cells, table: list[tuple[bool, ...]]
) -> Iterator[Problem]:
    if [variable.kind for variable in cells.variables.values()] != ["number"]:
        return
    for second in range(1, len(table[0])):
        for first in range(second):
            pairs = {(row[first], row[second]) for row in table}
            free = {(row[first], row[second]) for row in table if not any(row[:first])}
            if {(True, True), (True, False), (False, True)} <= pairs and (True, True) in free:
                text = f"entries {first + 1} and {second + 1} both hold for some values"
                hint = "let one end where the other begins"
                yield subject.problem("W-GUARD-OVERLAP", (*path, second, "if"), text, hint)
