"""What the suites came to: tables for people, numbers that may not shrink, a page of the docs."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import cel_cases
from judging import CANNOT, DIFFERS, FAILED, KINDS, PASSED, Tally, Verdict, judge_all
from suites import COMMAND, SUITES, NotThere

from waystage.expressions import BadExpression, compile_expression

if TYPE_CHECKING:
    from rich.console import Console

CEL = "cel"
RECORDED = Path(__file__).with_name("recorded.json")
PAGE = Path(__file__).parents[2] / "docs" / "conformance.md"
BEGIN, END = "<!-- numbers: begin -->\n", "<!-- numbers: end -->"
OUTSIDE = {  # what the compiler says of an expression: why it is outside of the subset
    "unsigned": "unsigned numbers",
    "there is no function": "functions beyond the subset (extensions, bit operations, types)",
    "not part of this language": "messages of protocol buffers, and types as values",
}


def tallies() -> dict[str, Tally]:
    """Judge all cases; raises `NotThere` if a suite has not been fetched."""
    found = {suite.key: judge_all(suite.title, suite.cases()) for suite in SUITES}
    return {**found, CEL: cel_tally()}


def cel_tally() -> Tally:
    """Judge CEL's cases; raises `NotThere` if they have not been fetched."""
    archive = cel_cases.archive()
    if archive is None:
        raise NotThere(f"CEL's cases are not there; get them with: {COMMAND}")
    with tempfile.TemporaryDirectory() as place:
        folder = cel_cases.extracted(archive, Path(place))
        subjects = sorted(path.stem for path in folder.glob("*.feature"))
        verdicts = [_cel(case) for subject in subjects for case in cel_cases.cases(folder, subject)]
    return Tally("CEL: expressions", verdicts)


def _cel(case: cel_cases.Case) -> Verdict:
    if not cel_cases.readable(case):
        return Verdict(case.name, CANNOT, "values that JSON does not have, or containers of names")
    try:
        compile_expression(case.expression, names=case.bindings)
    except BadExpression as error:
        reasons = (why for said, why in OUTSIDE.items() if said in str(error))
        return Verdict(case.name, CANNOT, next(reasons, "other words beyond the subset"))
    found = cel_cases.outcome(case)
    if found is cel_cases.UNREADABLE:
        return Verdict(case.name, CANNOT, "maps whose keys are not strings")
    if cel_cases.agrees(case, found) is (case.name not in cel_cases.DIFFERENT):
        reason = cel_cases.DIFFERENT.get(case.name, "")
        return Verdict(case.name, DIFFERS if reason else PASSED, reason)
    return Verdict(case.name, FAILED, f"{case.expression} gave {found!r}")


def shrunk(found: dict[str, Tally]) -> list[str]:
    """Say which suites have fewer passed cases than were recorded."""
    recorded = json.loads(RECORDED.read_text())
    return [
        f"{tally.title}: {tally.count(PASSED)} passed, {recorded[key]} are recorded"
        for key, tally in found.items()
        if tally.count(PASSED) < recorded[key]
    ]


def show(found: dict[str, Tally], console: Console) -> None:
    """Print the numbers, the reasons, and what failed."""
    from rich.table import Table

    table = Table("Suite", *KINDS, title="Conformance")
    for tally in found.values():
        table.add_row(tally.title, *(str(tally.count(kind)) for kind in KINDS))
    console.print(table)
    for kind in (CANNOT, DIFFERS):
        reasons = Table("Reason", *found, title=kind.capitalize(), title_justify="left")
        for reason, counts in _reasons(found, kind):
            reasons.add_row(reason, *(str(count or "") for count in counts))
        console.print(reasons)
    for tally in found.values():
        for verdict in tally.failures():
            console.print(f"FAILED {tally.title}: {verdict.name}: {verdict.reason}", style="red")


def _reasons(found: dict[str, Tally], kind: str) -> Iterator[tuple[str, list[int]]]:
    counted = {key: tally.reasons(kind) for key, tally in found.items()}
    every = {reason: [counts[reason] for counts in counted.values()]
             for counts in counted.values() for reason in counts}  # fmt: skip
    yield from sorted(every.items(), key=lambda each: (-sum(each[1]), each[0]))


def write(found: dict[str, Tally]) -> None:
    """Record the numbers, and put the tables into the page of the docs."""
    numbers = {key: tally.count(PASSED) for key, tally in found.items()}
    RECORDED.write_text(json.dumps(numbers, indent=2) + "\n")
    text = PAGE.read_text()
    today = f"Written on {datetime.now(UTC):%Y-%m-%d} by `make conformance`.\n\n"
    start, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    PAGE.write_text(text[:start] + today + "".join(_markdown(found)) + text[end:])


def told_on_page() -> dict[str, list[int]]:
    """Give the numbers that the page of the docs has, by the title of their suite."""
    rows = re.findall(r"^\| ([^|]+) ((?:\| \d+ ){5})\|$", PAGE.read_text(), re.MULTILINE)
    return {title: [int(number) for number in re.findall(r"\d+", row)] for title, row in rows}


def row(tally: Tally) -> list[int]:
    """Give the numbers of a suite as the page has them: all cases, then by kind."""
    return [len(tally.verdicts), *(tally.count(kind) for kind in KINDS)]


def _markdown(found: dict[str, Tally]) -> Iterator[str]:
    yield f"| suite | cases | {' | '.join(KINDS)} |\n|---|{'---:|' * 5}\n"
    for tally in found.values():
        yield f"| {tally.title} | {' | '.join(str(n) for n in row(tally))} |\n"
    charts = {key: tally for key, tally in found.items() if key != CEL}
    for kind, head in ((CANNOT, "What cannot be said"), (DIFFERS, "What differs on purpose")):
        yield f"\n## {head}\n"
        for name, part in (("State charts", charts), ("Expressions", {CEL: found[CEL]})):
            yield f"\n{name}:\n\n| reason | cases |\n|---|---:|\n"
            for reason, counts in _reasons(part, kind):
                yield f"| {reason} | {sum(counts)} |\n"
