"""One transaction per batch of events: the hot path of the store.

Each statement is compiled once and run for all rows of a batch; the run's revision is
compared and set, so that a stale writer changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from sqlalchemy import (
    BigInteger,
    Connection,
    Engine,
    bindparam,
    delete,
    insert,
    literal_column,
    null,
    update,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql import Executable

from waystage.store import arrays as a
from waystage.store import schema as t
from waystage.store.driver import Told, driver_of, together

Row = tuple[Any, ...]
Fence = tuple[int, str, int]  # run, slot, fencing number


def lease_clock(engine: Engine) -> Any:
    """Give what leases are counted from besides the machine's clock: PostgreSQL's, in µs."""
    server = engine.dialect.name == "postgresql"
    text = "(extract(epoch from clock_timestamp()) * 1000000)::bigint" if server else "0"
    return literal_column(text, BigInteger)


class Writes(Protocol):
    """A statement that is run for all rows of a batch."""

    def run(self, driver: Any, rows: list[Row]) -> Any:
        """Give the cursor, whose `rowcount` says how many rows of the table it touched."""
        ...


class Statement:
    """A statement compiled once, run with plain tuples in the order of `names`."""

    def __init__(self, engine: Engine, statement: Executable, names: Sequence[str]) -> None:
        compiled = statement.compile(dialect=engine.dialect)  # type: ignore[attr-defined]  # every Core statement compiles
        self.text, self._names = str(compiled), tuple(names)
        order = compiled.positiontup
        self._order = None if order is None else [self._names.index(name) for name in order]
        self._as_given = self._order == list(range(len(self._names)))

    def run(self, driver: Any, rows: list[Row]) -> Any:
        """Run it for all rows; gives the cursor, whose `rowcount` says how many it touched."""
        parameters: Any
        if self._as_given:
            parameters = rows
        elif self._order is None:
            parameters = [dict(zip(self._names, row, strict=True)) for row in rows]
        else:
            parameters = [tuple(row[i] for i in self._order) for row in rows]
        return driver.executemany(self.text, parameters)


@dataclass(frozen=True, slots=True)
class Counted:
    """How many rows several statements touched."""

    rowcount: int


class MovedRuns:
    """Writes runs as they are now, those that stay open without touching an indexed column.

    SQLite writes an index anew when its column is set, also to what it was.
    """

    def __init__(self, engine: Engine, names: Sequence[str]) -> None:
        self._ended = Statement(engine, _updating_runs(names), names)
        self._open = Statement(engine, _updating_runs(names[1:]), names[1:])

    def run(self, driver: Any, rows: list[Row]) -> Counted:
        """Write them all; gives how many were still as they were."""
        ended = [row for row in rows if row[0] != "open"]
        still = [row[1:] for row in rows if row[0] == "open"]
        parts = ((self._ended, ended), (self._open, still))
        return Counted(sum(part.run(driver, some).rowcount for part, some in parts if some))


def _updating_runs(names: Sequence[str]) -> Executable:
    at = t.runs.c
    plain = [name for name in names if not name.startswith("b_")]
    return (
        update(t.runs)
        .where(at.no == bindparam("b_no"), at.revision == bindparam("b_before"))
        .values(_values(plain) | {"revision": bindparam("b_revision")})
    )


def _values(names: Sequence[str]) -> dict[str, Any]:
    return {name: bindparam(name) for name in names}


def _missed(moved: Any, batch: Batch) -> bool:
    """Whether another daemon has moved a run that this batch wanted to move."""
    return moved is not None and moved.rowcount != len(batch.update_runs)


def _hold(fences: Any, claims: list[Fence]) -> bool:
    """Whether the claims are in force by the numbers that the table has."""
    return not set(claims).difference(fences.fetchall())


def _run_number(row: Row) -> int:
    return int(row[-2])


@dataclass(slots=True)
class Batch:
    """All rows that one transaction writes, by statement; see `Statements` for their columns."""

    insert_runs: list[Row] = field(default_factory=list)
    update_runs: list[Row] = field(default_factory=list)
    history: list[Row] = field(default_factory=list)
    put_work: list[Row] = field(default_factory=list)
    drop_work: list[Row] = field(default_factory=list)
    put_timers: list[Row] = field(default_factory=list)
    drop_timers: list[Row] = field(default_factory=list)  # all of a state
    drop_inbox: list[Row] = field(default_factory=list)
    rest: list[Executable] = field(default_factory=list)  # rare statements, in order
    in_force: list[Fence] = field(default_factory=list)  # claims that must hold at the commit


class Statements:
    """The hot statements for one database."""

    INSERT_RUN = ("no", "id", "opened_by", "lifecycle", "definition", "service", "snapshot",
                  "opened_at", "status", "outcome", "places", "revision", "body", "head",
                  "changed_at", "there_since")  # fmt: skip
    UPDATE_RUN = ("status", "outcome", "places", "b_revision", "body", "head", "changed_at",
                  "there_since", "b_no", "b_before")  # fmt: skip
    HISTORY = ("run", "seq", "at", "actor", "body", "hash")
    insert_runs: Writes
    update_runs: Writes
    history: Writes
    put_work: Writes
    drop_work: Writes
    put_timers: Writes
    drop_timers: Writes
    drop_inbox: Writes
    WORK = ("run", "slot", "body", "due_at", "owner", "lease_until", "fence", "tries")
    TIMER = ("run", "state", "name", "entry", "due_at", "spec")

    def __init__(self, engine: Engine) -> None:
        self._later = engine.dialect.name == "postgresql"  # answers come when all is sent
        if self._later:
            self._as_arrays(engine)
        else:
            self._one_by_one(engine)

    def _as_arrays(self, engine: Engine) -> None:
        clock = lease_clock(engine)
        made = {
            "insert_runs": (a.inserting(t.runs, self.INSERT_RUN), self.INSERT_RUN),
            "update_runs": (a.updating_runs(self.UPDATE_RUN), self.UPDATE_RUN),
            "history": (a.inserting(t.history, self.HISTORY), self.HISTORY),
            "put_work": (a.putting(t.work, self.WORK, 2, added={"lease_until": clock}), self.WORK),
            "drop_work": (a.dropping(t.work, ("run", "slot")), ("run", "slot")),
            "put_timers": (a.putting(t.timers, self.TIMER, 3), self.TIMER),
            "drop_timers": (a.dropping(t.timers, ("run", "state")), ("run", "state")),
            "drop_inbox": (a.dropping(t.inbox, ("id",)), ("id",)),
        }
        for name, (statement, columns) in made.items():
            setattr(self, name, a.ArrayStatement(engine, statement, columns))

    def _one_by_one(self, engine: Engine) -> None:
        self.insert_runs = Statement(
            engine, insert(t.runs).values(_values(self.INSERT_RUN)), self.INSERT_RUN
        )
        self.update_runs = MovedRuns(engine, self.UPDATE_RUN)
        self.history = Statement(
            engine, insert(t.history).values(_values(self.HISTORY)), self.HISTORY
        )
        put = sqlite.insert(t.work).values(_values(self.WORK) | {"memo": null()})
        self.put_work = Statement(
            engine,
            put.on_conflict_do_update(
                index_elements=["run", "slot"],
                set_={name: put.excluded[name] for name in (*self.WORK[2:], "memo")},
            ),
            self.WORK,
        )
        self.drop_work = Statement(
            engine,
            delete(t.work).where(
                t.work.c.run == bindparam("run"), t.work.c.slot == bindparam("slot")
            ),
            ("run", "slot"),
        )
        timer = sqlite.insert(t.timers).values(_values(self.TIMER))
        self.put_timers = Statement(
            engine,
            timer.on_conflict_do_update(
                index_elements=["run", "state", "name"],
                set_={name: timer.excluded[name] for name in self.TIMER[3:]},
            ),
            self.TIMER,
        )
        self.drop_timers = Statement(
            engine,
            delete(t.timers).where(
                t.timers.c.run == bindparam("run"), t.timers.c.state == bindparam("state")
            ),
            ("run", "state"),
        )
        self.drop_inbox = Statement(
            engine, delete(t.inbox).where(t.inbox.c.id == bindparam("id")), ("id",)
        )

    def show_opened(self, connection: Connection, batch: Batch) -> None:
        """Write the new runs, so that questions see them."""
        if batch.insert_runs:
            with Told(connection):
                self.insert_runs.run(driver_of(connection), batch.insert_runs)
            batch.insert_runs.clear()

    def write(self, connection: Connection, batch: Batch) -> bool:
        """Write the batch; False when a run had moved on, or a claim is another daemon's.

        Then the transaction must be undone.
        """
        batch.update_runs.sort(key=_run_number)  # two daemons take rows in one order
        driver = driver_of(connection)
        with Told(connection), together(driver):
            fences = self._ask_fences(driver, batch.in_force)
            moved = self._write_runs(driver, batch)
            if not self._later and _missed(moved, batch):
                return False
            if not batch.rest:
                self._write_others(driver, batch)
        if _missed(moved, batch) or not (fences is None or _hold(fences, batch.in_force)):
            return False
        if batch.rest:
            for statement in batch.rest:
                connection.execute(statement)
            with Told(connection), together(driver):
                self._write_others(driver, batch)
        return True

    def _ask_fences(self, driver: Any, claims: list[Fence]) -> Any:
        """Send the question for the numbers in force along with the batch; gives the cursor."""
        if not claims:
            return None
        return driver.execute(a.FENCES, a.places(claims))

    def _write_runs(self, driver: Any, batch: Batch) -> Any:
        if batch.insert_runs:
            self.insert_runs.run(driver, batch.insert_runs)
        if batch.update_runs:
            return self.update_runs.run(driver, batch.update_runs)
        return None

    def _write_others(self, driver: Any, batch: Batch) -> None:
        for name in ("drop_timers", "put_timers", "drop_work", "put_work", "drop_inbox", "history"):
            if rows := getattr(batch, name):
                getattr(self, name).run(driver, rows)
