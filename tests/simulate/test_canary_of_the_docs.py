"""The canary's lifecycle and scenario of the guide hold."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from waystage.cli.main import run

GUIDE = Path(__file__).parents[2] / "docs" / "how-to" / "canary.md"

pytestmark = pytest.mark.skipif(not GUIDE.is_file(), reason="the docs are not beside the tests")


@pytest.fixture
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write the guide's lifecycle and its scenario, and go there; gives the scenario."""
    blocks = re.findall(r"```yaml\n((lifecycle|scenario):.*?)```", GUIDE.read_text(), re.DOTALL)
    for text, kind in blocks:
        place = tmp_path / f"{kind}s" / "canary-by-git.yaml"
        place.parent.mkdir()
        place.write_text(text)
    monkeypatch.chdir(tmp_path)
    return Path("scenarios/canary-by-git.yaml")


def test_the_lifecycle_is_valid_and_its_scenario_holds(shown: Path) -> None:
    assert run(["validate", "lifecycles/canary-by-git.yaml"]) == 0
    assert run(["test", "scenarios"]) == 0


@pytest.mark.parametrize(
    ("answers", "outcome"),
    [
        ("{done: {verdict: fail, why: errors}}", "rejected"),
        ("{done: {verdict: inconclusive, why: no points}}", "rejected"),
        ("{refused: they were not started together}", "rejected"),
    ],
)
def test_a_canary_that_does_not_pass_is_taken_back(shown: Path, answers: str, outcome: str) -> None:
    text = re.sub(r"  canary\.judge:\n(    - .*\n)+", f"  canary.judge: {answers}\n",
                  shown.read_text())  # fmt: skip
    head = text.partition("expect:")[0]
    shown.write_text(f"{head}expect: {{passes: [judge, worse], outcome: {outcome}}}\n")
    assert run(["test", "scenarios"]) == 0


def test_a_connection_that_is_not_there_is_told_with_its_line(
    shown: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("waystage.yaml").write_text("project: p\nservices: {credit-risk: {title: Credit}}\n")
    Path("stages").mkdir()
    Path("stages/PROD.yaml").write_text("stage: PROD\nruntimes: []\n")
    assert run(["validate"]) == 1
    told = capsys.readouterr().out
    assert "metrics.accepted.rows: there is no connection 'warehouse' for stage PROD" in told
