"""Mending many incidents that have the same cause: seen and counted first, then one by one.

Each incident is mended in a transaction of its own kind, so that one that cannot be mended holds
up no other. A call that was cut off is made again: what is mended is not open any more, and what
is being tried again is left to that.
"""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from waystage.daemon.decisions import repairing
from waystage.errors import Conflict, WaystageError
from waystage.people import Caller, need_right
from waystage.store.rows import Chosen

if TYPE_CHECKING:
    from waystage.daemon.daemon import Daemon

AT_ONCE = 200  # incidents per call


@dataclass(frozen=True, slots=True)
class Order:
    """What is done to which incidents, by whom and why; `apply` does it."""

    kind: str
    chosen: Chosen
    caller: Caller
    data: dict[str, Any] = field(default_factory=dict)  # reason, to, values
    after: int = 0  # the last incident that an earlier call answered
    apply: bool = False


def mend(daemon: Daemon, order: Order) -> dict[str, Any]:
    """Mend up to `AT_ONCE` incidents; answers what became of each, and after which to go on.

    `found` counts all that are meant and still open. Raises `Forbidden` without the right to
    operate, `Conflict` without a reason.
    """
    need_right(daemon.files.project.spec, order.caller.person, "operate")
    if not str(order.data.get("reason", "")).strip():
        raise Conflict("mending many incidents needs a reason")
    found = daemon.store.count_incidents(order.chosen)
    rows = daemon.store.incidents(order.chosen, after=order.after, limit=AT_ONCE)
    shown = [asdict(row) | {"done": False, "why": ""} for row in rows]
    if order.apply:
        acts = [repairing(row.id, order.kind, order.caller, order.data, resumed=True)
                for row in rows]  # fmt: skip
        futures = [daemon.engine.act(act) for act in acts]  # the writer takes them together
        shown = [one | _outcome(f) for one, f in zip(shown, futures, strict=True)]
    following = rows[-1].id if len(rows) == AT_ONCE else None
    return {"kind": order.kind, "found": found, "applied": order.apply, "incidents": shown,
            "after": following}  # fmt: skip


def _outcome(future: Future[dict[str, Any]]) -> dict[str, Any]:
    try:
        done = future.result(timeout=60)
    except WaystageError as error:
        return {"done": False, "why": str(error)}
    return {"done": True, "why": "" if done["did"] else "it is being tried again already"}
