"""What a plan says: differences in the words of the YAML, bounds, and mappings with places."""

from __future__ import annotations

from datetime import timedelta

import pytest
from walking import answered, definition, fired, opened

from waystage import library
from waystage.errors import Invalid
from waystage.planning.bounds import bounds_of
from waystage.planning.difference import differences, renames
from waystage.planning.mapping import draft, parse_mapping
from waystage.planning.plan import Known, plan_json, plan_of
from waystage.registry import load_catalog

CATALOG = load_catalog()
SCORECARD = next(path for path in library.lifecycles() if path.stem == "scorecard").read_text()


def told(*changes: tuple[str, str]) -> list[str]:
    text = SCORECARD
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    return between(SCORECARD, text)


def between(old: str, new: str) -> list[str]:
    return [str(each) for each in differences(definition(old).spec, definition(new).spec)]


def test_the_same_text_in_another_order_and_with_comments_has_no_differences() -> None:
    assert told(("cooldown: P120D", "cooldown: P120D # four months")) == []
    assert told(("{type: number, minimum: 0, ", "{minimum: 0, type: number, ")) == []


@pytest.mark.parametrize(("before", "after", "said"), [
    ("default: 0.15", "default: 0.12", "~ param    ks_floor: default: 0.15 → 0.12"),
    ("cooldown: P120D", "cooldown: P90D", "~ monitor  ks: cooldown: P120D → P90D"),
    ("after: PT1H", "after: PT2H", "~ timer    promote.soak: soaked: after: PT1H → PT2H"),
    ("data.looks < 2", "data.looks < 3", "~ guard    compare: done → look_again: if "
     'steps.compare.verdict == "wait" && data.looks < 2 → if '
     'steps.compare.verdict == "wait" && data.looks < 3'),
    ("{max: 3, backoff: {first: PT5S", "{max: 5, backoff: {first: PT5S",
     "~ step     build: bundle.build#bundle: retry.max: 3 → 5"),
    ("for: [role:owner]", "for: [role:head]",
     '~ task     release: for: ["role:owner"] → ["role:head"]'),
    ("next: {go: production, stop: withdraw}", "next: {go: production, stop: rejected}",
     "~ arrow    release: stop → withdraw becomes stop → rejected"),
    ("verify: [volume, quality]", "verify: [volume]",
     '~ state    production.inspect: verify: ["volume", "quality"] → ["volume"]'),
    ("stages: [DEV, SIT, UAT]\n    lease", "stages: [DEV, UAT]\n    lease",
     '~ state    promote: stages: ["DEV", "SIT", "UAT"] → ["DEV", "UAT"]'),
])  # fmt: skip
def test_each_kind_of_change_is_told_in_one_line(before: str, after: str, said: str) -> None:
    assert said in told((before, after))


def test_what_is_added_and_removed_is_told_with_what_it_does() -> None:
    text = SCORECARD.replace("  closed:   {final", "  closed: {final")
    closed = "  closed: {final: true}"
    added = text.replace(
        closed, f"{closed}\n  parked: {{timers: {{t: {{after: P1D}}}}, next: {{t: closed}}}}"
    )
    assert between(text, added) == ["+ state    parked: wait"]
    assert between(added, text) == ["- state    parked: wait"]


def test_a_state_that_only_got_another_name_is_guessed() -> None:
    renamed = SCORECARD.replace("look_again", "wait_for_labels")
    guesses = renames(definition(SCORECARD).spec, definition(renamed).spec)
    assert guesses == {"look_again": "wait_for_labels"}


def test_the_scorecard_reaches_production_after_three_soaks_and_two_approvals() -> None:
    found = {reach.stage: reach for reach in bounds_of(definition(SCORECARD), CATALOG).reaches}
    assert found["PROD"].soonest == timedelta(hours=3)
    assert found["PROD"].approvals == 2
    assert found["PROD"].tasks == ("approve", "release")
    assert found["DEV"].approvals == 1


BACK = """
lifecycle: back
services: [s]
monitors: {m: {use: volume, window: {length: P1D}, breach: {below: 1}}}
initial: go
states:
  go:
    stage: PROD
    timers: {late: {after: P1D}}
    states:
      ask: {task: {title: T, for: [x], quorum: 2}, next: {approve: deploy, reject: over}}
      deploy: {steps: [{use: runtime.deploy}], next: {done: serving, refused: over}}
      serving: {timers: {t: {every: P7D}}, next: {t: look}}
      look: {verify: [m], next: {ok: serving, warn: serving, insufficient: serving, breach: calm}}
      calm: {timers: {t: {after: PT2H}}, next: {t: sure}}
      sure:
        task: {title: Back?, for: [x], due: P1D, outcomes: [keep, back], on_timeout: back}
        next: {keep: revert, back: revert}
      revert: {steps: [{use: runtime.restore}], next: {done: over, refused: over}}
    next: {late: go.deploy}
  over: {final: true}
"""


