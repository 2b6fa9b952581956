"""Moving open runs to their lifecycle's present text: one transaction and one history row each.

Whether a run fits is decided in the transaction that moves it, on the run as it is then. Runs
that have come there already are passed over, so that a call that was cut off is simply made
again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from waystage.daemon.delivery import Delivery
from waystage.errors import Invalid
from waystage.kernel import Definition
from waystage.people import need_right
from waystage.planning.fit import Fit, fit_of
from waystage.planning.mapping import Mapping, parse_mapping
from waystage.store import answering
from waystage.store.codec import micros
from waystage.store.inside import open_runs_after

if TYPE_CHECKING:
    from waystage.daemon.daemon import Daemon
    from waystage.daemon.transaction import Transaction

AT_ONCE = 200  # runs per call


@dataclass(frozen=True, slots=True)
class Order:
    """Whose runs are to be moved, how, by whom and why; `apply` does it."""

    lifecycle: str
    person: str
    reason: str = ""
    mapping: str = ""  # the mapping file's text
    after: int = 0  # the number of the last run that an earlier call answered
    apply: bool = False
    via: str = ""  # by which means the person acts


def migrate(daemon: Daemon, order: Order) -> dict[str, Any]:
    """Move up to `AT_ONCE` runs; answers what became of each, and after which to go on, or None.

    Raises `Forbidden` without the right to operate, `Invalid` for a mapping with problems.
    """
    need_right(daemon.files.project.spec, order.person, "operate")
    new = daemon.definitions.by_name(order.lifecycle)
    mapping = parse_mapping(order.mapping, "mapping") if order.mapping else None
    if mapping is not None:
        _refuse(daemon, new, mapping)
    with answering(), daemon.store.reading() as connection:
        found = open_runs_after(connection, order.lifecycle, order.after, AT_ONCE)
    fits = [_move(daemon, new, mapping, order, row.no) for row in found]
    results = [_result(fit, order) for fit in fits if fit is not None]
    following = found[-1].no if len(found) == AT_ONCE else None
    return {"lifecycle": order.lifecycle, "definition": new.hash, "applied": order.apply,
            "runs": results, "after": following}  # fmt: skip


def _move(
    daemon: Daemon, new: Definition, mapping: Mapping | None, order: Order, no: int
) -> Fit | None:
    def act(tx: Transaction) -> Fit | None:
        tx.load([no], anew=True)
        touched = tx.touched.get(no)
        if touched is None or touched.hot.run.status != "open":
            return None  # it ended meanwhile
        run, old = touched.hot.run, touched.definition
        expanded = mapping.expanded(old, new) if mapping else {}
        given = tx.definitions.params_of(new, run.service)
        fit = fit_of(old, new, run, expanded, given)
        if order.apply and fit.migration is not None:
            tx.opened.keep(new, micros(tx.now))
            event = fit.migration.event(order.person, order.reason).by_means_of(order.via)
            tx.deliver([Delivery(no, event)])
        return fit

    return daemon.engine.act(act).result(timeout=60)


def _result(fit: Fit, order: Order) -> dict[str, Any]:
    moved = order.apply and fit.migration is not None
    return {"run": fit.run, "verdict": fit.verdict, "moved": moved, "places": list(fit.places),
            "reasons": list(fit.reasons), "notes": list(fit.notes)}  # fmt: skip


def _refuse(daemon: Daemon, new: Definition, mapping: Mapping) -> None:
    # all texts, not only those that runs have still: a second call finds fewer
    known = daemon.store.definitions_of(new.spec.lifecycle)
    olds = [daemon.definitions.by_hash(digest) for digest in known]
    if problems := mapping.problems(olds, new):
        raise Invalid(problems)
