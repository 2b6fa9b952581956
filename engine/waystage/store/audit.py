"""The hash chain of the history, read in one pass: what was changed, removed, reordered, cut off.

Nothing is held but the row at hand, so that the size of the database does not matter.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection, Engine, LargeBinary, cast, select
from sqlalchemy.exc import DatabaseError

from waystage.errors import StoreUnfit
from waystage.store import schema as t
from waystage.store.codec import chained

GENESIS = b"\0" * 32
TEXTS = ("id", "lifecycle", "definition", "service", "snapshot", "status", "outcome", "places")
AT_ONCE = 200  # rows fetched together; a row has at most some 256 KiB


@dataclass(frozen=True, slots=True)
class Finding:
    """Something in the database that is not as it was written; `row` 0 means the run's own row."""

    run: str
    row: int
    said: str

    def __str__(self) -> str:
        return (
            f"{self.run}: row {self.row}: {self.said}" if self.row else f"{self.run}: {self.said}"
        )


@dataclass(slots=True)
class Chain:
    """Follows a run's rows and notes what does not fit; `marks` keeps hashes that are asked for."""

    run: str
    findings: list[Finding] = field(default_factory=list)
    before: bytes | None = GENESIS  # None behind a gap, where the next row cannot be held to it
    next: int = 1
    marks: dict[int, bytes | None] = field(default_factory=dict)

    def take(self, seq: int, at: int, actor: str, body: bytes, digest: bytes) -> bool:
        """Hold the next row against the chain; answers whether it fits."""
        if seq != self.next:
            self._gap(seq)
        fits = self.before is None or chained(self.before, seq, at, actor, body) == digest
        if not fits:
            self.find(seq, "it was changed, or is not the one that was written here")
        self.before, self.next = digest, seq + 1
        if seq in self.marks:
            self.marks[seq] = digest
        return fits

    def end(self, rows: int, head: bytes) -> None:
        """Hold the end of the chain against what the run's row says."""
        last = self.next - 1
        if last < rows:
            span = f"rows {self.next} to {rows} are" if rows > self.next else "it is"
            self.find(self.next, f"{span} missing at the end")
        elif last > rows:
            self.find(rows + 1, f"the run's row counts only {rows}")
        elif self.before not in (None, head):
            self.find(last, "its hash is not the head that the run's row has")

    def find(self, row: int, said: str) -> None:
        """Note something that does not fit."""
        self.findings.append(Finding(self.run, row, said))

    def _gap(self, seq: int) -> None:
        if seq > self.next:
            span = f"rows {self.next} to {seq - 1} are" if seq - 1 > self.next else "it is"
            self.find(self.next, f"{span} missing")
        else:
            self.find(seq, "it is out of order")
        self.before = None


@contextmanager
def unmoved(engine: Engine) -> Iterator[Connection]:
    """Give a connection that sees one moment of the database, whatever daemons write meanwhile.

    Raises `StoreUnfit` when the database cannot be read.
    """
    options: dict[str, Any] = {"reads": True}
    if engine.dialect.name == "postgresql":
        options["isolation_level"] = "REPEATABLE READ"
    try:
        with engine.connect().execution_options(**options) as connection:
            yield connection
    except (DatabaseError, UnicodeDecodeError) as error:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise StoreUnfit(
            f"the database cannot be read to its end: {reason}; restore a backup"
        ) from error


def runs_and_rows(
    connection: Connection, only: int = 0, since: int = 0
) -> Iterator[tuple[int, Any, Iterator[Any]]]:
    """Give number, row and history rows of each run, by number; None for a run's row that is gone.

    The history rows are those of the run at hand: take them before the next run. `since`, in
    microseconds, leaves out earlier rows, and runs that have none later.
    """
    runs = _streamed(connection, _runs(connection, only, since))
    history = _streamed(connection, _history(connection, only, since))
    groups = groupby(history, key=attrgetter("run"))
    run, group = next(runs, None), next(groups, None)
    while run is not None or group is not None:
        if group is None or (run is not None and run.no < group[0]):
            assert run is not None
            yield run.no, run, iter(())
            run = next(runs, None)
        elif run is None or group[0] < run.no:
            yield group[0], None, group[1]
            group = next(groups, None)
        else:
            yield run.no, run, group[1]
            run, group = next(runs, None), next(groups, None)


def follow(chain: Chain, rows: Iterator[Any]) -> Iterator[tuple[int, str, bytes]]:
    """Hold rows against the chain; gives time, actor and body of each that fits."""
    for row in rows:
        actor = text_of(row.actor)
        try:
            fits = chain.take(row.seq, row.at, actor, bytes(row.body), bytes(row.hash))
        except (TypeError, ValueError):  # SQLite keeps a text where a number belongs
            chain.find(chain.next, "it cannot be read")
            chain.before, chain.next = None, chain.next + 1
            continue
        if fits:
            yield row.at, actor, bytes(row.body)


def text_of(value: Any) -> str:
    """Give a text as it was read, also one that is none any more."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def number_of(connection: Connection, run: str) -> int | None:
    """Give a run's number by its id."""
    found: int | None = connection.execute(select(t.runs.c.no).where(t.runs.c.id == run)).scalar()
    return found


def purge_hash(
    before: bytes, run: int, name: str, rows: int, head: bytes, at: int, by: str
) -> bytes:
    """Give the hash of a row that tells of a run which retention removed."""
    digest = hashlib.sha256(before)
    digest.update(b"%d %d %d " % (run, rows, at) + f"{name} {by} ".encode() + head)
    return digest.digest()


def purges(connection: Connection) -> Iterator[Any]:
    """Give what is left of the runs that retention removed, the oldest first."""
    return _streamed(connection, select(t.purged).order_by(t.purged.c.id))


def purged_run(connection: Connection, no: int) -> Any:
    """Give what is left of a run that retention removed; None if it never was."""
    return connection.execute(select(t.purged).where(t.purged.c.run == no)).first()


def _streamed(connection: Connection, query: Any) -> Iterator[Any]:
    options = {"yield_per": AT_ONCE, "stream_results": True}
    return iter(connection.execute(query, execution_options=options))


def _runs(connection: Connection, only: int, since: int) -> Any:
    r = t.runs.c
    texts = [_raw(connection, r[name]) for name in TEXTS]
    query = select(r.no, *texts, r.revision, r.body, r.head)
    query = query.add_columns(r.opened_at, r.changed_at, r.there_since)
    query = query.where(r.changed_at >= since) if since else query
    return (query.where(r.no == only) if only else query).order_by(r.no)


def _history(connection: Connection, only: int, since: int) -> Any:
    h = t.history.c
    query = select(h.run, h.seq, h.at, _raw(connection, h.actor), h.body, h.hash)
    query = query.where(h.at >= since) if since else query
    return (query.where(h.run == only) if only else query).order_by(h.run, h.seq)


def _raw(connection: Connection, column: Any) -> Any:
    # a flipped bit can make a text of SQLite one that Python would refuse to read
    if connection.dialect.name != "sqlite":
        return column
    return cast(column, LargeBinary).label(column.name)
