"""Words of steps, tasks and variables that act: deadline, undo, approves, escalate, set."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from waystage.kernel import Definition, Run, advance, compile_lifecycle, events
from waystage.kernel import commands as c
from waystage.kernel.advance import Step
from waystage.spec.load import parse_lifecycle

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def definition(states: str, more: str = "") -> Definition:
    text = f"lifecycle: words\nservices: [s]\n{more}initial: a\nstates:\n{states}"
    loaded = parse_lifecycle(text)
    return compile_lifecycle(loaded.spec, loaded.digest)


def opened(d: Definition, **data: Any) -> Step:
    return advance(d, Run("s-1", "words", d.hash, "s", {}, {}, data=data), events.start(), NOW)


def busy(step: Step) -> int:
    return int(step.run.activities["a"]["index"])


def done(d: Definition, step: Step) -> Step:
    return advance(d, step.run, events.step_done("a", 1, busy(step), {}), NOW)


def failed(d: Definition, step: Step, now: datetime = NOW, *, hopeless: bool = True) -> Step:
    event = events.step_failed("a", 1, busy(step), "boom", hopeless=hopeless)
    return advance(d, step.run, event, now)


def started(step: Step) -> list[c.StartStep]:
    return [o for o in step.commands if isinstance(o, c.StartStep)]


DEADLINE = """
  a:
    steps: [{use: x.y, timeout: PT8M, deadline: PT10M, retry: {max: 9}}]
    next: {done: b, refused: b}
  b: {final: true}
"""


def test_a_deadline_holds_over_all_attempts_and_cuts_the_last_one_short():
    d = definition(DEADLINE)
    first = started(opened(d))[0]
    assert (first.deadline, first.timeout) == (NOW + timedelta(minutes=10), 480)
    step = failed(d, opened(d), NOW + timedelta(minutes=8), hopeless=False)
    second = started(step)[0]
    assert second.deadline == NOW + timedelta(minutes=10)
    assert 0 < second.timeout <= 120


def test_after_its_deadline_a_step_is_not_tried_again():
    d = definition(DEADLINE)
    step = failed(d, opened(d), NOW + timedelta(minutes=10, seconds=1), hopeless=False)
    assert not started(step)
    assert step.run.incidents["a"]["kind"] == "failed"


UNDOING = """
  a:
    steps:
      - {use: x.one, undo: {use: undo.one}}
      - {use: x.two, if: "false", undo: {use: undo.two}}
      - {use: x.three, undo: {use: undo.three}}
      - {use: x.four}
      - {use: x.five, undo: {use: undo.five}}
    next: {done: b, refused: b}
  b: {final: true}
"""


def test_only_finished_steps_are_undone_the_last_one_first():
    d = definition(UNDOING)
    step = done(d, done(d, done(d, opened(d))))
    step = failed(d, step)
    undone = []
    while started(step):
        undone += [order.use for order in started(step)]
        step = done(d, step)
    assert undone == ["undo.three", "undo.one"]
    assert step.run.incidents["a"]["undone"]


def test_what_a_person_skipped_is_not_undone():
    d = definition(UNDOING)
    step = failed(d, opened(d))
    step = advance(d, step.run, events.repair("skip", "a", {"reason": "by hand"}, "otto"), NOW)
    step = failed(d, done(d, step))
    assert [order.use for order in started(step)] == ["undo.three"]
    step = done(d, step)
    assert not started(step)


def test_an_undoing_that_is_refused_parks_the_run():
    d = definition(UNDOING)
    step = failed(d, done(d, done(d, done(d, opened(d)))))
    refused = advance(d, step.run, events.step_refused("a", 1, busy(step), "no", {}), NOW)
    assert refused.run.incidents["a"]["kind"] == "undo"
    again = advance(d, refused.run, events.repair("retry", "a", {}, "otto"), NOW)
    assert [order.use for order in started(again)] == ["undo.three"]


TASK = """
  a:
    task:
      title: T
      for: [role:validator]
      outcomes: [yes, partly, no, later]
      MORE
    next: {yes: b, partly: b, no: c, later: c}
  b: {final: true}
  c: {final: true, outcome: no}
