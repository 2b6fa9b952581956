"""Opening a run: pinned to the lifecycle's present text, once per key."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from waystage.daemon.delivery import GENESIS, Delivery
from waystage.daemon.hot import HotRun
from waystage.daemon.pausing import begin_paused
from waystage.errors import Conflict, NotFound
from waystage.expressions.types import DYN, Type, conform
from waystage.kernel import Definition, Run, events
from waystage.spec.lifecycle import Lifecycle
from waystage.spec.project import Project
from waystage.spec.wording import did_you_mean
from waystage.store.codec import micros

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
    known = tx.opened.id_of(opening.key)
    if known is not None:
        return known
    run = enlist(tx, opening)
    tx.deliver([])
    return run


def enlist(tx: Transaction, opening: Opening) -> str:
    """Take in the new run and put its start into the transaction's queue; gives its id."""
    at = micros(tx.now)
    tx.opened.keep(opening.definition, at)
    no, name = tx.opened.add(opening.key, opening.service)
    run = _run(opening, name)
    run.paused = begin_paused(tx, no, run.lifecycle)
    row = (no, name, opening.key, run.lifecycle, run.definition, run.service, snapshot_id(run), at)
    tx.add(HotRun(no, run, GENESIS), opening.definition, row)
    started = events.start(opening.actor, run.to_json()).by_means_of(opening.via)
    tx.queue.append(Delivery(no, started))
    return name


def need_service(project: Project, service: str, also: Collection[str] = ()) -> None:
    """Raise `NotFound` unless the project lists the service, or it is one of `also`."""
    if service not in project.services and service not in also:
        hint = did_you_mean(service, [*project.services, *also])
        told = f"waystage.yaml lists no service {service!r} under services:"
        raise NotFound(f"{told}; {hint}" if hint else told)


def need_fit(spec: Lifecycle, service: str) -> None:
    """Raise `Conflict` unless the lifecycle is for the service."""
    if not any(fnmatchcase(service, glob) for glob in spec.services):
        raise Conflict(f"lifecycle {spec.lifecycle} is for {', '.join(spec.services)}, "
                       f"not for {service}; see its services:")  # fmt: skip


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
