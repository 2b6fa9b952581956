"""Pausing runs and lifecycles: nothing is called for them, and what happens waits in order.

A lifecycle is paused as a whole: its open runs, one transaction per part of them, and those that
are opened meanwhile. A call that was cut off is simply made again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from waystage.daemon.delivery import Delivery, Touched
from waystage.errors import Conflict, NotFound
from waystage.kernel import Definition, Event, Run, events
from waystage.kernel import commands as c
from waystage.kernel.pause import RESUME, paused
from waystage.people import Caller, need_right
from waystage.store import Connection
from waystage.store.codec import micros
from waystage.store.inside import runs_named
from waystage.store.pauses import (
    EVERY,
    end_pause,
    hold_work,
    keep_pause,
    let_work_go,
    open_runs_of,
    pause_of,
    paused_runs_of,
)

if TYPE_CHECKING:
    from waystage.daemon.daemon import Daemon
    from waystage.daemon.transaction import Transaction

AT_ONCE = 200  # runs per transaction
Numbers = Callable[[Connection, str, int, int], list[int]]


def pause_run(daemon: Daemon, run: str, caller: Caller, reason: str) -> dict[str, Any]:
    """Have one run take no step until it is resumed."""
    _may(daemon, caller, reason, "pause")

    def act(tx: Transaction) -> dict[str, Any]:
        no, now = _open_run(tx, run)
        if now.paused:
            raise Conflict(f"{run} is paused by {now.paused['by']}: {now.paused['reason']}")
        _tell(tx, [no], events.pause(reason, caller.person).by_means_of(caller.via))
        return {"run": run, "paused": True}

    return daemon.engine.act(act).result(timeout=60)


def resume_run(daemon: Daemon, run: str, caller: Caller, reason: str = "") -> dict[str, Any]:
    """Let a paused run go on with what was kept meanwhile."""
    need_right(daemon.files.project.spec, caller.person, "operate")

    def act(tx: Transaction) -> dict[str, Any]:
        no, now = _open_run(tx, run)
        if not now.paused:
            raise Conflict(f"{run} is not paused")
        _tell(tx, [no], events.resume(reason, caller.person).by_means_of(caller.via))
        return {"run": run, "paused": False, "kept": len(now.held)}

    return daemon.engine.act(act).result(timeout=60)


def pause_lifecycle(daemon: Daemon, lifecycle: str, caller: Caller, reason: str) -> dict[str, Any]:
    """Pause every open run of a lifecycle, and those that are opened until it is resumed."""
    _may(daemon, caller, reason, "pause")
    _known(daemon, lifecycle)

    def mark(tx: Transaction) -> None:
        if pause_of(tx.connection, lifecycle) is None:
            keep_pause(tx.connection, EVERY, lifecycle, caller.person, reason, micros(tx.now))

    daemon.engine.act(mark).result(timeout=60)
    event = events.pause(reason, caller.person, everything=True).by_means_of(caller.via)
    done = found = _in_parts(daemon, lifecycle, open_runs_of, event, lambda run: not run.paused)
    while found:  # another daemon may have opened some while these were paused
        found = _in_parts(daemon, lifecycle, open_runs_of, event, lambda run: not run.paused)
        done += found
    return {"lifecycle": lifecycle, "paused": True, "runs": done}


def resume_lifecycle(
    daemon: Daemon, lifecycle: str, caller: Caller, reason: str = ""
) -> dict[str, Any]:
    """End the pause of a lifecycle; runs that were paused one by one stay so."""
    need_right(daemon.files.project.spec, caller.person, "operate")

    def end(tx: Transaction) -> int:
        at = micros(tx.now)
        return end_pause(tx.connection, EVERY, lifecycle, caller.person, at)

    ended = daemon.engine.act(end).result(timeout=60)
    event = events.resume(reason, caller.person).by_means_of(caller.via)
    done = _in_parts(
        daemon, lifecycle, paused_runs_of, event, lambda run: bool(run.paused.get("all"))
    )
    if not ended and not done:
        raise Conflict(f"lifecycle {lifecycle!r} is not paused")
    return {"lifecycle": lifecycle, "paused": False, "runs": done}


def refuse_paused(run: Run) -> None:
    """Raise `Conflict` if the run is paused: what a person says now would wait unseen."""
    if run.paused:
        by, reason = run.paused["by"], run.paused["reason"]
        raise Conflict(f"{run.id} is paused by {by} ({reason}); waystage resume {run.id}")


def begin_paused(tx: Transaction, no: int, lifecycle: str) -> dict[str, Any]:
    """Give what a new run of a paused lifecycle knows of the pause; empty if it is not paused."""
    found = tx.opened.pause_of(lifecycle)
    if found is None:
        return {}
    by, reason = found
    keep_pause(tx.connection, no, lifecycle, by, reason, micros(tx.now))
    return paused(by, {"reason": reason, "all": True})


def hold(tx: Transaction, touched: Touched, command: c.HoldWork) -> None:
    """Let none of the run's steps be called."""
    no, at = touched.hot.no, micros(tx.now)
    hold_work(tx.connection, no)
    keep_pause(tx.connection, no, touched.hot.run.lifecycle, command.by, command.reason, at)


