"""A migration is one event: whatever happened before, history leads to the same run."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from walking import NOW, answered, definition, fired, fresh, opened, play, voted

from waystage.kernel import Definition, Event, Run, advance, events
from waystage.kernel import commands as c
from waystage.kernel.migration import Migration, Shift
from waystage.kernel.replay import rebuild
from waystage.planning.fit import fit_of

TEXT = """
lifecycle: wild
services: [s]
data: {level: {type: integer, default: 0}}
initial: work
states:
  work:
    lease: "{{ service }}"
    steps: [{use: a.b, id: one}, {use: a.c, if: "data.level < 3"}]
    next: {done: group, refused: ask}
  group:
    timers: {far: {after: P9D}}
    states:
      rest: {timers: {tick: {every: PT1H}}, next: {tick: both}}
      both:
        branches:
          left:
            initial: a
            states:
              a: {timers: {tick: {every: PT1H}}, next: {tick: ok}}
              ok: {final: true}
          right:
            initial: a
            states:
              a: {task: {title: T, for: [x], quorum: 2}, next: {approve: ok, reject: ok}}
              ok: {final: true}
        next: {done: end}
      end: {final: true}
    next: {done: ask, far: ask}
  ask:
    task: {title: Again?, for: [x], outcomes: [again, enough]}
    next: {again: {to: work, set: {level: "{{ data.level + 1 }}"}}, enough: over}
  over: {final: true}
