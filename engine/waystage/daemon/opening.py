"""Opening a run: pinned to the lifecycle's present text, once per key."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from waystage.daemon.crash import crash_point
from waystage.daemon.hot import HotRun
from waystage.daemon.pausing import begin_paused
from waystage.expressions.types import DYN, Type, conform
from waystage.kernel import Definition, Run, events
from waystage.store.codec import micros
from waystage.store.inside import insert_run, run_opened_by

if TYPE_CHECKING:
    from waystage.daemon.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Opening:
    """A run to be opened; the same key opens it once, and the run's id is given again."""

    definition: Definition
    service: str
    snapshot: dict[str, Any]
    key: str
    actor: str
    params: dict[str, Any] = field(default_factory=dict)
    starter: str = ""  # for a child run: who started its parent
    parent: dict[str, Any] = field(default_factory=dict)
    via: str = ""  # by which means the actor acted


def open_run(tx: Transaction, opening: Opening) -> str:
    """Open the run in the transaction and give its id: service and number."""
    known = run_opened_by(tx.connection, opening.key)
    if known is not None:
        return known
    run = enlist(tx, opening)
    tx.deliver([])
    return run


def enlist(tx: Transaction, opening: Opening) -> str:
    """Write the new run and put its start into the transaction's queue; gives its id."""
    crash_point("before-open")
    spec, at = opening.definition.spec, micros(tx.now)
    body = spec.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
    tx.store.keep_definition(tx.connection, opening.definition.hash, spec.lifecycle, body, at)
    row = {
        "id": f"new {opening.key}"[:100], "opened_by": opening.key, "lifecycle": spec.lifecycle,
        "definition": opening.definition.hash, "service": opening.service,
        "snapshot": f"{opening.snapshot.get('name', '')}/{opening.snapshot.get('version', '')}",
        "status": "open", "places": "", "revision": 0, "body": b"{}", "head": b"",
        "opened_at": at, "changed_at": at,
    }  # fmt: skip
    no, name = insert_run(tx.connection, opening.service, row)
    run = _run(opening, name)
    run.paused = begin_paused(tx, no, spec.lifecycle)
    from waystage.daemon.transaction import GENESIS, Delivery

    tx.add(HotRun(no, run, GENESIS), opening.definition)
    started = events.start(opening.actor, run.to_json()).by_means_of(opening.via)
    tx.queue.append(Delivery(no, started))
    return run.id


def snapshot_id(run: Run) -> str:
    """Give name and version of the run's snapshot."""
    return f"{run.snapshot.get('name', '')}/{run.snapshot.get('version', '')}"


def _run(opening: Opening, run_id: str) -> Run:
    spec = opening.definition.spec
    given = {name: field.default for name, field in spec.params.items()} | opening.params
    params = _conforming(given, opening.definition.param_types)
    data = {name: field.default for name, field in spec.data.items()}
    data = _conforming(data, opening.definition.data_types)
    return Run(
        id=run_id, lifecycle=spec.lifecycle, definition=opening.definition.hash,
        service=opening.service, snapshot=opening.snapshot, params=params,
        starter=opening.starter or opening.actor, data=data, parent=opening.parent,
    )  # fmt: skip


def _conforming(values: dict[str, Any], types: dict[str, Type]) -> dict[str, Any]:
    return {name: conform(value, types.get(name, DYN)) for name, value in values.items()}
