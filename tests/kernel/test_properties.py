"""What holds for the kernel whatever happens to a run, in whatever order."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waystage import library
from waystage.kernel import Definition, Event, Run, advance, compile_lifecycle, events
from waystage.kernel import commands as c
from waystage.kernel.definition import ROOT
from waystage.kernel.replay import rebuild
from waystage.spec.load import load_lifecycle, parse_lifecycle

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SNAPSHOT = {"name": "credit", "version": "1", "digest": "sha256:" + "0" * 64, "author": "dana",
            "tags": {"candidate": "champion"}}  # fmt: skip
WILD = """
lifecycle: wild
services: [s]
data: {level: {type: integer, default: 0}}
initial: work
states:
  work:
    stage: PROD
    lease: "{{ service }}"
    steps:
      - {use: a.b, id: one, undo: {use: a.undo}}
      - {use: a.c, if: "data.level < 3"}
    next: {done: both, refused: ask}
  both:
    signals: [stop]
    branches:
      left:
        initial: a
        states:
          a: {timers: {tick: {every: PT1H}}, next: {tick: b}}
          b: {steps: [{use: a.d}], next: {done: ok, refused: no}}
          ok: {final: true}
          no: {final: true, outcome: bad}
      right:
        initial: a
        states:
          a: {task: {title: T, for: [x], quorum: 2}, next: {approve: ok, reject: ok}}
          ok: {final: true}
    next: {done: ask, any_bad: ask, stop: work}
  ask:
    task: {title: Again?, for: [x], due: P1D, outcomes: [again, enough]}
    next:
      again:
        - {if: "data.level >= 2", to: over}
        - {to: work, set: {level: "{{ data.level + 1 }}"}}
      enough: over
  over: {final: true}
