"""Every mistake of the list is found at its line and in its words, and is gone when mended."""

from __future__ import annotations

import inspect
import re
from collections import Counter
from pathlib import Path

import pytest
from check_cases import CATALOG, PROJECT, Case, Shift, cases
from pydantic import Field

from waystage.check import check_lifecycle, check_project
from waystage.check.explain import explained, modules
from waystage.registry import load_catalog
from waystage.spec.load import load_project, parse_lifecycle

CODE = re.compile(r"\"([EW]-[A-Z][A-Z0-9-]+)\"")
ALL = cases()
LOAN = (PROJECT / "lifecycles" / "loan.yaml").read_text()


def named(case: Case) -> str:
    return f"{case.code}-{case.title.replace(' ', '-')}"


@pytest.mark.parametrize("case", ALL, ids=named)
def test_a_mistake_is_found_at_its_line_and_said_in_its_words(case: Case, tmp_path: Path) -> None:
    found = case.problems(tmp_path)
    shown = "\n".join(f"{problem} [{problem.code}]" for problem in found)
    ours = [problem for problem in found if problem.code == case.code]
    assert case.place in [(problem.file, problem.line) for problem in ours], shown
    assert any(case.says in str(problem) and problem.column for problem in ours), shown
    assert {problem.code for problem in found} - {case.code} == set(case.also), shown
    assert {problem.severity[:1].upper() for problem in ours} == {case.code[:1]}


@pytest.mark.parametrize("case", ALL, ids=named)
def test_the_mended_file_has_no_problem(case: Case, tmp_path: Path) -> None:
    assert [f"{p} [{p.code}]" for p in case.problems(tmp_path, mended=True)] == []


def test_the_project_of_the_cases_is_sound() -> None:
    assert check_project(load_project(PROJECT), load_catalog()) == []


def test_every_code_of_every_check_has_a_case() -> None:
    shown = {(case.check, case.code) for case in ALL}
    listed = {(name, code) for name, module in modules().items() for code in explained(module)}
    assert listed - shown == set()
    assert shown - listed == set()


def test_no_check_raises_a_code_that_its_docstring_does_not_explain() -> None:
    for name, module in modules().items():
        raised = set(CODE.findall(inspect.getsource(module)))
        assert raised == explained(module).keys(), name


def test_no_case_is_there_twice() -> None:
    assert [title for title, n in Counter(map(named, ALL)).items() if n > 1] == []


def test_a_child_run_may_have_any_starter(tmp_path: Path) -> None:
    case = next(case for case in ALL if case.code == "E-FOUR-EYES")
    assert case.problems(tmp_path)
    parent = next(each for each in ALL if each.code == "E-LIFECYCLE-UNKNOWN")
    (tmp_path / parent.file).write_text(parent.mended)
    assert check_project(load_project(tmp_path), CATALOG) == []


def test_a_field_of_a_plugin_may_say_what_it_becomes() -> None:
    class Push(Shift):
        use = "registry.push"
        where: str = Field(json_schema_extra={"format": "image"})

    step = "steps: [{use: registry.push, with: {where: WHERE}}]"
    text = LOAN.replace('task: {title: "Approve?", for: [role:validator]}', step)
    text = text.replace("approve: closed, reject: closed", "done: closed, refused: closed")
    catalog = {**CATALOG, Push.use: Push}
    found = {
        where: [p.code for p in check_lifecycle(
            parse_lifecycle(text.replace("WHERE", f'"{where}"')), None, catalog)]
        for where in (
            "registry.example:5000/team/champion:1.2", "a@sha256:{{ snapshot.digest }}",
            "{{ params.x }}", "https://registry.example/champion", "Team/Champion", "a b", "-a",
        )
    }  # fmt: skip
    assert [where for where, codes in found.items() if "E-IMAGE" in codes] == [
        "https://registry.example/champion", "Team/Champion", "a b", "-a",
    ]  # fmt: skip
