"""The scenario that the author's guide shows is played as it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from waystage.cli.main import run

GUIDE = Path(__file__).parents[2] / "docs" / "how-to" / "author.md"

pytestmark = pytest.mark.skipif(not GUIDE.is_file(), reason="the docs are not beside the tests")


@pytest.fixture
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Write the guide's lifecycle and its scenario, go there, and give the guide's text."""
    text = GUIDE.read_text()
    blocks = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    for kind in ("lifecycle", "scenario"):
        block = next(each for each in blocks if each.startswith(f"{kind}:"))
        (tmp_path / f"{kind}s").mkdir()
        (tmp_path / f"{kind}s" / "hello.yaml").write_text(block)
    monkeypatch.chdir(tmp_path)
    return text


def test_the_scenario_of_the_guide_holds(shown: str) -> None:
    assert run(["test", "scenarios"]) == 0


def test_what_the_guide_says_is_printed(shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    file = Path("scenarios/hello.yaml")
    file.write_text(file.read_text().replace("ends_in: closed", "ends_in: approve"))
    assert run(["test", "scenarios"]) == 1
    printed = capsys.readouterr().out
    after = shown.partition("With `ends_in: approve` it would print")[2]
    lines = [line.strip() for line in after.splitlines() if line.startswith("    ")][:4]
    assert len(lines) == 4
    for line in lines:
        assert line in printed
