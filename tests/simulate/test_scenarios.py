"""Scenarios: what steps, people, signals and monitors answer, and when."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from waystage.errors import Invalid
from waystage.simulate import Played
from waystage.spec.load import parse_stage

SCORE = """\
initial: score
states:
  score:
    stage: PROD
    steps:
      - {id: scoring, use: batch.score, with: {rows: a.jsonl}, timeout: PT1H}
    next: {done: told, refused: rejected, failed: broken}
  told:
    steps:
      - use: notify
        with: {to: mlops, title: scored, text: "{{ steps.scoring.rows }} of {{ service }}"}
    next: closed
  broken: {final: true, outcome: broken}
  rejected: {final: true, outcome: rejected}
  closed: {final: true}
"""
ASK = """\
initial: ask
states:
  ask:
    task:
      title: Go?
      for: [role:validator]
      exclude: [author, starter]
      quorum: 2
      form: {tag: {type: string, pattern: "^v[0-9]$", required: true}}
      due: P7D
      on_timeout: reject
    next: {approve: closed, reject: rejected}
  rejected: {final: true, outcome: rejected}
  closed: {final: true}
"""


def texts(played: Played) -> list[str]:
    return [str(problem) for problem in played.differences]


def test_what_nobody_speaks_of_is_done_and_messages_are_rendered(played: Any) -> None:
    found = played(
        SCORE,
        "plugins: {batch.score: {done: {rows: 12}}}\n"
        'expect: {passes: [score, told], outcome: done, messages: {to: mlops, text: "12 of cc"}}',
    )
    assert texts(found) == []
    assert [each.text for each in found.sent] == ["12 of cc-fraud"]


def test_a_number_that_is_read_must_be_said_and_the_text_says_where(played: Any) -> None:
    (problem,) = texts(played(SCORE, "expect: {}"))
    assert "told is parked (expression)" in problem
    assert "say it: plugins: {batch.score: {done: {rows: …}}}" in problem


def test_a_refusal_takes_its_arrow(played: Any) -> None:
    found = played(SCORE, "plugins: {batch.score: {refused: no}}\nexpect: {outcome: rejected}")
    assert texts(found) == []


def test_errors_are_tried_again_on_the_virtual_clock(played: Any) -> None:
    found = played(
        SCORE,
        "plugins: {batch.score: [{failed: disk}, {failed: disk}, {done: {rows: 1}}]}\n"
        "expect: {outcome: done, never: broken}",
    )
    assert texts(found) == []
    assert timedelta() < found.ended - found.began < timedelta(seconds=6)


def test_an_error_that_stays_is_given_up_after_three_tries(played: Any) -> None:
    found = played(SCORE, "plugins: {batch.score: {failed: disk}}\nexpect: {outcome: broken}")
    assert texts(found) == []
    hopeless = played(SCORE, "plugins: {batch.score: {hopeless: x}}\nexpect: {outcome: broken}")
    assert texts(hopeless) == []
    assert hopeless.ended == hopeless.began


def test_an_answer_after_the_timeout_is_an_error(played: Any) -> None:
    late = "plugins: {batch.score: {done: {rows: 1}, after: PT2H}}\nexpect: {outcome: broken}"
    assert texts(played(SCORE, late)) == []
    early = late.replace("PT2H", "PT1H").replace("broken", "done")
    found = played(SCORE, early)
    assert (texts(found), found.ended - found.began) == ([], timedelta(hours=1))


def test_a_step_that_waits_is_called_again(played: Any) -> None:
    found = played(
        SCORE,
        "plugins: {batch.score: [{waiting: PT5M}, {waiting: PT5M}, {done: {rows: 1}}]}\n"
        "expect: {outcome: done, within: PT10M}",
    )
    assert texts(found) == []
    assert found.ended - found.began == timedelta(minutes=10)


def test_settings_that_the_plugin_refuses_fail_as_in_a_daemon(played: Any) -> None:
    wrong = SCORE.replace("to: mlops, title", "tos: mlops, title")
    found = played(wrong, "plugins: {batch.score: {done: {rows: 1}}}\nexpect: {incidents: told}")
    assert texts(found) == []
    assert "tos" in found.parked[0].message


def test_an_answer_for_one_place_goes_before_that_for_its_plugin(played: Any) -> None:
    body = "plugins: {batch.score: {done: {rows: 1}}}\nsteps: {NAME: {refused: no}}\n"
    for name in ("score", "scoring", "score.scoring", "score.batch.score"):
        found = played(SCORE, body.replace("NAME", name) + "expect: {outcome: rejected}")
        assert texts(found) == [], name


def test_finished_steps_are_undone_by_what_plugins_answer(played: Any) -> None:
    lifecycle = """\
initial: live
states:
  live:
    stage: PROD
    steps:
      - {use: runtime.deploy, undo: {use: runtime.restore}}
      - {use: runtime.probe}
    next: {done: closed, refused: closed}
  closed: {final: true}
