"""Opening runs: once per key, numbers never given twice, seen within the same transaction."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import delete, func, select

from waystage.daemon.opening import Opening, open_run
from waystage.errors import Conflict
from waystage.kernel import Definition
from waystage.store import schema as t
from waystage.store.inside import runs_named
from waystage.store.pauses import EVERY, keep_pause

TEXT = """\
lifecycle: opened
services: ["*"]
initial: wait
states:
  wait:
    signals: [go]
    next: {go: end}
  end: {final: true}
"""
SNAPSHOT = {"name": "m", "version": "1", "digest": "sha256:" + "0" * 64, "author": "a"}


def opening(definition: Definition, key: str) -> Opening:
    return Opening(definition, "s", SNAPSHOT, key, "dana")


@pytest.fixture
def definition(bench: Any) -> Definition:
    found = bench.lifecycle(TEXT)
    bench.definitions._compiled[found.hash] = found
    return found


def act(bench: Any, action: Any) -> Any:
    return bench.engine.act(action).result(timeout=120)


def test_a_key_opens_one_run_also_twice_in_one_transaction(bench, definition):
    def twice(tx: Any) -> list[str]:
        return [open_run(tx, opening(definition, "k")) for _ in range(2)]

    assert len(set(act(bench, twice))) == 1
    assert bench.open(definition, "k") == act(bench, twice)[0]
    assert len(bench.store.runs()) == 1


def test_a_run_is_seen_by_questions_of_the_transaction_that_opens_it(bench, definition):
    def look(tx: Any) -> list[Any]:
        name = open_run(tx, opening(definition, "k"))
        other = open_run(tx, opening(definition, "l"))
        return [[row.id for row in runs_named(tx.connection, each, "")] for each in (name, other)]

    assert act(bench, look) == [["s-1"], ["s-2"]]
    assert [row.revision for row in bench.store.runs()] == [1, 1]
    assert len(bench.store.history("s-1")) == 1


def test_the_number_of_a_purged_run_is_not_given_again(bench, definition):
    bench.open(definition, "a")
    bench.open(definition, "b")
    with bench.store.writing() as connection:
        connection.execute(delete(t.runs))
    assert bench.open(definition, "c") == "s-3"
    bench.stop()
    bench.boot()
    assert bench.open(definition, "d") == "s-4"


def test_a_key_that_is_told_again_uses_no_number_up(bench, definition):
    for _ in range(3):
        assert bench.open(definition, "a") == "s-1"
    assert bench.open(definition, "b") == "s-2"


def test_the_text_is_kept_though_the_first_that_wrote_it_was_undone(bench, definition):
    def refuse(tx: Any) -> None:
        open_run(tx, opening(definition, "k"))
        raise Conflict("thought better of it")

    with pytest.raises(Conflict):
        act(bench, refuse)
    bench.open(definition, "k")
    assert bench.store.definition(definition.hash) is not None
    with bench.store.reading() as connection:
        assert connection.execute(select(func.count()).select_from(t.runs)).scalar() == 1


def test_a_pause_of_the_same_transaction_holds_for_what_it_opens(bench, definition):
    def pause_and_open(tx: Any) -> str:
        open_run(tx, opening(definition, "before"))
        keep_pause(tx.connection, EVERY, "opened", "otto", "a freeze", tx.at)
        return open_run(tx, opening(definition, "after"))

    body = bench.store.run_body(act(bench, pause_and_open))
    assert body["paused"]["reason"] == "a freeze"
    assert "paused" not in bench.store.run_body("s-1")
