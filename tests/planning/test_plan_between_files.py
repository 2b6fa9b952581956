"""`waystage plan --from OLD NEW`: also where the old file lies far from its project."""

from __future__ import annotations

from pathlib import Path

import pytest

from waystage.cli.main import run


def test_an_old_text_from_elsewhere_finds_the_blocks_of_the_new_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = tmp_path / "project"
    assert run(["init", str(project)]) == 0
    new = project / "lifecycles" / "scorecard.yaml"
    old = tmp_path / "old.yaml"
    old.write_text(new.read_text())
    new.write_text(old.read_text().replace("{after: PT1H}", "{after: PT2H}"))
    capsys.readouterr()
    assert run(["plan", "--from", str(old), str(new)]) == 0
    told = capsys.readouterr().out
    assert "soaked: after: PT1H → PT2H" in told
    assert "6 h (was 3 h)" in told
    assert run(["plan", "--from", str(new), str(new)]) == 0
    told = capsys.readouterr().out
    assert "the same in both files" in told
    assert "database" not in told
