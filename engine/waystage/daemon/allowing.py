"""Holding counted steps to their allowance, in the transaction that orders them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from waystage.daemon.delivery import Delivery
from waystage.kernel import events
from waystage.kernel.allowances import Used, denied
from waystage.plugin import Allowance, Plugin, Step
from waystage.store import DatabaseError
from waystage.store.allowances import begin_use, end_use, forget_use, uses_of
from waystage.store.codec import instant

if TYPE_CHECKING:
    from waystage.daemon.delivery import Touched
    from waystage.daemon.transaction import Transaction
    from waystage.kernel.commands import StartStep
    from waystage.kernel.definition import Node


class Allowing:
    """Knows which steps are counted."""

    def __init__(self, catalog: Mapping[str, type[Plugin]]) -> None:
        self._counted: dict[str, type[Step]] = {
            use: plugin
            for use, plugin in catalog.items()
            if issubclass(plugin, Step) and plugin.counted
        }

    def refuses(self, tx: Transaction, touched: Touched, order: StartStep) -> bool:
        """Count the step, or tell its run why it may not begin; one that is undone is neither."""
        plugin = self._counted.get(order.use)
        if plugin is None or order.kind != "step":
            return False
        service, where = touched.hot.run.service, (order.state, order.entry, order.index)
        try:
            allowance = _allowance(plugin, order)
            if allowance is None:
                return False
            no = denied(allowance, service, _used(tx, service, allowance), order.key, tx.now)
        except DatabaseError:
            raise
        except Exception as error:  # noqa: BLE001  # a plugin's mistake is its step's failure
            text = f"its allowance cannot be judged: {type(error).__name__}: {error}"
            failed = events.step_failed(*where, text, hopeless=True)
            tx.queue.append(Delivery(touched.hot.no, failed))
            return True
        if no is not None:
            told = {"again": no.again.isoformat()} if no.again else {}
            refused = events.step_refused(*where, no.why, told)
            tx.queue.append(Delivery(touched.hot.no, refused))
            return True
        row = {"service": service, "name": allowance.name, "run": touched.hot.no,
               "state": order.state, "began": tx.at}  # fmt: skip
        begin_use(tx.connection, order.key, **row)
        return False

    def over(self, tx: Transaction, touched: Touched, node: Node) -> None:
        """Note that the state has nothing under way any more."""
        if any(work.spec.use in self._counted for work in node.works):
            end_use(tx.connection, touched.hot.no, node.path, tx.at)

    def answered(
        self, tx: Transaction, touched: Touched, kind: str, order: Mapping[str, Any]
    ) -> None:
        """Count a step no more that refused; what ends while its run is paused is over, too."""
        if order["use"] not in self._counted:
            return
        if kind == "step.refused":
            forget_use(tx.connection, order["key"])
        elif touched.hot.run.paused:
            end_use(tx.connection, touched.hot.no, order["state"], tx.at)


def _allowance(plugin: type[Step], order: StartStep) -> Allowance | None:
    try:
        return plugin.model_validate(order.config).allowance()
    except ValidationError:
        return None  # the call fails by it, and says so


def _used(tx: Transaction, service: str, allowance: Allowance) -> list[Used]:
    rows = uses_of(tx.connection, service, allowance.name)
    return [Used(r.key, instant(r.began), instant(r.ended) if r.ended else None) for r in rows]
