"""Bits that flip in the database's file: what they did to a history is found, or refused."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import piloted
import pytest
from fault_rows import scaled
from line_killer import FAST

from waystage.daemon.auditing import Audit
from waystage.daemon.definitions import Definitions
from waystage.errors import StoreUnfit
from waystage.store import Store
from waystage.store import schema as t
from waystage.store.audit import unmoved
from waystage.store.damage import damage

Span = tuple[int, int]


@pytest.fixture
def written() -> Iterator[Path]:
    """Give the file of a database with some history; in memory, as nothing here is about disks."""
    place = Path(tempfile.mkdtemp(prefix="waystage-faults-", dir=FAST))
    for lifecycle in ("working", "decided", "watched"):
        pilot = piloted.Pilot(place, lifecycle)
        pilot.play()
        pilot.store.close()
        (place / "effects.txt").unlink(missing_ok=True)
    file = place / "waystage.db"
    assert not file.with_name("waystage.db-wal").exists(), "all is in the one file"
    yield file
    shutil.rmtree(place, ignore_errors=True)


def history(store: Store) -> list[Any]:
    with unmoved(store.engine) as connection:
        return [tuple(row) for row in connection.execute(t.history.select())]


def spans(file: Path) -> list[Span]:
    """Find where the rows of the history lie in the file: time, actor, body, hash."""
    store, data, found = Store(f"sqlite:///{file}"), file.read_bytes(), []
    for *_, at, actor, body, digest in history(store):
        kept = actor.encode() + body + digest
        here = data.find(kept)
        if here < 0:
            continue  # it goes over several pages
        before = 8 if data[here - 8 : here] == at.to_bytes(8, "big") else 0
        found.append((here - before, here + len(kept)))
    store.close()
    assert len(found) > 30
    return found


def flipped(data: bytes, at: int, bit: int) -> bytes:
    changed = bytearray(data)
    changed[at] ^= 1 << bit
    return bytes(changed)


def seen(file: Path, sound: list[Any], data: bytes) -> str:
    """Tell what a daemon that starts, and then an audit, say of a file with these bytes."""
    for beside in file.parent.glob(f"{file.name}*"):
        beside.unlink()
    file.write_bytes(data)
    try:
        store = Store(f"sqlite:///{file}")
    except StoreUnfit as error:
        said = "waystage restore" in str(error) or "restore a backup" in str(error)
        return "refused" if said else f"silent: {error}"
    try:
        store.occupy()
        with unmoved(store.engine) as connection:
            if list(Audit(connection, Definitions(store)).findings()):
                return "audit"
        return "unchanged" if history(store) == sound else "silent: the history is another"
    except StoreUnfit as error:
        said = "waystage restore" in str(error) or "restore a backup" in str(error)
        return "refused" if said else f"silent: {error}"
    finally:
        store.close()


def test_every_flipped_bit_of_a_history_is_found(written: Path, record, progress) -> None:
    dice, data, tries = random.Random(20260301), written.read_bytes(), scaled(full=1000, part=60)
    sound, places = history(store := Store(f"sqlite:///{written}")), spans(written)
    store.close()
    copy = written.with_name("flipped.db")
    told: Counter[str] = Counter()
    by_sqlite = 0
    for _ in progress(range(tries), tries, "flips in histories"):
        changed = flipped(data, dice.randrange(*dice.choice(places)), dice.randrange(8))
        told[seen(copy, sound, changed)] += 1
        copy.write_bytes(changed)
        by_sqlite += bool(damage(copy))
    found = told["audit"] + told["refused"]
    assert by_sqlite < tries, "without the chain, none would be missed: nothing is shown"
    record(
        fault="a flipped bit in the history", promise="found by the audit, or refused at the start",
        tried=tries, wrong=tries - found,
        how="one bit of time, actor, body or hash of a history row, in SQLite's file",
        caught=f"no hash chain, SQLite's own check alone: {tries - by_sqlite:,} missed",
    )  # fmt: skip


def test_a_flipped_bit_anywhere_is_refused_told_or_has_changed_no_history(
    written: Path, record, progress, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice, data, tries = random.Random(20260302), written.read_bytes(), scaled(full=1000, part=60)
    sound = history(store := Store(f"sqlite:///{written}"))
    store.close()
    copy = written.with_name("flipped.db")
    pages = [page for page in range(0, len(data), 4096) if data[page] in (2, 5, 10, 13)]
    told, unseen = Counter[str](), 0
    for number in progress(range(tries), tries, "flips anywhere"):
        # half of them where SQLite keeps how a page is made up
        at = dice.choice(pages) + dice.randrange(40) if number % 2 else dice.randrange(len(data))
        changed = flipped(data, at, dice.randrange(8))
        told[now := seen(copy, sound, changed)] += 1
        if now not in ("refused", "audit"):
            continue
        with monkeypatch.context() as patch:
            patch.setattr("waystage.store.store.refuse_damaged", lambda _: None)
            patch.setattr("waystage.daemon.auditing.Audit.findings", lambda _: iter(()))
            planted = seen(copy, sound, changed)
        unseen += planted not in ("refused", "audit")
    silent = {what: number for what, number in told.items() if what.startswith("silent")}
    print(told)
    assert unseen
    record(
        fault="a flipped bit anywhere in the database",
        promise="the start is refused with the way to restore, or the audit tells, or no history "
        "is touched",
        tried=tries, wrong=sum(silent.values()),
        how=f"one bit of SQLite's file, half of them where a page says how it is made up: "
        f"{told['refused']:,} refused, {told['audit']:,} told by the audit, "
        f"{told['unchanged']:,} touched no history",
        caught=f"no check at the start and no audit: {unseen:,} went unseen",
    )  # fmt: skip
