"""A commit whose answer was lost, and answers that come too late: nobody guesses what holds."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ClassVar

import pytest
from bare_engine import BareEngine
from sqlalchemy import insert, text
from sqlalchemy.exc import DBAPIError

from waystage.daemon.workers import Workers
from waystage.plugin import Done, Step
from waystage.store import Store, shared
from waystage.store import schema as t

HASH = b"\1" * 32
TEXT = """
lifecycle: slow
services: [s]
initial: work
states:
  work: {steps: [{use: late.slow}], next: {done: end}}
  end: {final: true}
"""


class Slow(Step):
    """Answer when the test says so; at once when it is called again.

    - use: late.slow
    """

    use: ClassVar[str] = "late.slow"
    refuses: ClassVar[bool] = False
    entered: ClassVar[threading.Event]
    leave: ClassVar[threading.Event]

    def run(self, ctx: Any) -> Done:
        Slow.entered.set()
        assert Slow.leave.wait(120)
        return Done()


@pytest.fixture
def bare(postgres_url: str) -> Iterator[BareEngine]:
    """Give an engine whose one step is being called."""
    Slow.entered, Slow.leave = threading.Event(), threading.Event()
    found = BareEngine(postgres_url, {Slow.use: Slow})
    found.open(found.lifecycle(TEXT))
    assert Slow.entered.wait(60)
    yield found
    Slow.leave.set()
    found.stop()


def overtaken(bare: BareEngine) -> int:
    """Have another daemon take the step over for the third time; give the calls that count then.

    The first daemon's answer comes too late; nobody else ever answers.
    """
    held = "owner = 'another', fence = fence + 1, tries = 3, lease_until = 9000000000000000000"
    with bare.store.writing() as connection:
        connection.execute(text(f"UPDATE work SET {held} WHERE run = 1"))
    Slow.leave.set()
    bare.until(lambda: any("late answer dropped" in line for line in bare.said("s-1")))
    with bare.store.writing() as connection:
        tries = connection.execute(text("SELECT tries FROM work WHERE run = 1")).scalar_one()
        connection.execute(text("UPDATE work SET lease_until = 0 WHERE run = 1"))
    bare.engine.wake()
    return int(tries)


def test_a_call_that_ended_too_late_counts_for_no_quarantine(bare: BareEngine) -> None:
    assert overtaken(bare) == 2
    bare.until(lambda: bare.store.run("s-1").status == "ended")  # type: ignore[union-attr]  # it is there
    assert bare.store.incidents() == []


def test_without_that_a_daemon_that_never_died_puts_its_step_into_quarantine(
    bare: BareEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Workers, "_lives_on", lambda *_: True)
    assert overtaken(bare) == 3
    bare.until(bare.store.incidents)
    assert bare.store.incidents()[0].kind == "poison"


@pytest.fixture
def open_row(postgres_url: str) -> Iterator[tuple[Store, Any]]:
    """Give a store, and a transaction that has written a history row and is still open."""
    store = Store(postgres_url)
    row = {"run": 7, "seq": 1, "at": 0, "actor": "me", "body": b"{}", "hash": HASH}
    with store.engine.connect() as connection:
        connection.execute(insert(t.history), [row])
        yield store, connection
    store.close()


def waiting(store: Store) -> bool:
    """Say whether anybody waits for a lock."""
    query = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    with store.reading() as connection:
        return bool(connection.execute(text(query)).scalar())


@pytest.mark.parametrize("ends", ["commit", "rollback"])
def test_what_holds_is_told_when_the_commit_under_way_has_ended(
    open_row: tuple[Store, Any], ends: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, connection = open_row
    monkeypatch.setattr(shared, "SETTLE_SECONDS", 100)
    with ThreadPoolExecutor(1) as pool:
        told: Future[bool] = pool.submit(store.holds, 7, 1, HASH)
        while not waiting(store):
            assert not told.done(), "it was told what nobody can know yet"
        getattr(connection, ends)()
        assert told.result(timeout=300) is (ends == "commit")
    assert store.holds(7, 1, HASH) is (ends == "commit")
    assert not store.holds(7, 1, b"\2" * 32)


def test_a_commit_that_stays_under_way_is_no_answer(
    open_row: tuple[Store, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, _ = open_row
    monkeypatch.setattr(shared, "SETTLE_SECONDS", 1)
    with pytest.raises(DBAPIError):
        store.holds(7, 1, HASH)