"""


def wild() -> Definition:
    loaded = parse_lifecycle(WILD)
    changes = {"a.b": "forward", "a.c": "back"}
    return compile_lifecycle(loaded.spec, loaded.digest, lambda use: changes.get(use, "none"))


def shipped(path: Path) -> Definition:
    loaded = load_lifecycle(path)
    return compile_lifecycle(loaded.spec, loaded.digest)


def fresh(d: Definition) -> Run:
    params = {name: field.default for name, field in d.spec.params.items()}
    data = {name: field.default for name, field in d.spec.data.items()}
    return Run("s-1", d.spec.lifecycle, d.hash, "s", SNAPSHOT, params, data=data)


def possible(d: Definition, run: Run) -> list[Event]:
    """Give events that may really come now, and some that come too late."""
    found: list[Event] = [events.signal("stop", {}), events.signal("snapshot.superseded", {})]
    found.append(events.step_done("work", 999, 0, {"late": True}))
    for state, entry in run.entered.items():
        node, activity = d.nodes[state], run.activities.get(state, {})
        found += [events.timer_fired(state, entry, name) for name in node.spec.timers]
        if state in run.waiting:
            found.append(events.lease_granted(state, entry))
        if activity.get("asks"):
            until = {"until": "2026-03-02T00:00:00+00:00", "why": "year-end"}
            endless = {"until": None, "why": "stopped"}
            found.append(events.stage_answered(state, entry, "open"))
            found.append(events.stage_answered(state, entry, "closed", until))
            found.append(events.stage_answered(state, entry, "closed", endless))
            found.append(events.stage_answered(state, entry, "unmet", {"why": "no tag"}))
            found.append(events.stage_answered(state, entry, "override", {"reason": "r"}, "otto"))
            found.append(events.timer_fired(state, entry, "@window"))
        if activity.get("busy"):
            index = activity["index"]
            found.append(events.step_done(state, entry, index, {"value": 0.5, "verdict": "wait"}))
            found.append(events.step_refused(state, entry, index, "no", {}))
            found.append(events.step_failed(state, entry, index, "boom"))
            found.append(events.step_failed(state, entry, index, "boom", hopeless=True))
            found.append(events.step_uncertain(state, entry, index, "who knows"))
        if activity.get("task"):
            for who in ("vera", "victor"):
                for outcome in activity["body"]["outcomes"]:
                    found.append(
                        events.vote(state, entry, outcome, {"form": {"image_tag": "1"}}, who)
                    )
    for state in run.incidents:
        found.append(events.repair("retry", state, {}, "otto"))
        found.append(events.repair("skip", state, {"reason": "r"}, "otto"))
        found.append(events.repair("goto", state, {"to": "ask", "reason": "r"}, "otto"))
    return found


def check_places(d: Definition, run: Run) -> None:
    """What is entered is exactly what lies on the way to the leaves, unless a lease is missing."""
    if run.status == "ended":
        assert (
            not run.entered
            or run.outcome == "aborted"
            or all(d.nodes[state].activity in ("final", "states") for state in run.entered)
        )
        return
    expected = {state for leaf in run.regions.values() for state in d.lineage(leaf)}
    held_back = {state for rest in run.waiting.values() for state in rest}
    assert set(run.entered) == expected - held_back
    assert ROOT in run.regions


def check_orders(run: Run, commands: list[Any]) -> None:
    """Work is only ordered for a visit that the run is in, or was in during the event."""
    live: dict[str, c.StartStep] = {}
    for command in commands:
        if isinstance(command, c.StartStep):
            live[command.state] = command
        elif isinstance(command, c.DropWork):
            live.pop(command.state, None)
    for state, order in live.items():
        assert run.entered.get(state) == order.entry
        assert run.activities[state]["busy"]


def check_admission(d: Definition, run: Run, commands: list[Any]) -> None:
    """Nothing is ordered for a state that has asked its stage and has no answer."""
    asking = {state for state, activity in run.activities.items() if activity.get("asks")}
    assert not asking & {o.state for o in commands if isinstance(o, c.StartStep)}
    for state in asking:
        assert d.nodes[state].change != "none"
        assert not run.activities[state].get("busy")


def walk(d: Definition, choose: Any, length: int) -> None:
    run = fresh(d)
    history: list[tuple[Event, datetime]] = []
    event, now = events.start("dana", run.to_json()), NOW
    for _ in range(length):
        before = json.dumps(run.to_json(), default=str)
        step = advance(d, run, event, now)
        assert json.dumps(run.to_json(), default=str) == before, "advance changed what it was given"
        assert step.run.revision == run.revision + 1
        history.append((event, now))
        run = step.run
        check_places(d, run)
        check_orders(run, step.commands)
        check_admission(d, run, step.commands)
        assert Run.from_json(json.loads(json.dumps(run.to_json()))) == run
        if run.status == "ended":
            break
        event, now = choose(possible(d, run)), now + timedelta(minutes=7)
    assert rebuild(d, history) == run


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_order_of_events_keeps_a_run_whole(data):
    walk(wild(), lambda found: data.draw(st.sampled_from(found)), 40)


@pytest.mark.parametrize("path", library.lifecycles(), ids=lambda path: path.stem)
def test_any_order_of_events_keeps_a_shipped_lifecycle_whole(path):
    d = shipped(path)

    @settings(max_examples=15, deadline=None)
    @given(st.data())
    def play(data):
        walk(d, lambda found: data.draw(st.sampled_from(found)), 60)

    play()


@pytest.mark.parametrize("path", library.lifecycles(), ids=lambda path: path.stem)
def test_the_machine_answers_as_the_table_of_arrows_says(path):
    """The library's machine and a plain reading of the arrows agree where no guard decides."""
    d = shipped(path)
    for region, machine in d.machines.items():
        leaves = [n.path for n in d.nodes.values() if n.region == region and n.leaf]
        names = {event for node in d.nodes.values() for event in node.ways} | {"done"}
        for leaf in leaves:
            for event in names:
                ways = d.ways_from(leaf, event)
                assert machine.handles(leaf, event) == bool(ways)
                if ways and all(way.guard is None for way in ways):
                    assert machine.fire(leaf, event, dict) == ways[0]
