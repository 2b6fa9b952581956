"""Retention: runs that ended long ago are exported, then removed with their files.

A run is removed only as it was exported. What stopped in between is done again by the next
call: what was exported and not removed is exported once more.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from waystage.errors import Conflict
from waystage.people import Caller, need_right
from waystage.spec.project import ARCHIVE
from waystage.store.audit import unmoved
from waystage.store.codec import micros
from waystage.store.export import Export
from waystage.store.retention import Old, forget_sent, old_runs, remove, vacuum

if TYPE_CHECKING:
    from waystage.daemon.daemon import Daemon
    from waystage.daemon.transaction import Transaction

log = logging.getLogger("waystage.daemon")
AT_ONCE = 500  # runs per call, and per file
IN_ONE = 25  # runs per transaction, so that others do not wait for long
ENGINE = "engine"


@dataclass(frozen=True, slots=True)
class Order:
    """Runs that ended before an instant are removed; `dry` only counts them."""

    before: datetime
    by: str
    after: int = 0  # the number of the last run that an earlier call looked at
    dry: bool = False


def purge(daemon: Daemon, order: Order, caller: Caller | None = None) -> dict[str, Any]:
    """Export and remove up to `AT_ONCE` runs; answers which, and after which to go on, or None.

    Raises `Forbidden` without the right to override, `Conflict` for an instant to come.
    """
    if caller is not None:
        need_right(daemon.files.project.spec, caller.person, "override")
    if order.before > daemon.clock.now():
        raise Conflict(f"{order.before.isoformat()} is to come; say an instant that has passed")
    with unmoved(daemon.store.engine) as connection:
        seen = old_runs(connection, micros(order.before), order.after, AT_ONCE)
        chosen = [each for each in seen if not each.why]
        file = _export(daemon, connection, chosen) if chosen and not order.dry else None
    gone = chosen if order.dry else [*_remove(daemon, chosen, order.by)]
    if not order.dry:
        _clean_up(daemon, gone, order)
    return {
        "runs": [each.run for each in gone], "rows": sum(each.rows for each in gone),
        "kept": [{"run": each.run, "why": each.why} for each in seen if each.why],
        "file": str(file) if file else None, "dry": order.dry,
        "after": seen[-1].no if len(seen) == AT_ONCE else None,
    }  # fmt: skip


def by_rule(daemon: Daemon) -> int:
    """Do what `retention:` says; answers how many runs were removed."""
    rule = daemon.files.project.spec.retention
    if rule is None:
        return 0
    before, after, count = daemon.clock.now() - rule.ended, 0, 0
    with daemon.engine.turn("retention") as turn:  # one daemon does it
        while after is not None and turn and turn.renew() and not daemon.engine.ends:
            found = purge(daemon, Order(before, ENGINE, after))
            after, count = found["after"], count + len(found["runs"])
    if count:
        log.info("%s runs that ended more than %s ago were exported and removed", count, rule.ended)
    return count


def tend_log(daemon: Daemon) -> None:
    """Have the scoring log remove what it keeps no longer, and count the days that ended."""
    if daemon.files.project.spec.scoring_log is None:
        return
    done = daemon.connections.scoring_log().tend(daemon.clock.now())
    if done.removed:
        log.info("%s rows of the scoring log were past their time and are removed", done.removed)


def give_back_room(daemon: Daemon, caller: Caller) -> None:
    """Give the disk back what removed rows took."""
    need_right(daemon.files.project.spec, caller.person, "override")
    vacuum(daemon.store.engine)


def _export(daemon: Daemon, connection: Any, runs: list[Old]) -> Path:
    rule = daemon.files.project.spec.retention
    folder = daemon.root / (rule.export if rule else ARCHIVE)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    now = daemon.clock.now()
    path = folder / f"runs-{now:%Y%m%dT%H%M%S}-{runs[0].no}-{runs[-1].no}.jsonl"
    export = Export(connection, path)
    try:
        for each in runs:
            export.history(each.no)
            export.beside(each.no)
        export.close(project=daemon.files.project.spec.project, at=now.isoformat())
    except BaseException:
        export.abandon()
        raise
    return path


def _remove(daemon: Daemon, runs: list[Old], by: str) -> Iterator[Old]:
    for start in range(0, len(runs), IN_ONE):
        part = runs[start : start + IN_ONE]

        def act(tx: Transaction, part: list[Old] = part) -> list[Old]:
            gone = [each for each in part if remove(tx.connection, each, by, micros(tx.now))]
            for each in gone:
                tx.runs.drop(each.no)
            return gone

        yield from daemon.engine.act(act).result(timeout=60)


def _clean_up(daemon: Daemon, runs: list[Old], order: Order) -> None:
    before = micros(order.before)
    daemon.engine.act(lambda tx: forget_sent(tx.connection, before)).result(timeout=60)
    names = frozenset(each.run for each in runs)
    for name in names:
        shutil.rmtree(daemon.state / "scratch" / name, ignore_errors=True)
    for runtime in daemon.connections.all_runtimes() if names else ():
        try:
            runtime.forget(daemon.connections, names)
        except Exception as error:  # noqa: BLE001  # a plugin may raise anything; files stay
            log.warning("%s leaves files of runs that were removed: %s", runtime.use, error)
