"""What a monitor evaluates itself, and where its alarms end, are read before anything runs."""

from __future__ import annotations

import pytest

from waystage.check import check_lifecycle
from waystage.registry import load_catalog
from waystage.spec.load import parse_lifecycle

WATCHED = """\
lifecycle: watched
services: [credit]
monitors:
  both:
    use: expression
    with:
      metrics: {{auc: {{use: performance.auc}}, ks: {{use: performance.ks}}}}
      when: {when}
    window: {{length: P7D}}
    breach: {{above: {above}, clear: {clear}}}
initial: look
states:
  look:
    stage: PROD
    verify: both
    next: {{ok: closed, warn: closed, insufficient: closed, breach: closed, error: closed}}
  closed: {{final: true}}
"""


def told(when: str = "auc < 0.7", above: str = "0.5", clear: str = "0.5") -> list[tuple[str, str]]:
    loaded = parse_lifecycle(WATCHED.format(when=when, above=above, clear=clear))
    problems = check_lifecycle(loaded, None, load_catalog())
    return [(problem.code, problem.message) for problem in problems if problem.severity == "error"]


@pytest.mark.parametrize(
    "when", ["auc < 0.7", "auc < 0.7 && ks_low < 0.2 || auc_high < 0.65", "auc - ks > 0.5"]
)
def test_a_condition_over_the_metrics_is_sound(when: str) -> None:
    assert told(when) == []


@pytest.mark.parametrize(
    ("when", "code", "says"),
    [
        ("acu < 0.7", "E-EXPRESSION", "there is no name 'acu'"),
        ("auc <", "E-EXPRESSION", "character"),
        ("auc + ks", "E-EXPRESSION-TYPE", "it is double, and a condition is true or false"),
        ('auc < "0.7"', "E-EXPRESSION-TYPE", "auc"),
        ("params.floor > auc", "E-EXPRESSION", "there is no name 'params'"),
    ],
)
def test_a_condition_that_cannot_be_is_found(when: str, code: str, says: str) -> None:
    ((found, message),) = told(when)
    assert found == code
    assert says in message


@pytest.mark.parametrize(("above", "clear", "sound"), [("0.5", "0.4", True), ("0.5", "0.6", False)])
def test_an_alarm_ends_on_the_good_side_of_its_threshold(
    above: str, clear: str, sound: bool
) -> None:
    found = told(above=above, clear=clear)
    assert found == ([] if sound else [
        ("E-THRESHOLD", "clear (0.6) is on the bad side of breach (0.5)")
    ])  # fmt: skip


def test_clear_is_a_number_like_the_threshold() -> None:
    assert told(clear='"{{ service }}"')[0][0] == "E-THRESHOLD"