"""
    body = "plugins: {runtime.probe: {hopeless: x}, runtime.restore: {hopeless: y}}\n"
    found = played(lifecycle, body + "expect: {incidents: live}")
    assert texts(found) == []
    assert found.parked[0].kind == "undo"


VERA = "{at: ask, by: vera, outcome: approve, form: {tag: v1}}"
VICTOR = VERA.replace("vera", "victor")


def test_a_quorum_needs_two_people(played: Any) -> None:
    found = played(ASK, f"people: [{VERA}, {VICTOR}]\nexpect: {{outcome: done}}")
    assert texts(found) == []
    alone = texts(played(ASK, f"people: [{VERA}]\nexpect: {{outcome: done}}"))
    assert alone == ["test.yaml:7:10: expect.outcome: the outcome is rejected, not done"]


@pytest.mark.parametrize(
    ("decision", "told"),
    [
        ("{at: ask, by: otto, outcome: approve, form: {tag: v1}}", "it is for role:validator"),
        ("{at: ask, by: dana, outcome: approve, form: {tag: v1}}", "dana made this snapshot"),
        ("{at: ask, by: vera, outcome: approve, form: {tag: x}}", "does not match"),
        ("{at: ask, by: vera, outcome: approve}", "'tag' is missing"),
        ("{at: ask, by: vera, outcome: reject}", "needs a comment"),
    ],
)
def test_people_s_rules_are_checked(played: Any, decision: str, told: str) -> None:
    found = played(ASK, f"people:\n  - {decision}\nexpect: {{}}")
    (problem,) = texts(found)
    assert told in problem
    assert problem.startswith("test.yaml:7:5: people[0]: ")


def test_who_started_the_run_is_kept_out_by_four_eyes(played: Any) -> None:
    found = played(ASK, f"starter: vera\npeople: [{VERA}]\nexpect: {{}}")
    assert "vera started this run" in texts(found)[0]


def test_a_refusal_of_a_person_can_be_what_is_expected(played: Any) -> None:
    dana = VERA.replace("vera", "dana").replace("}}", "}, refused: true}")
    found = played(ASK, f"people: [{dana}, {VERA}, {VICTOR}]\nexpect: {{outcome: done}}")
    assert texts(found) == []
    vera = VERA.replace("}}", "}, refused: true}")
    (wrong,) = texts(played(ASK, f"people: [{vera}]\nexpect: {{outcome: rejected}}"))
    assert "vera may answer, and should be refused" in wrong


def test_a_deadline_comes_before_an_answer_that_is_late(played: Any) -> None:
    late = VERA.replace("}}", "}, after: P8D}")
    found = played(ASK, f"people:\n  - {late}\nexpect: {{outcome: rejected}}")
    (problem,) = texts(found)
    assert problem.startswith("test.yaml:7:5: people[0]: vera was never asked at ask")


def test_a_run_waits_where_nobody_decides(played: Any) -> None:
    found = played(ASK.replace("      due: P7D\n      on_timeout: reject\n", ""),
                   "expect: {ends_in: ask}")  # fmt: skip
    assert texts(found) == []
    assert found.why == "nothing is left that could happen"


STAGED = """\
initial: live
states:
  live:
    stage: PROD
    steps: [{use: runtime.deploy}]
    next: {done: closed, refused: rejected}
  rejected: {final: true, outcome: rejected}
  closed: {final: true}
"""


def test_a_closed_stage_is_waited_for(played: Any) -> None:
    freeze = "stage: PROD\nwindows: [{deny: {from: 2026-01-01T00:00Z, to: 2026-01-08T09:00Z}}]"
    stages = {"PROD": parse_stage(freeze).spec}
    found = played(STAGED, "expect: {outcome: done}", stages=stages)
    assert texts(found) == []
    assert found.ended - found.began == timedelta(days=3)


@pytest.mark.parametrize("requires", ["formats: [onnx]", "tags: {signed: [yes]}"])
def test_a_stage_refuses_what_it_does_not_take(played: Any, requires: str) -> None:
    stages = {"PROD": parse_stage(f"stage: PROD\nrequires: {{{requires}}}").spec}
    assert texts(played(STAGED, "expect: {outcome: rejected}", stages=stages)) == []


CROWN = """\
initial: crown
states:
  crown:
    stage: PROD
    steps: [{use: repository.set_champion}]
    next: {done: back, refused: rejected}
  back:
    stage: PROD
    steps: [{use: runtime.restore}]
    next: {done: told}
  told:
    steps: [{use: notify, with: {to: mlops, title: done, text: done}}]
    next: closed
  rejected: {final: true, outcome: rejected}
  closed: {final: true}
