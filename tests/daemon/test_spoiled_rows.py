"""Rows of a run that were changed from outside: that run stands still, and no other."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import update

from waystage.daemon import transaction
from waystage.errors import Spoiled
from waystage.kernel import events
from waystage.store import schema as t
from waystage.store.codec import dump

LATER = """
lifecycle: later
services: [s]
initial: rest
states:
  rest: {timers: {over: {after: P1D}}, next: {over: works}}
  works: {steps: [{use: test.act}], next: {done: yes, refused: yes}}
  yes: {final: true}
"""


@pytest.fixture
def spoil(bench):
    """Change a row of one of two runs while no daemon is at work, and give both."""

    def play(table, change):
        definition = bench.lifecycle(LATER)
        spoiled, sound = bench.open(definition, "one"), bench.open(definition, "two")
        bench.stop()
        bench.boot()
        bench.definitions._compiled[definition.hash] = definition
        number = bench.store.run(spoiled).no
        column = table.c.no if table is t.runs else table.c.run
        values = change(bench.store.run_body(spoiled))
        with bench.store.writing() as connection:
            connection.execute(update(table).where(column == number).values(values))
        return spoiled, sound

    return play


def row(**parts):
    return lambda body: {"body": dump(body | parts)}


@pytest.mark.parametrize(
    ("table", "change", "said"),
    [
        (t.runs, lambda _: {"body": b"garbage"}, "its row is not as Waystage wrote it"),
        (t.runs, row(regions=7), "its row is not as Waystage wrote it"),
        (t.timers, lambda _: {"spec": b"garbage"}, "its timer is not as Waystage wrote it"),
        (t.runs, row(regions={"": "nowhere"}), "'nowhere'"),
    ],
)
def test_a_run_that_cannot_be_read_is_left_alone_and_the_others_go_on(
    bench, spoil, caplog, table, change, said
):
    spoiled, sound = spoil(table, change)
    bench.clock.turn(timedelta(days=2))
    bench.engine.turned()
    bench.until(lambda: bench.store.run(sound).outcome == "done")
    assert "run number 1 is left alone for a minute" in caplog.text
    assert said in caplog.text
    assert bench.store.run(spoiled).status == "open"


def test_who_tells_something_to_a_run_that_cannot_be_read_hears_why(bench, spoil):
    spoiled, sound = spoil(t.runs, lambda _: {"body": b"garbage"})
    number = bench.store.run(spoiled).no
    with pytest.raises(Spoiled, match=r"its row is not as Waystage wrote it.*audit verify"):
        bench.engine.act(lambda tx: tx.load([number])).result(timeout=60)
    with pytest.raises(Spoiled, match="a row is not as Waystage wrote it"):
        bench.store.run_body(spoiled)
    bench.send(sound, events.signal("hello", {}, "me"))


def test_a_run_whose_snapshot_is_none_is_parked_at_its_next_step(bench, spoil):
    spoiled, sound = spoil(t.runs, row(snapshot={"name": "credit", "version": "1"}))
    bench.turn(timedelta(days=2))
    assert bench.store.run(sound).outcome == "done"
    (incident,) = bench.store.incidents()
    assert incident.message == "test.act: the run's snapshot is damaged: digest: Field required"
    assert bench.store.run(spoiled).status == "open"


def test_a_run_whose_row_is_put_right_goes_on_by_itself(bench, spoil, monkeypatch):
    monkeypatch.setattr(transaction, "ALONE_SECONDS", 0.3)
    kept = []
    spoiled, sound = spoil(t.runs, lambda body: kept.append(body) or {"body": b"garbage"})
    bench.clock.turn(timedelta(days=2))
    bench.engine.turned()
    bench.until(lambda: bench.store.run(sound).outcome == "done")
    with bench.store.writing() as connection:
        right = update(t.runs).where(t.runs.c.id == spoiled).values(body=dump(kept[0]))
        connection.execute(right)
    bench.until(lambda: bench.store.run(spoiled).outcome == "done")