"""


def asked(more: str) -> Definition:
    return definition(TASK.replace("MORE", more))


def vote(d: Definition, step: Step, who: str, outcome: str, *roles: str) -> Step:
    return advance(d, step.run, events.vote("a", 1, outcome, {"roles": roles}, who), NOW)


def test_approves_names_which_outcomes_need_the_quorum():
    d = asked("quorum: 2\n      approves: [yes, partly]")
    step = vote(d, opened(d), "vera", "partly")
    assert step.run.status == "open"
    assert vote(d, step, "victor", "partly").run.outcome == "done"
    assert vote(d, step, "victor", "later").run.outcome == "no"
    both = vote(d, step, "victor", "yes")
    assert both.run.status == "open", "two people who say different things do not agree"


def test_a_named_person_may_be_required():
    d = asked("required: [ada]")
    step = vote(d, opened(d), "vera", "yes", "validator")
    assert step.run.status == "open"
    assert vote(d, step, "ada", "yes").run.outcome == "done"


def test_at_its_deadline_a_task_widens_whom_it_asks():
    d = asked("due: P3D\n      on_timeout: escalate\n      escalate: {after: P9D, to: [role:head]}")
    due = events.timer_fired("a", 1, "@due")
    step = advance(d, opened(d).run, due, NOW)
    assert step.run.activities["a"]["body"]["for"] == ["role:validator", "role:head"]
    assert {type(o) for o in step.commands} == {c.UpdateTask, c.Notify}
    later = advance(d, step.run, events.timer_fired("a", 1, "@escalate"), NOW)
    assert later.run.activities["a"]["body"]["for"] == ["role:validator", "role:head"]


def test_a_deadline_may_say_no():
    d = asked("due: P3D\n      on_timeout: later")
    step = advance(d, opened(d).run, events.timer_fired("a", 1, "@due"), NOW)
    assert (step.run.outcome, step.run.tasks["a"]["by"]) == ("no", "timeout")


DATA = "data: {level: {type: number, default: 0}}\n"


@pytest.mark.parametrize(("values", "level"), [({"level": 2}, 2.0), ({"levle": 2}, 0)])
def test_an_operator_sets_only_variables_that_there_are(values, level):
    d = definition(DEADLINE, DATA)
    step = failed(d, opened(d, level=0))
    step = advance(d, step.run, events.repair("set", "a", {"values": values}, "otto"), NOW)
    assert step.run.data == {"level": level}
    assert isinstance(step.run.data["level"], float) == bool(level)


SIDE_BY_SIDE = """
  a:
    branches:
      people:
        initial: ask
        states:
          ask: {task: {title: T, for: [x], quorum: 2}, next: {approve: ok, reject: ok}}
          ok: {final: true}
      facts:
        initial: look
        states:
          look: {steps: [{use: a.look, id: found}], next: {done: rest, refused: rest}}
          rest: {signals: [more], next: {more: look}}
    next: {done: b}
  b: {final: true}
"""


def test_a_vote_is_void_when_another_branch_brings_what_it_did_not_show():
    d = definition(SIDE_BY_SIDE)
    step = opened(d)
    task, look = "a.people.ask", "a.facts.look"
    entry = step.run.entered
    vote = events.vote(task, entry[task], "approve", {}, "vera")
    step = advance(d, step.run, vote, NOW)
    before = step.run.activities[task]["body"]
    assert [each["by"] for each in before["votes"]] == ["vera"]
    step = advance(d, step.run, events.step_done(look, entry[look], 0, {"ks": 0.2}), NOW)
    body = step.run.activities[task]["body"]
    assert body["votes"] == []
    assert body["shown"] != before["shown"]
    assert c.UpdateTask(task, entry[task], body) in step.commands
    assert ["task", task, "void", "1 votes were for what was before"] in [
        record.to_json() for record in step.records
    ]
