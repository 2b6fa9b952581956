"""`waystage import`: files that are written, what is told, and exit codes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from waystage.cli.main import run

FILES = Path(__file__).parent / "files"
FLOWABLE = str(FILES / "champion_flowable.bpmn")
PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "import.md"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")


def test_the_account_has_every_element_and_the_mistakes(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["import", FLOWABLE]) == 1
    told = capsys.readouterr().out
    flows = re.findall(r'<sequenceFlow id="(\w+)" sourceRef', Path(FLOWABLE).read_text())
    assert flows
    for flow in flows:
        assert f"sequenceFlow {flow} " in told
    assert "Wrong in the original:\nchampion_flowable.bpmn:47:5: " in told
    assert "[W-GUARD-HOLE]" in told
    assert re.search(r"\d+ elements: \d+ mapped, \d+ by hand, 5 left out", told)
    assert Path("lifecycles/tensorflow-openshift.yaml").is_file()


def test_a_file_that_is_there_is_written_over_by_force_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["import", FLOWABLE, "-o", "x.yaml"]) == 1
    Path("x.yaml").write_text("mine")
    capsys.readouterr()
    assert run(["import", FLOWABLE, "-o", "x.yaml"]) == 1
    assert "x.yaml is there already; --force" in capsys.readouterr().err
    assert Path("x.yaml").read_text() == "mine"
    run(["import", FLOWABLE, "-o", "x.yaml", "--force"])
    assert Path("x.yaml").read_text().startswith("# Imported from")


def test_the_yaml_is_printed_and_the_account_goes_beside(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run(["import", FLOWABLE, "-o", "-"])
    shown = capsys.readouterr()
    assert shown.out.startswith("# Imported from champion_flowable.bpmn")
    assert "W-BPMN-POLL" in shown.err
    assert "W-BPMN-POLL" not in shown.out
    assert not list(Path().iterdir())


def test_json_accounts_for_each_element_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["import", FLOWABLE, "-o", "-", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    ids = [each["id"] for each in told["elements"]]
    written = re.findall(r'<(?!flowable:)\w+ id="(\w[\w-]*)"', Path(FLOWABLE).read_text())
    assert sorted(ids) == sorted(written)
    assert told["ok"] is False
    assert told["yaml"].count("unmapped.") == told["counts"]["hand"] - 1
    assert {each["code"] for each in told["wrong"]} >= {"W-BPMN-POLL", "E-GUARD-NO-DEFAULT"}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("<a>", "x.bpmn:1:4: is not XML: no element found"),
        ("<!DOCTYPE a []><a/>", "has a document type"),
        ("<a/>", "x.bpmn:1:1: is no BPMN 2.0"),
    ],
)
def test_a_refusal_is_one_line_and_exit_code_1(
    content: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("x.bpmn").write_text(content)
    assert run(["import", "x.bpmn"]) == 1
    told = capsys.readouterr().err
    assert says in told
    assert told.count("\n") == 1
    assert not Path("lifecycles").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nothing.bpmn"], "there is no file nothing.bpmn"),
        (["."], "cannot be read"),
        ([FLOWABLE, "--process", "x"], "has no process 'x'; there is tensorflow-openshift"),
        ([FLOWABLE, "--map", "map.yaml"], "map.yaml:1:1: stepps: there is no key 'stepps' here"),
        ([FLOWABLE, "--service", "NO SUCH"], "--service"),
    ],
)
def test_what_is_asked_wrongly_is_said(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("map.yaml").write_text("stepps: {}\n")
    assert run(["import", *arguments]) == 1
    assert says in capsys.readouterr().err


def test_in_a_project_the_project_is_asked_too(capsys: pytest.CaptureFixture[str]) -> None:
    Path("waystage.yaml").write_text(
        "project: p\ndatabase: sqlite:///w.db\npeople: {vera: {roles: [validator]}}\n"
    )
    Path("below").mkdir()
    assert run(["--project", ".", "import", FLOWABLE]) == 1
    told = capsys.readouterr().out
    assert "nobody has the role 'owner'" in told
    assert "[E-PEOPLE]" in told
    assert Path("lifecycles/tensorflow-openshift.yaml").is_file()


@pytest.mark.skipif(not PAGE.is_file(), reason="the checkout's docs are not beside the tests")
def test_the_example_of_the_docs_is_what_comes_out(capsys: pytest.CaptureFixture[str]) -> None:
    blocks = dict(re.findall(r"```(xml|yaml)\n(.*?)```", PAGE.read_text(), re.DOTALL)[:2])
    shown = re.findall(r"```yaml\n(# Imported.*?)```", PAGE.read_text(), re.DOTALL)[0]
    Path("approval.bpmn").write_text(blocks["xml"])
    Path("map.yaml").write_text(blocks["yaml"])
    assert run(["import", "approval.bpmn", "--map", "map.yaml", "-o", "-"]) == 0
    assert capsys.readouterr().out == shown
    assert run(["import", "approval.bpmn", "--map", "map.yaml"]) == 0
    assert run(["validate", "lifecycles/approval.yaml"]) == 0