"""


def test_a_stage_refuses_as_the_scenario_says_though_no_step_would(played: Any) -> None:
    found = played(CROWN, "stages: {crown: {refused: not now}}\nexpect: {outcome: rejected}")
    assert texts(found) == []
    assert "stages:" in texts(played(CROWN, "steps: {crown: {refused: x}}\nexpect: {}"))[0]


def test_a_stage_that_the_scenario_closes_is_waited_for_each_time_it_says_so(played: Any) -> None:
    body = "stages: {crown: [{closed: P2D}, {closed: P1D, why: x}], back: {closed: P1D}}\n"
    found = played(CROWN, body + "expect: {outcome: done}")
    assert (texts(found), found.ended - found.began) == ([], timedelta(days=4))
    refused = "stages: {crown: [{closed: P2D}, {refused: x}]}\nexpect: {outcome: rejected}"
    assert texts(played(CROWN, refused)) == []


def test_what_the_scenario_says_goes_before_the_stage_s_file(played: Any) -> None:
    stages = {"PROD": parse_stage("stage: PROD\nrequires: {formats: [onnx]}").spec}
    found = played(CROWN, "stages: {crown: open}\nexpect: {outcome: done}", stages=stages)
    assert texts(found) == []


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("stages: {crowns: open}", "there is no state 'crowns'; did you mean crown?"),
        ("stages: {told: {refused: x}}", "told changes no stage, so no stage is asked"),
        ("stages: {back: {refused: x}}", "back only takes back, which no stage refuses"),
        ("stages: {crown: {refused: x}, back: open}", "back never asked its stage"),
    ],
)
def test_a_stage_that_is_never_asked_is_told(played: Any, wrong: str, says: str) -> None:
    (problem,) = texts(played(CROWN, f"{wrong}\nexpect: {{}}"))
    assert says in problem
    assert "test.yaml:6:" in problem


@pytest.mark.parametrize(
    "wrong", ["{}", "{closed: PT0S}", "{open: true, refused: x}", "shut", "{open: false}"]
)
def test_an_answer_of_a_stage_is_one_of_three(played: Any, wrong: str) -> None:
    with pytest.raises(Invalid):
        played(CROWN, f"stages: {{crown: {wrong}}}\nexpect: {{}}")


CALL = """\
initial: review
states:
  review:
    call: {lifecycle: reviewing}
    next: {done: closed, declined: rejected, failed: lost}
  lost: {final: true, outcome: lost}
  rejected: {final: true, outcome: rejected}
  closed: {final: true}
"""


@pytest.mark.parametrize(
    ("calls", "outcome"),
    [
        ("", "done"),
        ("calls: {review: {outcome: declined, after: P2D}}\n", "rejected"),
        ("calls: {review: {lost: aborted by hand}}\n", "lost"),
    ],
)
def test_a_called_lifecycle_ends_as_the_scenario_says(
    played: Any, calls: str, outcome: str
) -> None:
    assert texts(played(CALL, f"{calls}expect: {{outcome: {outcome}}}")) == []


BRANCHES = """\
initial: both
states:
  both:
    branches:
      data:
        initial: look
        states:
          look: {task: {title: Data?, for: [role:validator]}, next: {approve: fine, reject: bad}}
          fine: {final: true}
          bad: {final: true, outcome: rejected}
      model:
        initial: wait
        states:
          wait: {timers: {soaked: {after: P1D}}, next: {soaked: fine}}
          fine: {final: true}
    next: {done: closed, any_rejected: rejected}
  rejected: {final: true, outcome: rejected}
  closed: {final: true}
"""


def test_branches_go_side_by_side(played: Any) -> None:
    waits = played(BRANCHES, "expect: {ends_in: [both.data.look, both.model.fine]}")
    assert texts(waits) == []
    body = "people: [{at: look, by: vera, outcome: approve, after: P2D}]\nexpect: {passes: "
    found = played(BRANCHES, body + "[both.model.fine, both.data.fine, closed], outcome: done}")
    assert texts(found) == []


def test_an_endless_loop_is_an_incident(played: Any) -> None:
    loop = "initial: a\nstates:\n  a: {steps: [{use: repository.fetch}], next: b}\n"
    loop += "  b: {steps: [{use: repository.fetch}], next: a}\n"
    found = played(loop, "expect: {}")
    assert found.parked[0].kind == "endless"
    assert "in circles" in texts(found)[0]


def test_a_loop_that_takes_no_time_ends_too(played: Any) -> None:
    loop = "initial: a\nstates:\n  a: {timers: {t: {after: PT0S}}, next: {t: a}}\n"
    found = played(loop, "until: P1D\nexpect: {}")
    assert "more than 10000 events" in texts(found)[0]


def test_the_same_scenario_is_played_the_same_way_twice(played: Any) -> None:
    body = "plugins: {batch.score: [{failed: x}, {done: {rows: 1}}]}\nexpect: {outcome: done}"
    one, two = played(SCORE, body), played(SCORE, body)
    assert (one.visits, one.sent, one.run) == (two.visits, two.sent, two.run)


def test_reminders_end_with_their_task(played: Any) -> None:
    lifecycle = ASK.replace("closed: {final: true}", "closed: {timers: {end: {after: P90D}}, "
                            "next: {end: over}}\n  over: {final: true}")  # fmt: skip
    lifecycle = lifecycle.replace("due: P7D", "due: P7D\n      remind: P1D")
    found = played(lifecycle, f"people: [{VERA}, {VICTOR}]\nexpect: {{outcome: done}}")
    assert texts(found) == []
    assert found.sent == ()
