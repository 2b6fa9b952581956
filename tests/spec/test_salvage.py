"""Keys that nobody knows do not hide what else is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from waystage.cli.main import run
from waystage.errors import Invalid
from waystage.spec.load import load_lifecycle, load_project
from waystage.spec.salvage import Salvaged

LIFECYCLE = """\
lifecycle: a
services: a
titel: x
initial: x
states:
  x:
    wat: 3
    steps: [{use: model.chek, widht: {}}]
    nxt: {done: end}
  y: {final: true}
"""


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def told(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    capsys.readouterr()
    assert run(list(words)) == 1
    return [line.partition(": ")[2] for line in capsys.readouterr().out.splitlines()[:-1]]


def test_all_that_is_wrong_with_a_lifecycle_is_told_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path, {"a.yaml": LIFECYCLE}) / "a.yaml"
    found = "\n".join(told(capsys, "validate", str(file)))
    for word, meant in (("titel", "title"), ("wat", "wait"), ("widht", "with"), ("nxt", "next")):
        assert f"there is no key {word!r} here; did you mean {meant}?" in found
    assert "there is no plugin 'model.chek'; did you mean 'model.check'?" in found
    assert "states.x.next.done[0].to: there is no state 'end' here" in found
    assert "nothing answers" not in found, "what `nxt` says is taken for `next`"
    with pytest.raises(Salvaged):
        load_lifecycle(file)


def test_a_guess_that_does_not_fit_adds_no_problem_of_its_own(tmp_path: Path) -> None:
    text = LIFECYCLE.replace("nxt: {done: end}", "nxt: 5")
    file = write(tmp_path, {"a.yaml": text}) / "a.yaml"
    with pytest.raises(Invalid) as caught:
        load_lifecycle(file)
    assert {each.code for each in caught.value.problems} == {"E-SPEC-KEY"}
    assert len(caught.value.problems) == 4


def test_what_cannot_be_read_at_all_is_not_gone_on_with(tmp_path: Path) -> None:
    text = LIFECYCLE.replace("initial: x", "initial: [x]")
    file = write(tmp_path, {"a.yaml": text}) / "a.yaml"
    with pytest.raises(Invalid) as caught:
        load_lifecycle(file)
    assert not isinstance(caught.value, Salvaged)
    assert {each.code for each in caught.value.problems} == {"E-SPEC-KEY", "E-SPEC-VALUE"}


def test_a_project_is_proved_past_the_keys_that_nobody_knows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {
        "waystage.yaml": "project: p\nservcies: {a: {owner: otto}}\n",
        "stages/DEV.yaml": "stage: DEV\ntitel: x\nafter: [SIT]\n",
        "lifecycles/a.yaml": LIFECYCLE,
    }
    root = write(tmp_path, files)
    found = "\n".join(told(capsys, "validate", str(root)))
    for one in ("'servcies'", "'titel'", "'nxt'", "'model.chek'", "SIT", "'otto'"):
        assert one in found, found
    with pytest.raises(Salvaged) as caught:
        load_project(root)
    codes = {each.code for each in caught.value.problems}
    assert codes == {"E-SPEC-KEY"}, "a daemon that begins is told the same, and does not begin"
