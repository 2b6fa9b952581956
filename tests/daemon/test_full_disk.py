"""A database that cannot be written: nothing is acknowledged, nothing is lost."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

from waystage.errors import Unavailable
from waystage.kernel import events
from waystage.plugin import Done

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

TEXT = """
lifecycle: filling
services: [s]
initial: start
states:
  start:
    signals: [go]
    next: {go: work}
  work: {steps: [{use: test.act, id: big, with: {do: big}}], next: {done: over, refused: over}}
  over: {final: true}
"""


class Disk:
    """Makes SQLite itself say that the disk is full, as a real one does when it is."""

    def __init__(self, store):
        self.full = False
        self._committing, store.committing = store.committing, self._limited

    @contextmanager
    def _limited(self):
        with self._committing() as connection:
            ask = connection.exec_driver_sql
            pages = ask("PRAGMA page_count").scalar() if self.full else 1_000_000
            ask(f"PRAGMA max_page_count={pages}")
            yield connection


def test_a_full_disk_refuses_people_in_one_line_and_changes_nothing(bench):
    disk = Disk(bench.store)
    run = bench.open(bench.lifecycle(TEXT))
    before = bench.store.run(run)
    disk.full = True
    with pytest.raises(Unavailable, match=r"disk is full.*nothing was changed"):
        bench.send(run, events.signal("go", {"text": "x" * 200_000}))
    assert bench.store.run(run) == before, "reading goes on"
    disk.full = False
    bench.send(run, events.signal("go", {"text": "x" * 200_000}))
    bench.until(lambda: bench.store.run(run).status == "ended")


def test_an_answer_that_could_not_be_written_is_written_when_there_is_room_again(bench):
    disk = Disk(bench.store)

    def fill(ctx):
        disk.full = True
        return Done({"text": "x" * 200_000})

    bench.play.answers["big"] = [fill]
    run = bench.open(bench.lifecycle(TEXT))
    bench.send(run, events.signal("go", {}))
    bench.until(lambda: disk.full)
    assert bench.places(run) == ("work",)
    disk.full = False
    bench.until(lambda: bench.store.run(run).status == "ended")
    assert bench.play.calls == [f"{run}/2/big"], "the step was not called a second time"