"""
OTHER = (
    TEXT.replace("rest: {timers: {tick: {every: PT1H}}", "calm: {timers: {tick: {every: PT2H}}")
    .replace("enough: over", "enough: rest")
    .replace(
        "  over: {final", "  rest: {timers: {t: {after: P1D}}, next: {t: over}}\n  over: {final"
    )
    .replace("default: 0}", "default: 0}, more: {type: number, default: 1}")
)
OLD, NEW = definition(TEXT), definition(OTHER)
HOMES = {"group.rest": "group.calm"}
BACK = {"group.calm": "group.rest", "rest": "ask"}


def possible(d: Definition, run: Run) -> list[Event]:
    found: list[Event] = [events.step_done("work", 999, 0, {"late": True})]
    for state, entry in run.entered.items():
        activity = run.activities.get(state, {})
        found += [events.timer_fired(state, entry, name) for name in d.nodes[state].spec.timers]
        if state in run.waiting:
            found.append(events.lease_granted(state, entry))
        if activity.get("busy"):
            index = activity["index"]
            found.append(events.step_done(state, entry, index, {}))
            found.append(events.step_refused(state, entry, index, "no", {}))
            found.append(events.step_failed(state, entry, index, "boom", hopeless=True))
        if activity.get("task"):
            found += [events.vote(state, entry, outcome, {}, who) for who in ("vera", "victor")
                      for outcome in activity["body"]["outcomes"]]  # fmt: skip
    found += [events.repair("retry", state, {}, "otto") for state in run.incidents]
    return found


def check_places(d: Definition, run: Run) -> None:
    if run.status == "ended":
        return
    assert run.definition == d.hash
    expected = {state for leaf in run.regions.values() for state in d.lineage(leaf)}
    assert set(run.entered) == expected - {s for rest in run.waiting.values() for s in rest}


@settings(max_examples=150)
@given(st.data())
def test_any_history_with_migrations_in_it_leads_to_the_same_run(data: Any) -> None:
    d, run, now = OLD, fresh(OLD), NOW
    event: Event = events.start("dana", run.to_json())
    history: list[tuple[Event, datetime]] = []
    for _ in range(30):
        before = json.dumps(run.to_json())
        step = advance(d, run, event, now)
        assert json.dumps(run.to_json()) == before, "advance changed what it was given"
        history.append((event, now))
        run, now = step.run, now + timedelta(minutes=7)
        check_places(d, run)
        if run.status == "ended":
            break
        other = NEW if d is OLD else OLD
        fit = fit_of(d, other, run, HOMES if d is OLD else BACK)
        if fit.migration is not None and data.draw(st.integers(0, 3)) == 0:
            d, event = other, fit.migration.event("otto", "why not")
        else:
            event = data.draw(st.sampled_from(possible(d, run)))
    by_hash = {OLD.hash: OLD, NEW.hash: NEW}
    assert rebuild(OLD, history, by_hash.__getitem__) == run
    assert Run.from_json(json.loads(json.dumps(run.to_json()))) == run


def resting() -> Run:
    """Give a run that rests in `group.rest`."""
    run = opened(OLD)
    run = play(OLD, run, events.lease_granted("work", run.entered["work"])).run
    return answered(OLD, answered(OLD, run))


def migrated(run: Run, mapping: dict[str, str] | None = None) -> tuple[Run, list[Any]]:
    fit = fit_of(OLD, NEW, run, mapping or HOMES)
    assert fit.migration is not None, fit
    step = play(NEW, run, fit.migration.event("otto", "renamed"))
    return step.run, step.commands


def test_what_does_not_move_keeps_its_entry_and_its_timers() -> None:
    before = resting()
    after, commands = migrated(before)
    assert after.places == ["group.calm"]
    assert after.entered["group"] == before.entered["group"]
    cancelled = [each.state for each in commands if isinstance(each, c.CancelTimers)]
    assert cancelled == ["group.rest"]
    assert [each.name for each in commands if isinstance(each, c.SetTimer)] == ["tick"]


def test_orders_about_the_old_state_come_before_the_new_text_is_adopted() -> None:
    _, commands = migrated(resting())
    place = [type(each) for each in commands].index(c.Adopt)
    assert {each.state for each in commands[:place]} == {"group.rest"}
    assert {each.state for each in commands[place + 1 :]} == {"group.calm"}


def test_new_variables_are_there_after_it() -> None:
    after, _ = migrated(resting())
    assert after.data == {"level": 0, "more": 1.0}


def test_votes_are_void_because_what_they_were_for_has_changed() -> None:
    run = fired(OLD, resting(), "group.rest", "tick")
    run = voted(OLD, run, "group.both.right.a", "approve")
    shown = run.activities["group.both.right.a"]["body"]["shown"]
    after, commands = migrated(run)
    body = after.activities["group.both.right.a"]["body"]
    assert body["votes"] == []
    assert body["shown"] != shown
    assert [each.body for each in commands if isinstance(each, c.UpdateTask)] == [body]


def test_votes_are_void_where_nothing_runs_side_by_side_too() -> None:
    run = play(OLD, opened(OLD), events.lease_granted("work", 1)).run
    entry = run.entered["work"]
    run = play(OLD, run, events.step_refused("work", entry, 0, "no", {})).run
    assert run.places == ["ask"]
    shown = run.activities["ask"]["body"]["shown"]
    after, _ = migrated(run)
    assert after.activities["ask"]["body"]["shown"] != shown


def test_a_run_that_waits_for_a_lease_may_go_elsewhere() -> None:
    before = opened(OLD)
    assert before.waiting == {"work": []}
    after, commands = migrated(before, {"work": "rest"})
    assert after.waiting == {}
    assert after.places == ["rest"]
    assert c.FreeLease("work") in commands


def test_leaving_a_state_with_branches_leaves_what_is_in_them() -> None:
    run = fired(OLD, resting(), "group.rest", "tick")
    run = voted(OLD, voted(OLD, run, "group.both.right.a", "approve"),
                "group.both.right.a", "approve", "victor")  # fmt: skip
    after, _ = migrated(run, {"group.both": "ask"})
    assert after.places == ["ask"]
    assert set(after.entered) == {"ask"}


def test_a_migration_that_no_longer_fits_moves_nothing_and_says_so() -> None:
    run = resting()
    wrong = [
        Migration("0" * 64, NEW.hash),
        Migration(OLD.hash, NEW.hash),  # the state is gone, and nobody says where to
        Migration(OLD.hash, NEW.hash, (Shift("", "work", "over"),)),
        Migration(OLD.hash, NEW.hash, (Shift("", "group.rest", "nowhere"),)),
        Migration(OLD.hash, NEW.hash, (Shift("", "group.rest", "over", "group"),)),
    ]
    for each in wrong:
        step = play(NEW, run, each.event("otto"))
        assert step.run.definition == OLD.hash
        assert step.run.places == ["group.rest"]
        assert step.commands == []
        assert [record.what for record in step.records] == ["ignored"]


def test_a_migration_to_the_end_ends_the_run() -> None:
    after, commands = migrated(resting(), {"group.rest": "over"})
    assert after.status == "ended"
    assert any(isinstance(each, c.EndRun) for each in commands)
