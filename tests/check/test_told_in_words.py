"""Mistakes of a first lifecycle: each is told once, with what was probably meant."""

from __future__ import annotations

from pathlib import Path

import pytest
from check_cases import Case

SOUND = """
lifecycle: loan
services: [credit-risk]
data: {limit: {type: number, default: 0}}
initial: review
states:
  review:
    branches:
      legal:
        initial: sign
        states:
          sign:
            task: {title: "May it be used?", for: [role:owner], due: P5D}
            next: {approve: good, reject: bad}
          good: {final: true}
          bad: {final: true, outcome: declined}
      risk:
        initial: rate
        states:
          rate:
            task:
              title: "Which limit?"
              for: [role:validator]
              exclude: [author]
              form: {limit: {type: number, required: true}}
            next:
              approve: [{to: good, set: {limit: "{{ tasks.rate.form.limit }}"}}]
              reject: bad
          good: {final: true}
          bad: {final: true, outcome: declined}
    next: {done: live, any_declined: closed}
  live:
    stage: DEV
    states:
      deploy:
        steps: [{use: runtime.deploy}]
        next: {done: serving, refused: over}
      serving:
        timers: {looked: {cron: "0 6 * * MON", zone: Europe/Berlin}}
        next:
          looked:
            - {if: data.limit > 1000, to: over}
            - {to: serving}
      over: {final: true}
    next: closed
  closed: {final: true}
"""


def told(text: str, directory: Path) -> list[str]:
    """Give what `validate` says of the text, without its places."""
    case = Case("", "", "", text, at="", says="", mend={})
    return [f"{each.message}; {each.suggestion}" for each in case.problems(directory)]


def test_the_lifecycle_that_is_broken_below_is_sound(tmp_path: Path) -> None:
    assert told(SOUND, tmp_path) == []


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("for: [role:owner]", "for: owner", "nobody is called 'owner'; did you mean 'role:owner'?"),
        ("[author]", "[autor]", "nobody is called 'autor'; did you mean 'author'?"),
        ("due: P5D", "due: 5", "5 is not a duration; write it as in PT30S"),
        ("Europe/Berlin", "Europe/Berln", "did you mean Europe/Berlin?"),
        ("next: closed", "next: [closed]", "write next: STATE, or next: {EVENT: STATE}"),
        ("{use: runtime.deploy}", "runtime.deploy", "write {use: runtime.deploy}"),
        ("runtime.deploy}", "runtime.deploy, with: {role: chmpion}}",
         "must be champion or challenger; did you mean 'champion'?"),
        ("{done: live,", "{done: serving,", "there is no state 'serving' here; "
         "did you mean 'live.serving'?"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_once_with_what_was_meant(
    right: str, wrong: str, said: str, tmp_path: Path
) -> None:
    assert right in SOUND
    (only,) = told(SOUND.replace(right, wrong, 1), tmp_path)
    assert said in only


def test_an_expression_without_its_braces_is_told_with_them(tmp_path: Path) -> None:
    found = told(SOUND.replace('"{{ tasks.rate.form.limit }}"', "tasks.rate.form.limit"), tmp_path)
    assert 'write "{{ tasks.rate.form.limit }}" for its value' in found[-1]


def test_the_end_of_a_branch_that_nobody_answers_is_no_dead_end(tmp_path: Path) -> None:
    found = told(SOUND.replace("any_declined", "any_decline"), tmp_path)
    assert len(found) == 2
    assert "nothing answers 'any_declined'" in found[0]
    assert "'any_decline' can never happen here; did you mean 'any_declined'?" in found[1]
