"""`waystage add` brings shipped lifecycles into a project, and changes nothing that is there."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from waystage import library
from waystage.check import check_project
from waystage.cli.main import run
from waystage.registry import load_catalog
from waystage.spec.load import load_project

PROJECT = """\
project: loans
repositories:
  - {name: models, use: folder, with: {path: models}}
scoring_log: {use: scoring_log.sqlite, with: {path: scores.db}}
channels: {mlops: {use: log}, owners: {use: log}}
services: {credit-risk: {owner: otto}}
people:
  vera: {roles: [validator]}
  victor: {roles: [validator]}
  otto: {roles: [owner]}
  olga: {roles: [owner]}
  hanna: {roles: [head-of-risk]}
roles: {validator: [decide], owner: [decide], head-of-risk: [decide]}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a project with no lifecycle and one stage, and go there."""
    (tmp_path / "waystage.yaml").write_text(PROJECT)
    (tmp_path / "models").mkdir()
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages" / "DEV.yaml").write_text(
        "stage: DEV\nruntimes:\n  - {name: mine, use: local.serving, mode: online}\n"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def everything(root: Path) -> dict[str, str]:
    return {str(f.relative_to(root)): f.read_text() for f in root.rglob("*") if f.is_file()}


def added(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [each["file"] for each in json.loads(capsys.readouterr().out) if each["added"]]


def test_a_lifecycle_comes_with_all_that_it_needs(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = everything(project)
    assert run(["add", "annual-review", "--json"]) == 0
    new = added(capsys)
    assert {"lifecycles/annual-review.yaml", "lifecycles/retire.yaml"} <= set(new)  # it is called
    assert "lifecycles/blocks/findings.yaml" in new
    assert "stages/PROD.yaml" in new
    assert "stages/DEV.yaml" not in new
    after = everything(project)
    assert set(after) - set(before) == set(new)
    assert {name: after[name] for name in before} == before
    assert run(["test", "--fail-under", "100"]) == 0
    errors = [p for p in check_project(load_project(project), load_catalog()) if "E-" in p.code]
    assert errors == []


def test_adding_twice_changes_nothing(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["add", "rest-promotion"]) == 0
    assert "added lifecycles/rest-promotion.yaml\n" in capsys.readouterr().out
    before = everything(project)
    assert run(["add", "rest-promotion"]) == 0
    out = capsys.readouterr().out
    assert "kept lifecycles/rest-promotion.yaml: it is there already\n" in out
    assert "added" not in out
    assert everything(project) == before


def test_what_the_project_calls_by_that_name_is_kept_wherever_it_stands(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(library.library() / "lifecycles" / "blocks", project / "lifecycles" / "blocks")
    shipped = next(file for file in library.lifecycles() if file.stem == "retire")
    mine = shipped.read_text().replace("title:", "title: Mine,", 1)
    (project / "lifecycles" / "end.yaml").write_text(mine)
    (project / "lifecycles" / "retire.yaml").write_text(
        mine.replace("lifecycle: retire", "lifecycle: other")
    )
    assert run(["add", "retire"]) == 0
    out = capsys.readouterr().out
    assert "kept lifecycles/end.yaml: lifecycle retire is there already, and differs from" in out
    assert str(shipped) in out
    assert "scenarios/retire" not in out  # they are for what is shipped
    load_project(project)


def test_a_file_of_another_lifecycle_is_not_overwritten(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "lifecycles").mkdir()
    file = project / "lifecycles" / "rest-promotion.yaml"
    file.write_text('lifecycle: other\nservices: ["*"]\ninitial: a\nstates: {a: {final: true}}\n')
    before = file.read_text()
    assert run(["add", "rest-promotion"]) == 0
    out = capsys.readouterr().out
    assert "kept lifecycles/rest-promotion.yaml: a file of this name is there already" in out
    assert file.read_text() == before


def test_stages_of_a_kind_are_compared_with_those_that_are_there(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["add", "tensorflow-openshift"]) == 0
    out = capsys.readouterr().out
    assert "kept stages/DEV.yaml: stage DEV is there already, and differs from" in out
    assert "added stages/PROD.yaml" in out
    assert "openshift" in (project / "stages" / "PROD.yaml").read_text()


def test_editors_are_told_of_schemas_where_the_project_has_them(project: Path) -> None:
    (project / "schemas").mkdir()
    assert run(["add", "retire"]) == 0
    head = (project / "lifecycles" / "retire.yaml").read_text().splitlines()[0]
    assert head == "# yaml-language-server: $schema=../schemas/lifecycle.json"
    block = (project / "lifecycles" / "blocks" / "take-out.yaml").read_text()
    assert block.startswith("# yaml-language-server: $schema=../../schemas/block.json\n")


def test_what_is_not_shipped_and_what_does_not_load_change_nothing(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = everything(project)
    assert run(["add", "rest-promotion", "retier"]) == 1
    assert "no lifecycle 'retier' is shipped; did you mean retire?" in capsys.readouterr().err
    assert everything(project) == before
    (project / "stages" / "DEV.yaml").write_text("stage: dev\n")
    before = everything(project)
    assert run(["add", "rest-promotion"]) == 1
    assert "write it in upper case" in capsys.readouterr().err
    assert everything(project) == before


def test_init_in_a_project_names_the_verb_that_adds(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["init", ".", "--with", "gitops-promotion"]) == 1
    assert "`waystage add gitops-promotion` adds" in capsys.readouterr().err
