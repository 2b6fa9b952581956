"""Lifecycles that are called and played too: their steps, their people, their end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from waystage.plugin import Plugin
from waystage.simulate import Lifecycles, Played, World, coverage_of, play
from waystage.simulate.cast import open_run, people_of
from waystage.simulate.chance import search
from waystage.simulate.explore import Explorer
from waystage.simulate.together import Together
from waystage.spec.load import parse_lifecycle, parse_scenario

BEGINS = datetime(2026, 1, 5, 9, tzinfo=UTC)

SCENARIO = """\
scenario: a test
lifecycle: small
service: cc-fraud
snapshot: {name: credit, version: "1", author: dana}
roles: {vera: validator, dana: validator}
"""
PARENT = """\
lifecycle: small
services: cc-fraud
params: {floor: {type: number, default: 0.2}}
initial: review
states:
  review:
    timers: {late: {after: P30D}}
    signals: [overtaken]
    call: {lifecycle: reviewing, with: {floor: "{{ params.floor }}"}}
    next:
      done: told
      declined: {to: rejected}
      failed: lost
      late: rejected
      overtaken: overtaken
  told:
    steps:
      - use: notify
        with:
          to: mlops
          title: reviewed
          text: "{{ steps.review.outcome }} {{ steps.review.data.score }}"
    next: {done: closed}
  overtaken: {final: true, outcome: overtaken}
  lost: {final: true, outcome: lost}
  rejected: {final: true, outcome: rejected}
  closed: {final: true}
"""
CHILD = """\
lifecycle: reviewing
services: cc-fraud
params: {floor: {type: number, default: 0.9}}
data: {score: {type: number, default: 0}}
monitors: {ks: {use: performance.ks, window: {length: P7D}, breach: {below: 0.1}}}
initial: score
states:
  score:
    stage: PROD
    steps: [{id: scoring, use: batch.score, with: {rows: a.jsonl}}]
    next: {done: {to: rest, set: {score: "{{ params.floor }}"}}, refused: declined}
  rest: {timers: {over: {after: P2D}}, next: {over: judge}}
  judge: {verify: [ks], next: {ok: ask, warn: rest, breach: declined, insufficient: rest}}
  ask:
    task: {title: Go?, for: [role:validator], exclude: [author, starter], outcomes: [go, stop]}
    next: {go: closed, stop: declined}
  declined: {final: true, outcome: declined}
  closed: {final: true}
"""
WELL = "people: [{at: ask, by: vera, outcome: go, after: P1D}], monitors: {ks: [ok]}"

Acting = Callable[..., Played]


@pytest.fixture(scope="session")
def ready(catalog: Mapping[str, type[Plugin]]) -> Lifecycles:
    loaded = [parse_lifecycle(text, "a.yaml") for text in (PARENT, CHILD)]
    return Lifecycles({each.spec.lifecycle: each for each in loaded}, catalog)


@pytest.fixture
def acted(world: World, ready: Lifecycles) -> Acting:
    def playing(scenario: str, lifecycles: Mapping[str, Any] = ready) -> Played:
        there = World(world.rules, world.catalog, lifecycles=lifecycles)
        return play(parse_scenario(SCENARIO + scenario, "test.yaml"), ready["small"], there)

    return playing


def texts(played: Played) -> list[str]:
    return [str(problem) for problem in played.differences]


def took(played: Played) -> timedelta:
    assert played.began
    assert played.ended
    return played.ended - played.began


def calling(play: str, expect: str) -> str:
    return f"calls: {{review: {{play: {{{play}}}}}}}\nexpect: {expect}\n"


def test_a_called_lifecycle_is_played_and_its_end_is_the_state_s_event(acted: Acting) -> None:
    own = WELL + ", expect: {passes: [score, judge, ask], data: {score: 0.2}, outcome: done}"
    found = acted(calling(own, "{outcome: done, messages: done 0.2, within: P3D}"))
    assert texts(found) == []
    assert took(found) == timedelta(days=3)
    (child,) = found.called
    assert [visit.state for visit in child.visits] == ["score", "rest", "judge", "ask", "closed"]


@pytest.mark.parametrize(
    "own",
    [
        "plugins: {batch.score: {refused: no}}",
        "monitors: {ks: [breach]}",
        "monitors: {ks: ok}, people: [{at: ask, by: vera, outcome: stop, comment: it is old}]",
    ],
)
def test_what_is_answered_inside_decides_outside(acted: Acting, own: str) -> None:
    assert texts(acted(calling(own, "{outcome: rejected}"))) == []


def test_four_eyes_hold_across_both(acted: Acting) -> None:
    body = calling(WELL.replace("vera", "dana"), "{}")
    assert any("people[0]: dana" in text for text in texts(acted(body)))


def test_a_child_of_a_state_that_is_left_is_aborted(acted: Acting) -> None:
    own = "monitors: {ks: [ok]}, expect: {ends_in: [], outcome: aborted}"
    assert texts(acted(calling(own, "{outcome: rejected, within: P30D}"))) == []
    signal = "signals: [{name: overtaken, after: P1D}]\n"
    assert texts(acted(signal + calling("expect: {never: judge}", "{outcome: overtaken}"))) == []


def test_a_difference_in_the_child_is_told_where_it_is_written(acted: Acting) -> None:
    body = """\
calls:
  review:
    - outcome: declined
    - play:
        people: [{at: ask, by: vera, outcome: go}]
        monitors: {ks: [ok, ok]}
        expect:
          passes: [ask, score]
          data: {score: 3}
