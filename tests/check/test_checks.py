"""Every mistake that `validate` knows is found at its line, and nothing sound is blamed."""

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
MONITOR = """\
lifecycle: watched
services: ["*"]
monitors:
  watch:
    use: performance.auc
    window: {length: P7D}
    THRESHOLDS
initial: look
states:
  look:
    verify: watch
    next: {ok: closed, warn: closed, insufficient: closed, breach: closed}
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
    for file in library.lifecycles():
        shutil.copy(file, project / "lifecycles")
    assert check_project(load_project(project), load_catalog()) == []


ALONE: list[tuple[str, str, list[tuple[str, int]], str]] = [
    ("a target that is not there", SOUND.replace("reject: closed", "reject: close"),
     [("E-STATE-UNKNOWN", 7)], "did you mean 'closed'?"),
    ("a beginning that is not there", SOUND.replace("initial: approve", "initial: aprove"),
     [("E-STATE-UNKNOWN", 3)], "did you mean 'approve'?"),
    ("an inner beginning that is not there", states("a", """
        a:
          initial: c
          states:
            b: {final: true}
          next: {done: z}
        z: {final: true}
        """), [("E-STATE-UNKNOWN", 6)], "'c'"),
    ("an outcome that nobody answers", SOUND.replace(", reject: closed", ""),
     [("E-EVENT-UNHANDLED", 5)], "nothing answers 'reject'"),
    ("a refusal that nobody answers", states("a", """
        a:
          steps: [{use: model.check}]
          next: {done: z}
        z: {final: true}
        """), [("E-EVENT-UNHANDLED", 5)], "nothing answers 'refused'"),
    ("a timer that nobody answers", states("a", """
        a:
          timers: {late: {after: P1D}}
          signals: [go]
          next: {go: z}
        z: {final: true}
        """), [("E-EVENT-UNHANDLED", 6)], "nothing answers 'late'"),
    ("a verdict that nobody answers", MONITOR.replace("THRESHOLDS", "warn: {below: 0.6}")
     .replace(", breach: closed", ""), [("E-EVENT-UNHANDLED", 10)], "nothing answers 'breach'"),
    ("an answer to what never happens", SOUND.replace("{approve:", "{aprove: closed, approve:"),
     [("E-EVENT-NEVER", 7)], "did you mean 'approve'?"),
    ("a signal that nobody answers", states("a", """
        a:
          signals: [go, hold]
          next: {go: z}
        z: {final: true}
        """), [("W-SIGNAL-UNANSWERED", 6)], "nothing answers 'hold'"),
    ("a state that nothing leads to", SOUND + "  attic: {final: true}\n",
     [("E-STATE-UNREACHABLE", 9)], "no arrow leads"),
    ("a state that nothing leads out of", SOUND.replace("closed: {final: true}", "closed: {}"),
     [("E-STATE-DEAD-END", 8)], "nothing ever happens"),
    ("a loop that never waits", states("a", """
        a:
          steps: [{use: model.check}]
          next: {done: b, refused: z}
        b:
          steps: [{use: model.check}]
          next: {done: a, refused: z}
        z: {final: true}
        """), [("E-LOOP-WITHOUT-WAIT", 5)], "never waits"),
    ("guards without a last resort", SOUND.replace(
        "approve: closed,", 'approve: [{to: closed, if: "1 < 2"}],'),
     [("E-GUARD-NO-DEFAULT", 7)], "no guard holds"),
    ("a guard that is never tried", SOUND.replace(
        "approve: closed,", 'approve: [closed, {to: closed, if: "1 < 2"}],'
    ).replace("[closed,", "[{to: closed},"), [("E-GUARD-SHADOWED", 7)], "put it before"),
    ("a plugin that is not there", states("a", """
        a:
          steps:
            - use: model.chek
          next: {done: z, refused: z}
        z: {final: true}
        """), [("E-PLUGIN-UNKNOWN", 7)], "did you mean 'model.check'?"),
    ("a plugin of another kind", states("a", """
        a:
          steps:
            - use: performance.auc
          next: {done: z, refused: z}
        z: {final: true}
        """), [("E-PLUGIN-KIND", 7)], "a step is needed"),
    ("a setting that the plugin lacks", states("a", """
        a:
          steps:
            - use: notify
              with: {to: mlops, text: hello, titel: x}
          next: {done: z, refused: z}
        z: {final: true}
        """), [("E-PLUGIN-SETTINGS", 8)], "did you mean 'title'?"),
    ("an expression that does not parse", SOUND.replace(
        "approve: closed,", 'approve: [{to: closed, if: "1 <"}, {to: closed}],'),
     [("E-EXPRESSION", 7)], ""),
    ("a name that is not there", SOUND.replace("title: Approve?", 'title: "{{ snapshot.nam }}"'),
     [("E-EXPRESSION-TYPE", 6)], "nam"),
    ("types that do not go together", SOUND.replace(
        "approve: closed,", "approve: [{to: closed, if: \"run.id < 3\"}, {to: closed}],"),
     [("E-EXPRESSION-TYPE", 7)], "run.id < 3"),
    ("a guard that is no truth", SOUND.replace(
        "approve: closed,", 'approve: [{to: closed, if: "1 + 2"}, {to: closed}],'),
     [("E-GUARD-TYPE", 7)], "a guard is true or false"),
    ("a monitor that is not there", MONITOR.replace("THRESHOLDS", "warn: {below: 0.6}")
     .replace("verify: watch", "verify: wath"),
     [("W-MONITOR-UNUSED", 4), ("E-MONITOR-UNKNOWN", 11)], "no state verifies"),
    ("a monitor without thresholds", MONITOR.replace("    THRESHOLDS\n", ""),
     [("W-MONITOR-BLIND", 4)], "always ok"),
    ("a threshold on the good side", MONITOR.replace("THRESHOLDS", "warn: {above: 0.8}"),
     [("E-THRESHOLD", 7)], "higher is better"),
    ("thresholds that are swapped", MONITOR.replace(
        "THRESHOLDS", "warn: {below: 0.6}\n    breach: {below: 0.7}"),
     [("E-THRESHOLD", 8)], "swapped"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected", "said"),
    [case[1:] for case in ALONE],
    ids=[case[0].replace(" ", "-") for case in ALONE],
)
def test_a_mistake_is_found_at_its_line(
    text: str, expected: list[tuple[str, int]], said: str
) -> None:
    found = alone(text)
    assert told(found) == expected, "\n".join(map(str, found))
    assert said in str(found[0])
    assert str(found[0]).startswith(f"x.yaml:{expected[0][1]}:")
    assert found[0].column > 0


TASK = "task: {title: Approve?, for: [role:validator]}"
DEPLOY = """
    a:
      WHERE
      steps:
        - use: runtime.deploy
      next: {done: z, refused: z}
    z: {final: true}
    """
IN_PROJECT: list[tuple[str, str, tuple[str, int], str]] = [
    ("a stage that is not there", states("a", DEPLOY.replace("WHERE", "stage: PRDO")),
     ("E-STAGE-UNKNOWN", 6), "did you mean 'PROD'?"),
    ("a deployment nowhere", states("a", DEPLOY.replace("WHERE", "title: A")),
     ("E-STAGE-MISSING", 8), "belongs to no stage"),
    ("a role that nobody has", SOUND.replace("role:validator", "role:validatr"),
     ("E-PEOPLE", 6), "did you mean 'validator'?"),
    ("a person who is not there", SOUND.replace("role:validator", "vara"),
     ("E-PEOPLE", 6), "nobody is called 'vara'"),
    ("a quorum larger than the room", SOUND.replace(
        "[role:validator]", "[role:validator], quorum: 3"), ("E-QUORUM", 6), "2 may answer"),
    ("an approval that is no outcome", SOUND.replace(
        "[role:validator]", "[role:validator], approves: [aprove]"),
     ("E-OUTCOME", 6), "did you mean 'approve'?"),
    ("a deadline that approves", SOUND.replace(
        "[role:validator]", "[role:validator], due: P1D, on_timeout: approve"),
     ("E-TIMEOUT-APPROVES", 6), "never approves"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected", "said"),
    [case[1:] for case in IN_PROJECT],
    ids=[case[0].replace(" ", "-") for case in IN_PROJECT],
)
def test_a_mistake_against_the_project_is_found(
    text: str, expected: tuple[str, int], said: str, project: Path
) -> None:
    found = within(project, text)
    assert expected in told(found), "\n".join(map(str, found))
    assert any(said in str(problem) for problem in found), "\n".join(map(str, found))


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
    assert told(found) == [("E-RUNTIME", 8)]
    assert "several batch runtimes" in found[0].message


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
