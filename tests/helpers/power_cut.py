"""Cut the power of a machine on which an engine writes, at any moment, again and again.

    python power_cut.py LIFECYCLE PAGES SYNCHRONOUS CUTS SEED

Plays a lifecycle once, noting every write and sync of its database. Then builds what a disk may
hold when the power goes at some moment: all that was synced; of what was not, any part, in any
order, torn in sectors. Opens each with Waystage's store, and tells what of the acknowledged
commits is lost, and what does not hold. PAGES is when SQLite copies its log into the database.
"""

from __future__ import annotations

import gc
import json
import random
import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import line_killer
import piloted
import recorded_sqlite
from recorded_sqlite import DISK, Op
from sqlalchemy import create_engine, select

from waystage.daemon.auditing import Audit
from waystage.daemon.definitions import Definitions
from waystage.daemon.engine import Engine
from waystage.errors import StoreUnfit
from waystage.store import Store, database, upgrade
from waystage.store import schema as t
from waystage.store.audit import unmoved
from waystage.store.damage import damage

SECTOR = 512
ENDINGS = ("", "-wal")
Row = tuple[int, int, str]  # run, number, hash of a history row


def record(place: Path, lifecycle: str, pages: int, synchronous: str) -> None:
    """Play the lifecycle; `DISK` has its operations, and `ack` where a commit was acknowledged."""
    settings = database._sqlite_settings

    def set_so(connection: Any, record: Any) -> None:
        settings(connection, record)
        connection.execute(f"PRAGMA wal_autocheckpoint={pages}")
        connection.execute(f"PRAGMA synchronous={synchronous}")

    def committed(self: Engine, tx: Any, items: Any) -> None:
        rows = [(run, seq, digest.hex()) for run, seq, *_, digest in tx.batch.history]
        DISK.ops.append(("ack", "", 0, json.dumps(rows).encode()))
        right(self, tx, items)

    right = Engine._committed
    Engine._committed = committed
    plain, database.create_engine = database.create_engine, partial(
        create_engine, module=recorded_sqlite
    )  # fmt: skip
    database._sqlite_settings = set_so
    try:
        DISK.ops.clear()
        pilot = piloted.Pilot(place, lifecycle)
        pilot.play()
        pilot.store.close()
    finally:
        Engine._committed, database.create_engine = right, plain
        database._sqlite_settings = settings


class Files:
    """What the disk may hold of a database's files; `None` is a file that is not there."""

    def __init__(self, place: Path) -> None:
        self.files: dict[str, bytearray | None] = {}
        for ending in ENDINGS:
            file = place / f"waystage.db{ending}"
            self.files[ending] = bytearray(file.read_bytes()) if file.exists() else None

    def copy(self) -> Files:
        made = Files.__new__(Files)
        made.files = {e: None if f is None else bytearray(f) for e, f in self.files.items()}
        return made

    def do(self, op: Op, sectors: range | list[int] | None = None) -> None:
        """Let an operation reach the disk, or only some sectors of a write."""
        what, ending, where, data = op
        if what == "delete":
            self.files[ending] = None
            return
        file = self.files[ending]
        if file is None:
            file = self.files[ending] = bytearray()
        if what == "truncate":
            del file[where:]
            return
        for start in range(0, len(data), SECTOR) if sectors is None else sectors:
            part = data[start : start + SECTOR]
            if len(file) < where + start:
                file.extend(bytes(where + start - len(file)))
            file[where + start : where + start + len(part)] = part

    def write(self, place: Path) -> None:
        """Put them where a store finds them."""
        for ending, data in self.files.items():
            if data is not None:
                (place / f"waystage.db{ending}").write_bytes(data)


def survivors(safe: Files, loose: list[Op], chance: random.Random) -> Files:
    """Let any part of what was not synced reach the disk, in any order."""
    made, order = safe.copy(), list(loose)
    if chance.random() < 0.5:
        chance.shuffle(order)
    rate = chance.choice((0.0, 0.1, 0.5, 0.9, 1.0))
    for op in order:
        if chance.random() >= rate:
            continue
        sectors = None
        if op[0] == "write" and chance.random() < 0.3:
            sectors = [s for s in range(0, len(op[3]), SECTOR) if chance.random() < 0.5]
        made.do(op, sectors)
    return made


class Cuts:
    """The moments of a recording; each is asked for in order, so that synced state is kept up."""

    def __init__(self, base: Files, ops: list[Op]) -> None:
        self.safe, self._ops, self._at = base, ops, 0
        self.loose: list[Op] = []
        self.acknowledged: set[Row] = set()

    def go_to(self, moment: int) -> None:
        """Let all happen before that operation."""
        for op in self._ops[self._at : moment]:
            what, ending, _, data = op
            if what == "ack":
                self.acknowledged |= {(run, seq, digest) for run, seq, digest in json.loads(data)}
            elif ending not in ENDINGS:
                continue
            elif what == "sync":
                for loose in [each for each in self.loose if each[1] == ending]:
                    self.safe.do(loose)
                self.loose = [each for each in self.loose if each[1] != ending]
            else:
                self.loose.append(op)
        self._at = moment


def wrong_with(place: Path, acknowledged: set[Row]) -> list[str]:
    """Open what the power cut left and say what does not hold."""
    if broken := damage(place / "waystage.db"):
        return [f"damaged: {broken}"]
    try:
        store = Store(f"sqlite:///{place / 'waystage.db'}")
    except StoreUnfit as error:
        return [f"damaged: {error}"]
    try:
        with unmoved(store.engine) as connection:
            h = t.history.c
            there = {(r.run, r.seq, bytes(r.hash).hex())
                     for r in connection.execute(select(h.run, h.seq, h.hash))}  # fmt: skip
            found = [f"audit: {f}" for f in Audit(connection, Definitions(store)).findings()]
        lost = len(acknowledged - there)
        return found + ([f"lost: {lost} acknowledged rows"] if lost else [])
    finally:
        store.close()


def main(lifecycle: str, pages: str, synchronous: str, cuts: str, seed: str) -> None:
    """Record, cut, and tell of each cut."""
    chance = random.Random(f"{lifecycle} {pages} {seed}")
    home = Path(tempfile.mkdtemp(prefix="waystage-faults-", dir=line_killer.FAST))
    known = upgrade.known_revisions()  # read once: what is opened so often is always the same
    upgrade.known_revisions = lambda: known
    try:
        (home / "played").mkdir()
        Store(f"sqlite:///{home / 'played' / 'waystage.db'}").close()
        base = Files(home / "played")
        record(home / "played", lifecycle, int(pages), synchronous)
        gc.freeze()
        run = Cuts(base, list(DISK.ops))
        for moment in sorted(chance.randint(1, len(DISK.ops)) for _ in range(int(cuts))):
            run.go_to(moment)
            place = home / "cut"
            place.mkdir()
            survivors(run.safe, run.loose, chance).write(place)
            wrong = wrong_with(place, run.acknowledged)
            told = {"moment": moment, "of": len(DISK.ops), "loose": len(run.loose), "wrong": wrong}
            print(json.dumps(told), flush=True)
            shutil.rmtree(place)
    finally:
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main(*sys.argv[1:6])
