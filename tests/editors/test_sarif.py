"""What `validate` tells other tools: SARIF by its own schema, annotations, counts, exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from check_cases import PROJECT, Case, cases
from jsonschema import Draft7Validator
from npm_packages import NoEditors, node_modules

from waystage import library
from waystage.cli.main import run

WARNING = next(case for case in cases() if case.code == "W-SIGNAL-UNANSWERED")
ERROR = next(case for case in cases() if case.code == "E-EVENT-UNHANDLED")


@pytest.fixture(scope="module")
def sarif_schema() -> Any:
    try:
        packages = node_modules()
    except NoEditors as error:
        pytest.skip(str(error))
    (file,) = (packages / "@microsoft/jest-sarif/lib/schemas").glob("sarif-2.1.0*.json")
    return json.loads(file.read_text())


def lay(case: Case, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the case's project into `models/` of a repository and go to the repository's root."""
    case.problems(place / "models")
    monkeypatch.chdir(place)


def written(place: Path, *more: str) -> tuple[int, Any]:
    code = run(["validate", "models", "--sarif", "out.sarif", *more])
    return code, json.loads((place / "out.sarif").read_text())


@pytest.mark.parametrize("case", cases(), ids=lambda case: f"{case.code}-{case.title}")
def test_what_is_written_keeps_the_schema_of_sarif(
    case: Case, sarif_schema: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay(case, tmp_path, monkeypatch)
    _, log = written(tmp_path)
    assert [error.message for error in Draft7Validator(sarif_schema).iter_errors(log)] == []


def test_a_result_has_its_rule_and_its_place_from_the_root_of_the_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay(ERROR, tmp_path, monkeypatch)
    code, log = written(tmp_path)
    (result,), driver = log["runs"][0]["results"], log["runs"][0]["tool"]["driver"]
    place = result["locations"][0]["physicalLocation"]
    assert code == 1
    assert place["artifactLocation"]["uri"] == "models/lifecycles/loan.yaml"
    assert place["region"]["startLine"] == ERROR.place[1]
    assert ERROR.says in result["message"]["text"]
    rule = driver["rules"][result["ruleIndex"]]
    assert rule["id"] == result["ruleId"] == ERROR.code
    assert "leads nowhere" in rule["shortDescription"]["text"]
    assert "To mend it" in rule["help"]["text"]


def test_the_same_problem_on_another_line_keeps_its_fingerprint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay(ERROR, tmp_path, monkeypatch)
    _, before = written(tmp_path)
    file = tmp_path / "models" / ERROR.file
    file.write_text("# moved\n" + file.read_text())
    _, after = written(tmp_path)
    one, two = (log["runs"][0]["results"][0] for log in (before, after))
    assert one["partialFingerprints"] == two["partialFingerprints"]
    assert one["locations"] != two["locations"]


def test_warnings_refuse_only_when_strict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lay(WARNING, tmp_path, monkeypatch)
    loose, log = written(tmp_path)
    strict, strict_log = written(tmp_path, "--strict")
    assert (loose, strict) == (0, 1)
    assert log["runs"][0]["results"][0]["level"] == "warning"
    assert strict_log["runs"][0]["results"][0]["level"] == "error"
    assert "0 errors, 1 warning (5 files); warnings count as errors" in capsys.readouterr().out


def test_json_counts_what_was_looked_at_and_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lay(WARNING, tmp_path, monkeypatch)
    assert run(["validate", "models", "--json", "--strict"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["ok"] is False
    assert said["counts"] == {"files": 5, "lifecycles": 1, "stages": 3, "errors": 0, "warnings": 1}


def test_github_is_told_file_line_and_column(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lay(ERROR, tmp_path, monkeypatch)
    assert run(["validate", "models", "--github"]) == 1
    line = capsys.readouterr().out.splitlines()[0]
    place = f"file=models/lifecycles/loan.yaml,title={ERROR.code},line={ERROR.place[1]},col="
    assert line.startswith(f"::error {place}")
    assert line.partition("::error ")[2].count("::") == 1


def test_a_file_that_cannot_be_written_is_a_refusal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["validate", str(PROJECT), "--sarif", str(tmp_path / "no" / "out.sarif")]) == 1
    assert "cannot be written: no such file or directory" in capsys.readouterr().err


def test_a_block_is_proved_by_itself() -> None:
    assert library.blocks()
    assert {run(["validate", str(file)]) for file in library.blocks()} == {0}


@pytest.mark.parametrize("name", ["stages/PROD.yaml", "waystage.yaml", "lifecycles/loan.yaml"])
def test_each_kind_of_file_is_proved_by_itself(name: str) -> None:
    assert run(["validate", str(PROJECT / name)]) == 0
