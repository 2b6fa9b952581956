"""Holding counted steps to their allowance, in the transaction that orders them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import ValidationError

from waystage.daemon.delivery import Delivery
from waystage.kernel import events
from waystage.kernel.allowances import Used, denied
from waystage.plugin import Allowance, Plugin, Step
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
        allowance = self._allowance(order)
        if allowance is None:
            return False
        service = touched.hot.run.service
        rows = uses_of(tx.connection, service, allowance.name)
        used = [Used(r.key, instant(r.began), instant(r.ended) if r.ended else None) for r in rows]
        if no := denied(allowance, service, used, order.key, tx.now):
            told = {"again": no.again.isoformat()} if no.again else {}
            event = events.step_refused(order.state, order.entry, order.index, no.why, told)
            tx.queue.append(Delivery(touched.hot.no, event))
            return True
        row = {"service": service, "name": allowance.name, "run": touched.hot.no,
               "state": order.state, "began": tx.at}  # fmt: skip
        begin_use(tx.connection, order.key, **row)
        return False

    def over(self, tx: Transaction, touched: Touched, node: Node) -> None:
        """Note that the state has nothing under way any more."""
        if any(work.spec.use in self._counted for work in node.works):
            end_use(tx.connection, touched.hot.no, node.path, tx.at)

    def refused(self, tx: Transaction, use: str, key: str) -> None:
        """Count a step no more that was called and refused."""
        if use in self._counted:
            forget_use(tx.connection, key)

    def _allowance(self, order: StartStep) -> Allowance | None:
        plugin = self._counted.get(order.use) if order.kind == "step" else None
        try:
            return plugin.model_validate(order.config).allowance() if plugin else None
        except ValidationError:
            return None  # the call fails by it, and says so
