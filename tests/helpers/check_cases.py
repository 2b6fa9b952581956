"""The mistakes that `validate` finds, as data: what is wrong, where, what is said, the cure.

`tests/check/cases/<check>.yaml` lists those of one check; each is one file of the small project
in `tests/check/cases/project`. The tests hold the checks to them, the documentation shows them.
"""

from __future__ import annotations

import difflib
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import yaml

from waystage.check import check_project
from waystage.errors import Invalid, Problem
from waystage.plugin import Answer, Context, Done, Step
from waystage.registry import load_catalog
from waystage.spec.load import load_project

CASES = Path(__file__).parents[1] / "check" / "cases"
PROJECT = CASES / "project"


class Shift(Step):
    """Send a part of the requests to the new model; stands for a plugin of somebody's own.

    - use: canary.shift
    """

    use: ClassVar[str] = "canary.shift"
    needs_runtime: ClassVar[Literal["any", "online", "batch"] | None] = "online"
    needs_capabilities: ClassVar[frozenset[str]] = frozenset({"traffic_split"})

    def run(self, ctx: Context) -> Answer:
        """Say what would be done."""
        return Done({"stage": ctx.stage or ""})


CATALOG = {**load_catalog(), Shift.use: Shift}


@dataclass(frozen=True)
class Case:
    """One mistake: `at` is a part of the line that is told, `mend` says what to replace."""

    check: str
    code: str
    title: str
    wrong: str
    at: str
    says: str
    mend: dict[str, str]
    file: str = "lifecycles/loan.yaml"
    beside: dict[str, str] = field(default_factory=dict)
    told_in: str = ""  # the file that is told, if it is not the wrong one
    nth: int = 1
    note: str = ""  # what a reader must know beside the files
    also: tuple[str, ...] = ()  # codes of other checks that find the same mistake

    @property
    def place(self) -> tuple[str, int]:
        """The file and line that are told."""
        file = self.told_in or self.file
        text = self.wrong if file == self.file else self.beside[file]
        lines = [number for number, line in enumerate(text.splitlines(), 1) if self.at in line]
        return file, lines[self.nth - 1]

    @property
    def mended(self) -> str:
        """The file with the mistake mended."""
        text = self.wrong
        for old, new in self.mend.items():
            if old not in text:
                raise ValueError(f"{self.check}: {self.title}: there is no {old!r}")
            text = text.replace(old, new, 1)
        return text

    @property
    def diff(self) -> str:
        """What is changed, as a unified diff without its head."""
        lines = difflib.unified_diff(
            self.wrong.splitlines(), self.mended.splitlines(), lineterm="", n=2
        )
        return "\n".join(line for line in list(lines)[2:] if not line.startswith("@@"))

    def problems(self, directory: Path, *, mended: bool = False) -> list[Problem]:
        """Give what `validate` says of the project with this file in it."""
        shutil.copytree(PROJECT, directory, dirs_exist_ok=True)
        said = {**self.beside, self.file: self.mended if mended else self.wrong}
        for name, text in said.items():
            (directory / name).write_text(text)
        try:
            files = load_project(directory)
        except Invalid as error:
            return list(error.problems)
        return check_project(files, CATALOG)


def cases() -> list[Case]:
    """Give all cases, check by check."""
    return [
        _case(path.stem, said)
        for path in sorted(CASES.glob("*.yaml"))
        for said in yaml.safe_load(path.read_text())
    ]


def _case(check: str, said: dict[str, Any]) -> Case:
    return Case(check, **{**said, "also": tuple(said.get("also", ()))})