expect: {outcome: rejected}
"""
    (unplayed,) = texts(acted(body))
    assert "test.yaml:9:7: calls.review[1].play: review was called once" in unplayed
    found = texts(acted(body.replace("    - outcome: declined\n", "").replace("rejected", "done")))
    assert [text.partition(": the run")[0] for text in found[1:2]] == [
        "test.yaml:12:25: calls.review[0].play.expect.passes[1]"
    ]
    assert "test.yaml:10:29: calls.review[0].play.monitors.ks[1]" in found[0]
    assert "score is 0.2, not 3" in found[2]
    assert len(found) == 3


def test_an_incident_in_the_child_fails_the_scenario(acted: Acting) -> None:
    found = texts(acted(calling("plugins: {batch.score: {hopeless: gone}}", "{}")))
    assert any("score is parked" in text for text in found)


def test_a_question_without_an_answer_ends_both_where_they_were(acted: Acting) -> None:
    own = "monitors: {ks: [insufficient]}, expect: {ends_in: rest}"
    found = acted(calling(own, "{ends_in: review}"))
    assert texts(found) == []
    assert took(found) == timedelta(days=2)


def test_both_ways_of_speaking_of_a_call_may_follow_each_other(acted: Acting) -> None:
    found = acted(calling("}, outcome: done, data: {score: 1", "{}").replace("play: {}, ", ""))
    assert texts(found) == []
    assert found.called == ()


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("calls: {review: {play: {steps: {scare: {refused: x}}}}}", "scare"),
        ("calls: {review: {play: {people: [{at: ask, by: vera, outcome: wait}]}}}", "'wait'"),
        ("calls: {review: {play: {expect: {passes: scores}}}}", "did you mean score?"),
        ("calls: {told: {outcome: done}}", "told calls no lifecycle"),
    ],
)
def test_what_the_called_lifecycle_does_not_have_is_told(
    acted: Acting, body: str, says: str
) -> None:
    (problem,) = texts(acted(body + "\nexpect: {}"))
    assert says in problem
    assert "test.yaml:6:" in problem


def test_a_lifecycle_that_is_not_there_cannot_be_played(acted: Acting) -> None:
    (problem,) = texts(acted(calling("", "{}"), {}))
    assert "there is no lifecycle 'reviewing' that could be played" in problem
    assert "say how review ends" in problem


def test_what_the_child_went_through_counts_as_covered(acted: Acting, ready: Lifecycles) -> None:
    found = acted(calling(WELL, "{outcome: done}"))
    child, parent = (coverage_of(ready[name], [found]) for name in ("reviewing", "small"))
    assert (child.scenarios, parent.scenarios) == (1, 1)
    assert child.states_seen == 5  # all but `declined`
    assert coverage_of(ready["reviewing"], found.called).states_seen == 5
    unplayed = acted("calls: {review: {data: {score: 1}}}\nexpect: {}")
    assert coverage_of(ready["reviewing"], [unplayed]).states_seen == 0


def test_a_called_lifecycle_is_stepped_through(world: World, ready: Lifecycles) -> None:
    there = World(world.rules, world.catalog, lifecycles=ready)
    first = ready["small"]
    run = open_run(first, there, "cc-fraud", {}, {"floor": 0.3})
    together = Together(Explorer(first, there, run, BEGINS, people_of(ready["reviewing"], there)))

    def take(name: str) -> list[str]:
        options = {each.name: each for each in together.options()}
        options[name].act({})
        return [each.name for each in together.options()]

    assert [each.name for each in together.options()][:2] == ["done", "declined"]
    assert "review/done" in take("play")
    names = take("review/done")
    assert "review/over" in names  # its timer fires first
    assert "late" not in names
    assert "declined" not in names  # it ends as it is played
    take("review/over")
    assert together.first.explorer.sim.now == BEGINS + timedelta(days=2)
    take("review/ok")
    assert take("review/go")[0] == "done"
    assert together.first.explorer.sim.run.steps["review"]["data"] == {"score": 0.3}
    assert [each.lead for each in together.members] == ["", "review/"]
    assert [each.lead for each in together.live] == [""]


def test_a_called_lifecycle_ends_with_its_caller(world: World, ready: Lifecycles) -> None:
    there = World(world.rules, world.catalog, lifecycles=ready)
    first = ready["small"]
    run = open_run(first, there, "cc-fraud", {}, {})
    together = Together(Explorer(first, there, run, BEGINS, people_of(first, there)))
    for name in ("play", "overtaken"):
        next(each for each in together.options() if each.name == name).act({})
    assert together.first.explorer.sim.run.outcome == "overtaken"
    assert together.members[1].explorer.sim.run.outcome == "aborted"
    assert together.options() == []


def test_runs_by_chance_look_into_called_lifecycles(
    world: World, catalog: Mapping[str, type[Plugin]]
) -> None:
    dead = CHILD.replace("{over: judge}", "{over: stuck}").replace(
        "  judge:", "  stuck: {wait: true}\n  judge:"
    )
    parent = PARENT.replace("    timers: {late: {after: P30D}}\n    signals: [overtaken]\n", "")
    parent = parent.replace("      late: rejected\n      overtaken: overtaken\n", "")
    loaded = [parse_lifecycle(text, "a.yaml") for text in (parent, dead)]
    ready = Lifecycles({each.spec.lifecycle: each for each in loaded}, catalog)
    there = World(world.rules, world.catalog, lifecycles=ready)
    found = search(ready["small"], there, BEGINS, 40, 1)
    assert ("dead end", "review, review/stuck") in {(f.kind, f.state) for f in found.findings}
    sound = Lifecycles({each.spec.lifecycle: each for each in loaded} | {
        "reviewing": parse_lifecycle(CHILD, "a.yaml")}, catalog)  # fmt: skip
    there = World(world.rules, world.catalog, lifecycles=sound)
    assert search(sound["small"], there, BEGINS, 40, 1).findings == ()