def test_the_way_back_sums_what_waits_by_itself() -> None:
    (back,) = bounds_of(definition(BACK), CATALOG).back
    assert (back.state, back.most) == ("go.look", timedelta(days=1, hours=2))


def test_a_way_back_that_waits_for_a_person_or_never_comes_has_no_bound() -> None:
    for change, why in [
        ((", on_timeout: back", ""), "go.sure waits for a person"),
        (("keep: revert", "keep: serving"), "comes back to go.look"),
        (("keep: revert", "keep: over"), "the run ends in over"),
    ]:
        (back,) = bounds_of(definition(BACK.replace(*change)), CATALOG).back
        assert back.most is None
        assert why in back.why


def test_a_timer_of_an_outer_state_runs_while_the_inner_ones_go_on() -> None:
    wait = "      wait: {timers: {w: {after: P3D}}, next: {w: deploy}}"
    text = BACK.replace("approve: deploy", "approve: wait")
    text = text.replace("      serving:", f"{wait}\n      serving:")
    (reach,) = bounds_of(definition(text), CATALOG).reaches
    assert reach.soonest == timedelta(days=1)  # the outer timer comes before the inner one
    assert reach.approvals == 0  # and needs nobody


STAGED = """
lifecycle: staged
services: [s]
initial: promote
states:
  promote:
    stages: [DEV, PROD]
    states:
      deploy: {steps: [{use: a.b}], next: {done: soak, refused: over}}
      soak: {timers: {soaked: {after: PT1H}}, next: {soaked: passed}}
      passed: {final: true}
    next: {done: over}
  over: {final: true}
"""
RESTED = STAGED.replace("soak:", "rest:").replace("done: soak", "done: rest")


def test_a_mapping_of_a_staged_state_holds_in_each_stage() -> None:
    mapping = parse_mapping("migration: staged\nstates: {promote.soak: promote.rest}")
    old, new = definition(STAGED), definition(RESTED)
    assert mapping.problems([old], new) == []
    assert mapping.expanded(old, new) == {
        "promote.DEV.soak": "promote.DEV.rest", "promote.PROD.soak": "promote.PROD.rest",
    }  # fmt: skip


@pytest.mark.parametrize(("line", "said"), [
    ("promote.soak: promote.rst", "m.yaml:3:3: states.promote.soak: the new staged has no state "
     "'promote.rst'; did you mean promote.rest?"),
    ("promote.sok: promote.rest", "m.yaml:3:3: states.promote.sok: no run of staged ever had a "
     "state 'promote.sok' to rest in; did you mean promote.soak?"),
])  # fmt: skip
def test_a_wrong_line_of_a_mapping_is_told_with_its_place(line: str, said: str) -> None:
    mapping = parse_mapping(f"migration: staged\nstates:\n  {line}\n", "m.yaml")
    problems = mapping.problems([definition(STAGED)], definition(RESTED))
    assert [str(problem) for problem in problems] == [said]


def test_a_draft_that_nobody_completed_is_refused() -> None:
    with pytest.raises(Invalid, match=r"<text>:3:3"):
        parse_mapping(draft("staged", {"promote.soak": ""}))


def test_a_plan_counts_runs_by_what_they_can_do_and_asks_for_a_mapping() -> None:
    old, new = definition(STAGED), definition(RESTED)
    first, second = opened(old), answered(old, opened(old))
    plan = plan_of(new, Known(old, {old.hash: old}, [first, second]), CATALOG)
    assert plan.counts == {"auto": 1, "map": 1}
    assert plan.homes() == {"promote.DEV.soak": ""}
    shown = plan_json(plan)
    assert shown["changed"] is True
    assert [run["verdict"] for run in shown["versions"][0]["runs"]] == ["auto", "map"]


def test_runs_of_an_older_text_are_compared_with_their_own() -> None:
    oldest = definition(STAGED.replace("PT1H", "PT5H"))
    old, new = definition(STAGED), definition(RESTED)
    run = answered(oldest, opened(oldest))
    plan = plan_of(new, Known(old, {oldest.hash: oldest}, [run]), CATALOG)
    assert [(v.newest, len(v.fits)) for v in plan.versions] == [(False, 1), (True, 0)]
    run = fired(oldest, run, "promote.DEV.soak", "soaked")
    plan = plan_of(new, Known(old, {oldest.hash: oldest}, [run]), CATALOG)
    assert plan.counts == {"auto": 1}


def test_a_lifecycle_that_no_run_has_followed_is_new() -> None:
    plan = plan_of(definition(STAGED), Known(None), CATALOG)
    assert plan.versions == ()
    assert plan.counts == {}
