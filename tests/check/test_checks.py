"""Nothing sound is blamed; stages, connections and templates are looked at with a project.

The mistakes themselves are a list of their own, see `test_cases.py`.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from textwrap import dedent, indent

import pytest

from waystage import library
from waystage.check import CHECKS, PROJECT_CHECKS, check_lifecycle, check_project
from waystage.errors import Problem
from waystage.registry import load_catalog
from waystage.spec.load import load_lifecycle, load_project, parse_lifecycle

SOUND = """\
lifecycle: sound
services: ["*"]
initial: approve
states:
  approve:
    task: {title: Approve?, for: [role:validator]}
    next: {approve: closed, reject: closed}
  closed: {final: true}
"""


def states(initial: str, text: str) -> str:
    """Make a lifecycle of these states; the first of them is on line 5."""
    head = f'lifecycle: wrong\nservices: ["*"]\ninitial: {initial}\nstates:\n'
    return head + indent(dedent(text).strip("\n"), "  ") + "\n"


def alone(text: str) -> list[Problem]:
    return check_lifecycle(parse_lifecycle(text, "x.yaml"), None, load_catalog())


def told(problems: list[Problem]) -> list[tuple[str, int]]:
    return [(problem.code, problem.line) for problem in problems]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    shutil.copy(library.example("german_credit") / "waystage.yaml", tmp_path)
    shutil.copytree(library.library() / "stages", tmp_path / "stages")
    (tmp_path / "lifecycles").mkdir()
    file = tmp_path / "waystage.yaml"
    file.write_text(re.sub(r"^ +params:.*\n", "", file.read_text(), flags=re.MULTILINE))
    return tmp_path


def within(project: Path, text: str) -> list[Problem]:
    (project / "lifecycles" / "x.yaml").write_text(text)
    return check_project(load_project(project), load_catalog())


def test_a_sound_lifecycle_has_no_problems(project: Path) -> None:
    assert alone(SOUND) == []
    assert within(project, SOUND) == []


@pytest.mark.parametrize("file", library.lifecycles(), ids=lambda file: file.name)
def test_the_shipped_lifecycles_are_sound_by_themselves(file: Path) -> None:
    assert check_lifecycle(load_lifecycle(file), None, load_catalog()) == []


def test_the_example_project_is_sound(project: Path) -> None:
    ours = [f for f in library.lifecycles() if f.stem not in library.ASKED_FOR]
    for file in ours:
        shutil.copy(file, project / "lifecycles")
    shutil.copytree(library.library() / "lifecycles" / "blocks", project / "lifecycles" / "blocks")
    assert check_project(load_project(project), load_catalog()) == []


DEPLOY = """
    a:
      WHERE
      steps:
        - use: runtime.deploy
      next: {done: z, refused: z}
    z: {final: true}
    """


def test_a_stage_without_a_fitting_runtime_is_told(project: Path) -> None:
    stage = project / "stages" / "DEV.yaml"
    stage.write_text(stage.read_text().replace('services: ["*"]', 'services: ["fraud-*"]'))
    found = within(project, states("a", DEPLOY.replace("WHERE", "stage: DEV")))
    assert told(found) == [("E-RUNTIME", 8)]
    assert "DEV has no runtime for 'credit-risk'" in found[0].message


def test_two_runtimes_of_which_none_is_preferred_are_told(project: Path) -> None:
    stage = project / "stages" / "SIT.yaml"
    more = '\n  - {name: more-jobs, use: local.process, mode: batch, services: ["*"]}\n'
    stage.write_text(stage.read_text().rstrip() + more)
    found = within(project, states("a", DEPLOY.replace("WHERE", "stage: SIT")))
    assert told(found) == [("E-STAGE-SKIP", 6), ("E-RUNTIME", 8)]
    assert "several batch runtimes" in found[1].message


@pytest.mark.parametrize(
    ("after", "codes"),
    [("[NIX]", {"E-STAGE-UNKNOWN"}), ("[PROD]", {"E-STAGE-CYCLE"}), ("[DEV]", {"E-STAGE-CYCLE"})],
)
def test_stages_that_are_in_no_order_are_told(after: str, codes: set[str], project: Path) -> None:
    stage = project / "stages" / "DEV.yaml"
    stage.write_text(stage.read_text() + f"\nafter: {after}\n")
    found = within(project, SOUND)
    assert {problem.code for problem in found} == codes
    line = len(stage.read_text().splitlines())
    assert any(p.line == line and p.file.endswith("DEV.yaml") for p in found)


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("use: folder", "use: foldr", "E-PLUGIN-UNKNOWN"),
        ("use: folder", "use: webhook", "E-PLUGIN-KIND"),
        ("with: {path: models}", "with: {pth: models}", "E-PLUGIN-SETTINGS"),
    ],
)
def test_connections_of_the_project_are_checked_too(
    old: str, new: str, code: str, project: Path
) -> None:
    file = project / "waystage.yaml"
    line = next(n for n, text in enumerate(file.read_text().splitlines(), 1) if old in text)
    file.write_text(file.read_text().replace(old, new, 1))
    found = within(project, SOUND)
    assert (code, line) in told(found), "\n".join(map(str, found))


def test_a_template_is_left_to_when_it_is_rendered() -> None:
    text = states(
        "a",
        """
        a:
          steps:
            - use: notify
              with: {to: "{{ params.channel }}", text: hello, level: "{{ params.channel }}"}
          next: {done: z, refused: z}
        z: {final: true}
        """,
    )
    text = text.replace("initial:", "params: {channel: {type: string}}\ninitial:")
    assert alone(text) == []


def test_problems_are_told_in_the_order_of_the_file() -> None:
    found = alone(SOUND.replace("reject: closed", "reject: x").replace("approve: cl", "approve: y"))
    places = [(problem.line, problem.column) for problem in found]
    assert len(found) == 2
    assert places == sorted(places)


def test_every_check_says_why_it_hurts_and_how_to_mend_it() -> None:
    for check in (*CHECKS, *PROJECT_CHECKS):
        text = " ".join(str(sys.modules[check.__module__].__doc__).split())
        assert "Why it hurts:" in text, check
        assert "To mend it," in text, check
