"""Auditing a database: chains, runs against their history replayed, heads kept elsewhere."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias

from waystage.daemon.definitions import Definitions
from waystage.daemon.opening import snapshot_id
from waystage.errors import NotFound
from waystage.kernel import Event, Run
from waystage.kernel.replay import HistoryUnfit, retrace
from waystage.store import Connection
from waystage.store.audit import (
    GENESIS,
    Chain,
    Finding,
    follow,
    number_of,
    purge_hash,
    purged_run,
    purges,
    runs_and_rows,
    text_of,
)
from waystage.store.codec import dump, instant, load, micros
from waystage.store.heads import Head, HeadsFile, held_to

Recorded: TypeAlias = tuple[Event, datetime]


@dataclass
class Audit:
    """One look at a whole database, or at one run; `findings` reads it, the counts grow with it."""

    connection: Connection
    definitions: Definitions
    heads: HeadsFile | None = None
    run: str = ""
    runs: int = 0
    rows: int = 0
    purged: int = 0
    unheld: int = 0  # runs that are newer than the heads
    _left: Iterator[Head] = field(default_factory=lambda: iter(()))
    _next: Head | None = None

    def findings(self) -> Iterator[Finding]:
        """Give what is not as it was written; raises `NotFound` for a run that is not there."""
        only = number_of(self.connection, self.run) if self.run else 0
        if only is None:
            raise NotFound(f"there is no run {self.run!r}")
        self._left = iter(self.heads or ())
        self._step()
        for no, row, rows in runs_and_rows(self.connection, only):
            yield from self._missing_before(no, only)
            yield from self._of_run(no, row, rows)
        yield from self._missing_before(None, only)
        if not only:
            yield from self._purges()

    def _step(self) -> None:
        self._next = next(self._left, None)

    def _missing_before(self, no: int | None, only: int) -> Iterator[Finding]:
        while self._next is not None and (no is None or self._next.no < no):
            if not only:
                found = held_to(self._next, purged_run(self.connection, self._next.no))
                if found is not None:
                    yield found
            self._step()

    def _of_run(self, no: int, row: Any, rows: Iterator[Any]) -> Iterator[Finding]:
        self.runs += 1
        chain = Chain(f"run number {no}" if row is None else text_of(row.id))
        head = self._next if self._next is not None and self._next.no == no else None
        if head is not None:
            chain.marks[head.rows] = None
            self._step()
        elif self.heads is not None:
            self.unheld += 1
        if row is None:
            for _ in follow(chain, rows):
                pass
            chain.find(0, f"the run's row is missing; {chain.next - 1} rows of its history are not")
        else:
            self._hold(chain, row, rows)
        self.rows += chain.next - 1
        if head is not None and chain.marks[head.rows] != head.head:
            chain.find(head.rows, "it is not the one whose hash was kept as the head")
        yield from chain.findings

    def _hold(self, chain: Chain, row: Any, rows: Iterator[Any]) -> None:
        """Play the rows again while they are held to the chain, and compare what comes out."""
        times: list[int] = []
        seen = _timed(follow(chain, rows), times)
        try:
            played, since = _replayed(self.definitions, seen)
            wrong = list(_differences(row, played, [*times, micros(since)]))
        except Exception as error:  # noqa: BLE001  # rows that were tampered with may do anything
            wrong = [f"its history cannot be replayed: {error or type(error).__name__}"]
        for _ in seen:  # what the replay left
            pass
        try:
            chain.end(int(row.revision), bytes(row.head))
        except (TypeError, ValueError):
            chain.find(0, "the run's row cannot be read")
        if not chain.findings:  # else it is known already that the history is not the run's
            for text in wrong:
                chain.find(0, text)

    def _purges(self) -> Iterator[Finding]:
        before, count, kept = GENESIS, 0, self._purges_kept()
        for row in purges(self.connection):
            name, count = text_of(row.name), count + 1
            told = (row.run, name, row.rows, bytes(row.head), row.at, row.by)
            if purge_hash(before, *told) != bytes(row.hash):
                yield Finding(name, 0, "the row that tells of its purge was changed or moved")
            before = bytes(row.hash)
            if kept is not None and count == kept[0] and before != kept[1]:
                yield Finding(name, 0, "the rows that tell of purges are not those of the heads")
        self.purged = count
        if kept is not None and count < kept[0]:
            yield Finding("purges", 0, f"{kept[0] - count} rows that tell of purged runs are gone")

    def _purges_kept(self) -> tuple[int, bytes] | None:
        if self.heads is None:
            return None
        told = self.heads.last["purged"]
        return told["runs"], bytes.fromhex(told["hash"])


def _timed(rows: Iterator[tuple[int, str, bytes]], times: list[int]) -> Iterator[Recorded]:
    """Read events; `times` gets the first and the last instant."""
    for at, actor, body in rows:
        times[1:] = [at]
        yield Event.from_json(load(body)["event"], actor), instant(at)


def _replayed(definitions: Definitions, rows: Iterator[Recorded]) -> tuple[Run, datetime]:
    """Give the run that the history leads to, and since when it is where it is."""
    first = next(rows, None)
    if first is None or "opened" not in first[0].data:
        raise HistoryUnfit
    definition = definitions.by_hash(first[0].data["opened"]["definition"])
    since, places = first[1], list[str]()
    history = itertools.chain([first], rows)
    for run, at in retrace(definition, history, definitions.by_hash):
        if run.places != places:
            since, places = at, run.places
    return run, since


def _differences(row: Any, run: Run, times: list[int]) -> Iterator[str]:
    """Say what of the run's row is not what its history leads to."""
    kept, played = load(row.body), load(dump(run.to_json()))
    for name in {**kept, **played}:
        if kept.get(name) != played.get(name):
            yield f"{name!r} of its row is not what its history leads to"
    told = {
        "id": run.id, "lifecycle": run.lifecycle, "definition": run.definition,
        "service": run.service, "snapshot": snapshot_id(run), "status": run.status,
        "outcome": run.outcome, "places": ",".join(run.places),
    }  # fmt: skip
    for name, value in told.items():
        if text_of(getattr(row, name)) != value:
            yield f"the column {name} of its row is not what its history leads to"
    if [row.opened_at, row.changed_at, row.there_since] != [times[0], *times[-2:]]:
        yield "the times of its row are not those of its history"
