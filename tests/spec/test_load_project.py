"""A project's directory is read as a whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from waystage.errors import Invalid
from waystage.spec.load import load_project, load_scenarios

LIFECYCLE = "lifecycle: {name}\nservices: a\ninitial: x\nstates: {{x: {{final: true}}}}\n"


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def found(root: Path) -> list[str]:
    with pytest.raises(Invalid) as caught:
        load_project(root)
    return [str(problem) for problem in caught.value.problems]


def test_a_project_is_loaded_with_its_stages_and_lifecycles(tmp_path: Path) -> None:
    files = {
        "waystage.yaml": "project: p\n",
        "stages/dev.yaml": "stage: DEV\n",
        "stages/more/prod.yaml": "stage: PROD\n",
        "lifecycles/a.yaml": LIFECYCLE.format(name="a"),
        "lifecycles/.draft.yaml": "broken: [",
        "lifecycles/README.md": "not read",
        "scenarios/a.yaml": "scenario: not read here\n",
    }
    project = load_project(write(tmp_path, files))
    assert project.root == tmp_path
    assert project.project.spec.project == "p"
    assert list(project.stages) == ["DEV", "PROD"]
    assert list(project.lifecycles) == ["a"]
    assert project.lifecycles["a"].source.file == "lifecycles/a.yaml"
    assert project.stages["PROD"].source.file == "stages/more/prod.yaml"


def test_a_project_needs_no_stages_or_lifecycles(tmp_path: Path) -> None:
    project = load_project(write(tmp_path, {"waystage.yaml": "project: p\n"}))
    assert (project.stages, project.lifecycles) == ({}, {})


def test_without_a_project_file_one_line_says_what_to_do(tmp_path: Path) -> None:
    (line,) = found(tmp_path)
    assert "\n" not in line
    assert "`waystage init` makes a project" in line


def test_the_problems_of_all_files_are_reported_at_once(tmp_path: Path) -> None:
    files = {
        "waystage.yaml": "project: p\nlisten: {port: 99999}\n",
        "stages/a.yaml": "stage: prod\n",
        "stages/b.yaml": "a: [\n",
        "lifecycles/a.yaml": "lifecycle: a\n",
    }
    lines = found(write(tmp_path, files))
    assert [line.split(": ")[0] for line in lines] == [
        "waystage.yaml:2:10",
        "stages/a.yaml:1:1",
        "stages/b.yaml:2:1",
        "lifecycles/a.yaml:1:1",
        "lifecycles/a.yaml:1:1",
        "lifecycles/a.yaml:1:1",
    ]


def test_a_name_that_is_there_twice_is_told_with_both_places(tmp_path: Path) -> None:
    files = {
        "waystage.yaml": "project: p\n",
        "stages/a.yaml": "stage: DEV\n",
        "stages/b.yaml": "\n# the same again\nstage: DEV\n",
        "lifecycles/a.yaml": LIFECYCLE.format(name="a"),
        "lifecycles/b.yaml": LIFECYCLE.format(name="a"),
    }
    assert found(write(tmp_path, files)) == [
        "stages/b.yaml:3:1: stage: there is another stage 'DEV' at stages/a.yaml:1:1; rename one",
        "lifecycles/b.yaml:1:1: lifecycle: there is another lifecycle 'a' at "
        "lifecycles/a.yaml:1:1; rename one",
    ]


def test_files_in_the_wrong_place_are_told(tmp_path: Path) -> None:
    files = {
        "waystage.yaml": "project: p\n",
        "stages/a.yml": "stage: DEV\n",
        "stages/b.yaml": "project: q\n",
        "lifecycles/c.yaml": "scenario: s\n",
    }
    assert found(write(tmp_path, files)) == [
        "stages/a.yml: is not read because of its ending; rename it to .yaml",
        "stages/b.yaml:1:1: project: a project does not belong here; its place is waystage.yaml",
        "lifecycles/c.yaml:1:1: scenario: a scenario does not belong here; its place is scenarios/",
    ]


def test_a_file_is_known_by_its_first_key_wherever_it_lies(tmp_path: Path) -> None:
    files = {"waystage.yaml": "project: p\n", "lifecycles/dev.yaml": "stage: DEV\n"}
    assert list(load_project(write(tmp_path, files)).stages) == ["DEV"]


def test_the_project_file_says_project_first(tmp_path: Path) -> None:
    (line,) = found(write(tmp_path, {"waystage.yaml": "stage: DEV\n"}))
    assert line == "waystage.yaml:1:1: stage: is a stage, not a project"


def test_scenarios_are_loaded_together(tmp_path: Path) -> None:
    good = (
        "scenario: s\nlifecycle: a\nservice: b\nsnapshot: {name: c, version: '1'}\n"
        "expect: {ends_in: x}\n"
    )
    write(tmp_path, {"scenarios/a.yaml": good, "scenarios/b.yaml": good})
    assert [each.source.file for each in load_scenarios(tmp_path)] == [
        "scenarios/a.yaml",
        "scenarios/b.yaml",
    ]
    write(tmp_path, {"scenarios/b.yaml": "scenario: s\n", "scenarios/c.yaml": "stage: DEV\n"})
    with pytest.raises(Invalid) as caught:
        load_scenarios(tmp_path)
    assert {problem.file for problem in caught.value.problems} == {
        "scenarios/b.yaml",
        "scenarios/c.yaml",
    }
