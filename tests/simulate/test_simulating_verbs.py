"""`waystage test` and `waystage simulate` as people and CI call them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from waystage import library
from waystage.cli.main import run

WRONG = """\
scenario: An unfit <model> is live
lifecycle: rest-promotion
service: pricing
snapshot: {name: price, version: "7", author: dana}
plugins: {model.check: {refused: no rows}}
expect:
  outcome: done
"""


@pytest.fixture
def project(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Make a project as `init` does, and go there."""
    root = tmp_path / "project"
    assert run(["init", str(root)]) == 0
    monkeypatch.chdir(root)
    capsys.readouterr()
    return root


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out


def test_a_new_project_s_scenarios_hold_and_cover_everything(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["test", "--fail-under", "100"]) == 0
    out = said(capsys)
    count = len(list((project / "scenarios").glob("*.yaml")))
    assert f"{count} of {count} scenarios hold" in out
    assert "is never taken" not in out


def test_the_name_of_a_lifecycle_chooses_its_scenarios_alone(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["test", "--filter", "retire"]) == 0
    out = said(capsys)
    count = len(list((project / "scenarios").glob("retire*.yaml")))
    assert f"{count} of {count} scenarios hold" in out


def test_a_scenario_that_differs_exits_with_1_and_its_line(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "scenarios" / "wrong.yaml").write_text(WRONG)
    assert run(["test", "--filter", "UNFIT", "--junit", "out.xml"]) == 1
    out = said(capsys)
    assert "scenarios/wrong.yaml:7:3: expect.outcome: the outcome is rejected, not done" in out
    assert "lifecycles/rest-promotion.yaml" in out  # what these few do not cover
    suites = ElementTree.parse("out.xml").getroot()  # our own file
    cases = {case.get("name"): case for case in suites.iter("testcase")}
    failure = cases["An unfit <model> is live"].find("failure")
    assert failure is not None
    assert (
        failure.text
        == "scenarios/wrong.yaml:7:3: expect.outcome: the outcome is rejected, not done"
    )
    assert sum(case.find("failure") is not None for case in cases.values()) == 1
    assert [suite.get("failures") for suite in suites if suite.get("name") == "rest-promotion"] == [
        "1"
    ]


def test_too_little_coverage_exits_with_1(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = "scenarios/rest-promotion-unfit.yaml"
    assert run(["test", one]) == 0
    assert run(["test", one, "--fail-under", "90"]) == 1
    assert "is covered, less than 90 %" in said(capsys)


def test_json_says_all_of_it(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["test", "--json", "scenarios/rest-promotion.yaml"]) == 0
    found: dict[str, Any] = json.loads(said(capsys))
    assert found["ok"] is True
    (scenario,) = found["scenarios"]
    assert scenario["places"] == ["closed"]
    assert scenario["virtual"] == "P91D"
    assert {each["state"] for each in scenario["visits"]} >= {"live", "serving"}
    (coverage,) = found["coverage"]
    assert 0 < coverage["percent"] < 100
    assert coverage["gaps"][0]["file"].endswith(".yaml")


def test_json_tells_of_lifecycles_that_were_called_and_played(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["test", "scenarios/annual-review-retires.yaml", "--json"]) == 0
    (scenario,) = json.loads(said(capsys))["scenarios"]
    (called,) = scenario["called"]
    assert (called["lifecycle"], called["outcome"]) == ("retire", "done")
    assert "archive" in {each["state"] for each in called["visits"]}
    assert called["called"] == []


def test_unknown_lifecycles_and_broken_files_are_told(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = project / "scenarios" / "wrong.yaml"
    wrong.write_text(WRONG.replace("rest-promotion", "rest-promotio"))
    assert run(["test", "scenarios/wrong.yaml"]) == 1
    assert "there is no lifecycle 'rest-promotio'; did you mean rest-promotion?" in said(capsys)
    wrong.write_text(WRONG.replace("expect:", "expects:"))
    assert run(["test", "scenarios/wrong.yaml"]) == 1
    assert "did you mean expect?" in capsys.readouterr().err
    assert run(["test", "scenarios/none.yaml"]) == 1
    assert "there is no file or directory" in capsys.readouterr().err


def test_scenarios_run_outside_of_a_project_beside_their_lifecycles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(library.library() / "lifecycles", tmp_path / "lifecycles")
    monkeypatch.chdir(tmp_path)
    assert run(["test", "lifecycles/scenarios", "--fail-under", "100"]) == 0
    assert run(["test"]) == 1
    assert "name the scenarios' files" in capsys.readouterr().err


def test_a_lifecycle_is_stepped_through_by_choices(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    choices = "done,done,approve image_tag=2.0,1,1,done,soaked"
    assert run(["simulate", "scorecard", "--choose", choices]) == 0
    out = said(capsys)
    assert "calls bundle.build with" in out
    assert '{"tag": "2.0"}' in out
    assert "2026-01-05 10:00:00  → promote.SIT.deploy" in out
    assert out.rstrip().splitlines()[-1].split()[1] == "failed"  # asks what happens next


def test_a_choice_brings_what_a_step_answers(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there = ["simulate", "scorecard", "--tag", "candidate=challenger", "--choose"]
    assert run([*there, "done,done,done verdict=keep why=no-gain,done"]) == 0
    assert "The run has ended: declined." in said(capsys)
    assert run([*there, "done,done,done verdict=maybe"]) == 1
    assert "challenger.compare: verdict" in capsys.readouterr().err
    assert run([*there, "done,approve"]) == 1
    assert "'approve' cannot happen now; there is done, refused" in capsys.readouterr().err


def test_runs_by_chance_exit_by_what_they_find(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["simulate", "rest-promotion", "--random", "30", "--seed", "4"]) == 0
    assert "0 findings in 30 runs" in said(capsys)
    file = project / "lifecycles" / "dead.yaml"
    file.write_text(
        'lifecycle: dead\nservices: "*"\ninitial: a\nstates:\n'
        "  a: {steps: [{use: model.check}], next: {done: b, refused: b}}\n  b: {wait: true}\n"
    )
    assert run(["simulate", str(file), "--random", "3", "--seed", "4"]) == 1
    out = said(capsys)
    assert "dead end in b" in out
    assert "again: waystage simulate dead --random 1 --seed" in out
    assert run(["simulate", "dead", "--random", "3", "--json"]) == 1
    assert json.loads(said(capsys))["findings"][0]["kind"] == "dead end"