def let_go(tx: Transaction, touched: Touched, command: c.LetWorkGo) -> None:
    """Let the run's steps be called again."""
    let_work_go(tx.connection, touched.hot.no)
    end_pause(tx.connection, touched.hot.no, touched.hot.run.lifecycle, command.by, micros(tx.now))
    tx.rings_at(micros(tx.now))


def measured_meanwhile(
    definition: Definition, before: Run, event: Event
) -> Iterator[dict[str, Any]]:
    """Give the orders of measurements whose answers came while the run was paused."""
    if event.kind != RESUME:
        return
    for kept in before.held:
        held = Event.from_json(kept["event"])
        node = definition.nodes.get(held.state)
        current = before.entered.get(held.state) == held.entry
        if node is None or not node.spec.verify or not current or held.kind[:5] != "step.":
            continue
        name = node.spec.verify[int(held.name)]
        start, end = before.activities[held.state]["window"]
        yield {"use": definition.spec.monitors[name].use, "stage": node.stage,
               "entry": held.entry,
               "config": {"monitor": name, "window": {"start": start, "end": end}}}  # fmt: skip


def _in_parts(
    daemon: Daemon, lifecycle: str, numbers: Numbers, event: Event, fits: Callable[[Run], bool]
) -> int:
    """Tell the event to all runs that fit; answers how many there were."""
    after, done = 0, 0

    def act(tx: Transaction) -> tuple[int | None, int]:
        found = numbers(tx.connection, lifecycle, after, AT_ONCE)
        tx.load(found, anew=True)
        mine = [no for no in found if no in tx.touched and fits(tx.touched[no].hot.run)]
        _tell(tx, mine, event)
        return (found[-1] if len(found) == AT_ONCE else None), len(mine)

    while True:
        following, count = daemon.engine.act(act).result(timeout=60)
        done += count
        if following is None:
            return done
        after = following


def _tell(tx: Transaction, numbers: list[int], event: Event) -> None:
    tx.deliver([Delivery(no, event) for no in numbers])


def _open_run(tx: Transaction, run: str) -> tuple[int, Run]:
    rows = runs_named(tx.connection, run, "") if run else []
    if not rows:
        raise NotFound(f"there is no run {run!r}")
    return rows[0].no, need_open(tx, rows[0].no)


def need_open(tx: Transaction, no: int) -> Run:
    """Give the run as it is now; raises `Conflict` if it has ended."""
    tx.load([no])
    now = tx.touched[no].hot.run
    if now.status != "open":
        raise Conflict(f"{now.id} has ended: {now.outcome}")
    return now


def _may(daemon: Daemon, caller: Caller, reason: str, what: str) -> None:
    need_right(daemon.files.project.spec, caller.person, "operate")
    if not reason.strip():
        raise Conflict(f"{what} needs a reason")


def _known(daemon: Daemon, lifecycle: str) -> None:
    if lifecycle not in daemon.files.lifecycles and lifecycle not in daemon.store.open_lifecycles():
        known = ", ".join(sorted(daemon.files.lifecycles)) or "none"
        raise NotFound(f"there is no lifecycle {lifecycle!r}; the project has {known}")
