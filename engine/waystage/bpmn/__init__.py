"""Import of BPMN 2.0 processes, as SAS Workflow Manager and ModelOp Center write them.

Nothing of a process is ever run. What comes of it is YAML that loads and that `validate` judges,
and an account of every element: mapped, needs a hand, or left out with the reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from waystage.bpmn.document import document
from waystage.bpmn.mapping import Mapping, read_mapping
from waystage.bpmn.model import Element
from waystage.bpmn.read import read_process
from waystage.bpmn.report import Entry, Finding, Report
from waystage.errors import Invalid, Problem
from waystage.spec.lifecycle import Lifecycle
from waystage.spec.load import Loaded, parse_lifecycle

NOTHING = Mapping()
TOO_MUCH = {"E-YAML-DEPTH", "E-YAML-SIZE"}
# told by the account already: what stands in the YAML until a hand has come
HELD_OPEN = ("unmapped.", "by_hand_", "by hand")


@dataclass(frozen=True)
class Imported:
    """A lifecycle that was made of a process, and the account of how."""

    id: str
    text: str
    report: Report
    loaded: Loaded[Lifecycle]

    @property
    def fine(self) -> bool:
        """Whether nothing needs a hand and nothing was wrong."""
        return not (self.report.counts["hand"] or self.report.findings)


def import_bpmn(
    content: bytes, file: str, *, process: str = "", mapping: Mapping = NOTHING,
    services: Sequence[str] = (),
) -> Imported:  # fmt: skip
    """Make a lifecycle of a process; raises `Invalid` with places where that cannot be.

    `process` is the id of the one that is meant where a file has several.
    """
    found = read_process(content, file, process)
    name, text, report = document(found, file, mapping, tuple(services))
    try:
        loaded = parse_lifecycle(text, f"{name}.yaml")
    except Invalid as error:
        if not {problem.code for problem in error.problems} <= TOO_MUCH:
            raise RuntimeError(f"the imported lifecycle does not load: {error}") from error
        spot = found.element.spot
        what = "is too big for one lifecycle"
        hint = "move sub-processes into processes of their own and call them"
        problem = Problem("E-BPMN-SIZE", what, file, spot.line, spot.column, suggestion=hint)
        raise Invalid([problem]) from None
    return Imported(name, text, report, loaded)


def judge(imported: Imported, problems: Iterable[Problem]) -> int:
    """Lead what `validate` says of the lifecycle back to the elements of the process.

    Gives how many problems only say again that a hand is needed, and are not kept.
    """
    again = 0
    for problem in problems:
        element = imported.report.origin(_path(problem.path))
        unmapped = element is not None and element.id in imported.report.unmapped
        refusal = (
            unmapped and problem.code == "E-EVENT-UNHANDLED" and "'refused'" in problem.message
        )
        if refusal or any(word in problem.message for word in HELD_OPEN):
            again += 1
            continue
        yaml = f"{problem.line}:{problem.column} {problem.path}"
        line, column = (element.spot.line, element.spot.column) if element else (0, 0)
        imported.report.findings.append(
            Finding(
                line, column, str(element or ""), problem.code, problem.message,
                problem.suggestion, yaml, problem.severity == "error",
            )
        )  # fmt: skip
    return again


def _path(text: str) -> tuple[str | int, ...]:
    """Read a path as problems write it; the names of events may have dots."""
    parts = text.replace("[", ".[").split(".")
    return tuple(int(p[1:-1]) if p.startswith("[") and p[1:-1].isdigit() else p for p in parts)


__all__ = [
    "Element", "Entry", "Finding", "Imported", "Mapping", "Report", "import_bpmn", "judge",
    "read_mapping",
]  # fmt: skip
