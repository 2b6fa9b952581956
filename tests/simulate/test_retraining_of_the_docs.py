"""The retraining of the guide is valid, plays, and its mistakes are found before anything runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from waystage.cli.main import run

GUIDE = Path(__file__).parents[2] / "docs" / "how-to" / "retrain.md"
SCENARIO = """
scenario: A breach trains a challenger; the next one comes too soon
lifecycle: retraining
service: credit-risk
snapshot: {name: credit, version: "1", author: dana}
plugins:
  batch.train:
    - {done: {rows: 1200}}
    - {refused: too soon}
monitors: {ks: [breach, breach]}
expect:
  passes: [retrain, serving, retrain, untrained, later]
  data: {why: too soon, again: ""}
"""
LIMITS = """cooldown: "{{ params.cooldown }}"
          budget: {trainings: 4, per: P365D, time: PT20H}"""
POINTLESS = """cooldown: P91D
          budget: {trainings: 1, per: P90D}"""

pytestmark = pytest.mark.skipif(not GUIDE.is_file(), reason="the docs are not beside the tests")


@pytest.fixture
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write the guide's lifecycle, go there, and give its file."""
    (block,) = re.findall(r"```yaml\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    for name, text in (("lifecycles", block), ("scenarios", SCENARIO)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "retraining.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    return Path("lifecycles/retraining.yaml")


def test_the_lifecycle_is_valid_and_plays(shown: Path) -> None:
    assert run(["validate", "--strict", str(shown)]) == 0
    assert run(["test", "scenarios"]) == 0


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        (LIMITS, POINTLESS, "shorten the cooldown"),
        ("trainings: 4", "trainings: 0", "greater than or equal to 1"),
        ("file: metrics.json", "file: ../metrics.json", "no path below the job's directory"),
        ("minimum_coverage: 0.8", "minimum_coverage: 80", "less than or equal to 1"),
        ("steps.training.commit", "steps.training.comit", "there is no field 'comit'"),
    ],
)  # fmt: skip
def test_mistakes_are_told_with_their_line(
    shown: Path, capsys: pytest.CaptureFixture[str], right: str, wrong: str, told: str
) -> None:
    text = shown.read_text()
    assert right in text
    shown.write_text(text.replace(right, wrong, 1))
    assert run(["validate", str(shown)]) == 1
    printed = capsys.readouterr().out
    assert told in printed
    assert re.search(r"retraining\.yaml:\d+:\d+: states\.retrain", printed)
