"""What differs is told with its line; what does not fit the lifecycle, before anything runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from waystage.simulate import Prepared, World, play
from waystage.spec.load import parse_scenario

LIFECYCLE = """\
params: {floor: {type: number, maximum: 1, default: 0.2}}
data: {looks: {type: integer, default: 0}}
monitors:
  ks: {use: performance.ks, window: {length: P7D}, breach: {below: 0.2}}
initial: check
states:
  check:
    steps: [{id: model, use: model.check}]
    next: {done: approve, refused: rejected}
  approve:
    task: {title: Go?, for: [role:validator]}
    next: {approve: {to: live, set: {looks: 3}}, reject: rejected}
  live:
    stages: [SIT, PROD]
    states:
      soak: {timers: {soaked: {after: P1D}}, next: {soaked: over}}
      over: {final: true}
    next: told
  told:
    steps: [{use: notify, with: {to: mlops, title: Live, text: It is live}}]
    signals: [stop]
    next: {done: closed, stop: rejected}
  rejected: {final: true, outcome: rejected}
  closed: {final: true}
"""
VERA = "people: [{at: approve, by: vera, outcome: approve}]\n"
STORY = "check → approve → live.SIT.soak → live.SIT.over → live.PROD.soak → live.PROD.over"


def told(played: Any, scenario: str) -> list[str]:
    return [str(problem) for problem in played(LIFECYCLE, scenario).differences]


@pytest.mark.parametrize(
    ("expect", "difference"),
    [
        ("passes: [check, closed, told]",
         "7:34: expect.passes[2]: the run never came to told after closed; it went "
         f"{STORY} → told → closed"),
        ("never: live.PROD", "7:10: expect.never: the run came to live.PROD at 2026-01-06 09:00"),
        ("ends_in: told", "expect.ends_in: the run is in closed, not in told; the run has ended"),
        ("outcome: rejected", "expect.outcome: the outcome is done, not rejected"),
        ("data: {looks: 2}", "7:17: expect.data.looks: looks is 3, not 2"),
        ("messages: [Live soon]", "no such message was sent; there was told to mlops: Live"),
        ("messages: [{to: mlops}, {to: mlops}]", "expect.messages[1]: no such message was sent"),
        ("messages: {title: Live, level: alarm}", "no such message was sent"),
        ("incidents: told", "there was no such incident"),
        ("within: P1D", "7:10: expect.within: it took P2D, more than P1D"),
    ],
)  # fmt: skip
def test_what_differs_is_told_with_its_line(played: Any, expect: str, difference: str) -> None:
    (problem,) = told(played, f"{VERA}expect: {{{expect}}}")
    assert difference in problem
    assert problem.startswith("test.yaml:7:")


@pytest.mark.parametrize(
    "expect",
    [
        "passes: [check, live, soak, live.PROD.soak, live.over, closed]",
        "passes: [live.soak, live.soak]",
        "never: [rejected]",
        "ends_in: closed",
        "data: {looks: 3}",
        "messages: [It is live]",
        "messages: [{to: mlops, title: Live, text: live, level: info}]",
        "within: P2D",
    ],
)
def test_what_came_as_expected_is_not_told(played: Any, expect: str) -> None:
    assert told(played, f"{VERA}expect: {{{expect}}}") == []


def test_an_incident_that_nobody_expects_fails_the_scenario(played: Any) -> None:
    (problem,) = told(played, "plugins: {model.check: {failed: disk}}\nexpect: {}")
    assert "check is parked (failed): model.check: disk" in problem


@pytest.mark.parametrize(
    ("scenario", "problem"),
    [
        ("expect: {passes: [aprove]}", "there is no state 'aprove'; did you mean approve?"),
        ("expect: {ends_in: live.soaks}", "there is no state 'live.soaks'"),
        ("expect: {data: {look: 1}}", "the lifecycle has no 'look'; did you mean looks?"),
        ("expect: {data: {looks: x}}", "'x' is no integer"),
        ("params: {floor: 2}\nexpect: {}", "2 is more than 1"),
        ("params: {flor: 1}\nexpect: {}", "the lifecycle has no 'flor'; did you mean floor?"),
        ("plugins: {model.chek: {done: {}}}\nexpect: {}", "did you mean model.check?"),
        ("plugins: {notify: {refused: no}}\nexpect: {}", "notify never refuses"),
        ("plugins: {model.check: {done: {file: 1}}}\nexpect: {}", "gives no 'file'; did you mean"),
        ("plugins: {model.check: {done: {files: many}}}\nexpect: {}", "model.check: files: input"),
        ("steps: {modl: {done: {}}}\nexpect: {}", "did you mean model?"),
        ("people: [{at: check, by: vera, outcome: approve}]\nexpect: {}", "check has no task"),
        ("people: [{at: approve, by: vera, outcome: aprove}]\nexpect: {}", "no outcome 'aprove'"),
        ("people: [{at: approve, by: vero, outcome: approve}]\nexpect: {}", "did you mean vera?"),
        ("signals: [{name: stopp}]\nexpect: {}", "no state listens to 'stopp'; did you mean stop?"),
        ("monitors: {kss: ok}\nexpect: {}", "no monitor 'kss'; did you mean ks?"),
    ],
)
def test_what_does_not_fit_the_lifecycle_is_told_before_anything_runs(
    played: Any, scenario: str, problem: str
) -> None:
    found = played(LIFECYCLE, scenario)
    assert problem in "\n".join(str(each) for each in found.differences)
    assert found.run is None


def test_the_service_must_be_one_of_the_lifecycle_s(
    world: World, prepared: Callable[[str], Prepared]
) -> None:
    text = "scenario: x\nlifecycle: small\nservice: pricing\n"
    loaded = parse_scenario(text + 'snapshot: {name: a, version: "1"}\nexpect: {}')
    (problem,) = play(loaded, prepared(LIFECYCLE), world).differences
    assert "service: small is for cc-fraud, not for pricing" in str(problem)
