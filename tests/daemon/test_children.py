"""A state that calls another lifecycle: the child run, its end, and what ends it early."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from waystage.daemon.hot import HotRun
from waystage.kernel import Event, Run, events
from waystage.kernel.replay import rebuild
from waystage.plugin import Hopeless, Waiting
from waystage.spec.load import parse_lifecycle

PARENT = """
lifecycle: parent
services: [s]
initial: check
states:
  check:
    signals: [enough]
    call: {lifecycle: child, with: {level: 2}}
    next: {good: passed, bad: no, enough: no}
  passed: {final: true}
  no: {final: true, outcome: rejected}
"""
CHILD = """
lifecycle: child
services: [s]
params: {level: {type: integer, default: 1}}
data: {seen: {type: integer, default: 0}}
initial: work
states:
  work:
    steps: [{use: test.act, with: {do: "level {{ params.level }}"}}]
    next: {done: {to: good, set: {seen: 7}}, refused: bad}
  good: {final: true, outcome: good}
  bad: {final: true, outcome: bad}
"""
GRAND = PARENT.replace("lifecycle: parent", "lifecycle: grand").replace(
    "call: {lifecycle: child, with: {level: 2}}\n    next: {good: passed, bad: no",
    "call: {lifecycle: parent}\n    next: {done: passed, rejected: no",
)


@pytest.fixture
def play(bench: Any) -> Any:
    loaded = [parse_lifecycle(text) for text in (PARENT, CHILD, GRAND)]
    bench.definitions._present = {each.spec.lifecycle: each for each in loaded}
    return bench


def opened(bench: Any, name: str = "parent") -> str:
    return bench.open(bench.definitions.by_name(name))


def test_a_child_opens_on_the_same_snapshot_and_its_outcome_moves_the_parent(play):
    run = opened(play)
    play.until(lambda: play.store.run(run).status == "ended")
    child = play.store.children(run)[0]
    assert (child.lifecycle, child.status, child.outcome) == ("child", "ended", "good")
    assert play.store.run(run).outcome == "done"
    body, parent = play.store.run_body(child.id), play.store.run_body(run)
    assert body["snapshot"] == parent["snapshot"]
    assert (body["parent"]["run"], body["params"]) == (run, {"level": 2})
    assert parent["steps"]["check"] == {"run": child.id, "outcome": "good", "data": {"seen": 7}}


@pytest.mark.parametrize(
    ("given", "why"),
    [("{level: '{{ service }}'}", "'s' is no integer"), ("{lewel: 2}", "no parameter 'lewel'")],
)
def test_a_value_that_the_child_does_not_take_parks_the_parent(play, given, why):
    text = PARENT.replace("{level: 2}", given)
    play.definitions._present["parent"] = parse_lifecycle(text)
    run = opened(play)
    play.until(lambda: len(play.store.incidents(run=run)) == 1)
    assert why in play.store.incidents(run=run)[0].message
    assert play.store.children(run) == []


def test_the_starter_of_a_child_is_who_started_its_parent(play):
    run = opened(play, "grand")
    play.until(lambda: play.store.run(run).status == "ended")
    middle = play.store.children(run)[0]
    child = play.store.children(middle.id)[0]
    assert play.store.run_body(child.id)["starter"] == "dana"


def test_the_service_s_parameters_are_the_child_s_too_and_the_call_goes_before_them(play):
    service = SimpleNamespace(params={"level": 9, "other": 1})
    project = SimpleNamespace(spec=SimpleNamespace(services={"s": service}))
    play.definitions._files = SimpleNamespace(project=project)
    definition = play.definitions.by_name("child")
    assert play.definitions.params_of(definition, "s") == {"level": 9}
    run = opened(play)
    play.until(lambda: play.store.run(run).status == "ended")
    assert play.store.run_body(play.store.children(run)[0].id)["params"] == {"level": 2}


def test_a_child_that_is_aborted_parks_the_parent_and_a_retry_calls_a_new_one(play):
    play.play.answers["level 2"] = [Hopeless("no such thing")]
    run = opened(play)
    play.until(lambda: len(play.store.incidents()) == 1)
    first = play.store.children(run)[0]
    play.send(first.id, events.repair("abort", "work", {"reason": "wrong"}, "otto"))
    play.until(lambda: [i.run for i in play.store.incidents()] == [run])
    assert f"{first.id} was aborted" in play.store.incidents()[0].message
    play.send(run, events.repair("retry", "check", {}, "otto"))
    play.until(lambda: play.store.run(run).status == "ended")
    assert [child.outcome for child in play.store.children(run)] == ["aborted", "good"]


def test_leaving_the_calling_state_aborts_child_and_grandchild(play):
    play.play.answers["level 2"] = [Waiting(timedelta(days=1))] * 9
    run = opened(play, "grand")
    play.settle()
    play.send(run, events.signal("enough", {}))
    middle = play.store.children(run)[0]
    child = play.store.children(middle.id)[0]
    play.until(lambda: play.store.run(child.id).status == "ended")
    outcomes = [play.store.run(each).outcome for each in (run, middle.id, child.id)]
    assert outcomes == ["rejected", "aborted", "aborted"]
    assert play.store.incidents() == []
    assert not [line for line in play.said(middle.id) if line.startswith("ignored")]


def test_a_lifecycle_that_is_gone_parks_the_parent_and_names_what_there_is(play):
    del play.definitions._present["child"]
    run = opened(play)
    play.until(lambda: len(play.store.incidents(run=run)) == 1)
    assert "there is no lifecycle 'child'" in play.store.incidents(run=run)[0].message


def test_parent_and_child_are_rebuilt_from_their_histories(play):
    run = opened(play)
    play.until(lambda: play.store.run(run).status == "ended")
    for each in (run, play.store.children(run)[0].id):
        rows = play.store.history(each)
        definition = play.definitions.by_hash(play.store.run(each).definition)
        history = [(Event.from_json(row.event, row.actor), row.at) for row in rows]
        assert rebuild(definition, history).to_json() == play.store.run_body(each)


def test_a_daemon_that_dies_while_the_child_works_ends_both(play):
    play.play.answers["level 2"] = [Waiting(timedelta(minutes=5), {"ref": 1})]
    run = opened(play)
    play.settle()
    play.stop()
    play.boot()
    play.turn(timedelta(minutes=6))
    play.until(lambda: play.store.run(run).status == "ended")
    assert len(play.store.children(run)) == 1


def test_a_lifecycle_that_is_not_for_the_service_is_not_opened(play):
    other = parse_lifecycle(CHILD.replace("services: [s]", "services: [t]"))
    play.definitions._present["child"] = other
    run = opened(play)
    play.until(lambda: len(play.store.incidents(run=run)) == 1)
    assert "'child' is not for 's'" in play.store.incidents(run=run)[0].message
    assert play.store.children(run) == []


def test_a_parent_that_another_daemon_moved_meanwhile_is_told_all_the_same(play):
    play.play.answers["level 2"] = [Waiting(timedelta(minutes=5), {"ref": 1})]
    run = opened(play)
    play.settle()
    row, body = play.store.run(run), play.store.run_body(run)
    old = Run.from_json(body | {"entered": {}, "activities": {}, "revision": 0})
    play.engine.runs.put(HotRun(row.no, old, b""))
    play.turn(timedelta(minutes=6))
    play.until(lambda: play.store.run(run).status == "ended")
    assert play.store.run(run).outcome == "done"
