"""What an event leads to: the kernel decides, and each of its commands is carried out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from waystage.daemon.delivery import Delivery, Touched
from waystage.daemon.facts import apply_fact
from waystage.daemon.gates import answer
from waystage.daemon.handlers import HANDLERS
from waystage.daemon.hot import HotRun
from waystage.daemon.measured import told_of
from waystage.daemon.opening import snapshot_id
from waystage.daemon.pausing import measured_meanwhile
from waystage.daemon.transaction import Transaction
from waystage.kernel import Definition, Event, Run, advance
from waystage.kernel import commands as c
from waystage.kernel.judge import PRIVATE, is_stale
from waystage.kernel.migration import MIGRATED
from waystage.store import rare
from waystage.store.codec import chained, dump, micros


@dataclass
class Playing(Transaction):
    """A transaction in which runs move."""

    def _advance(self, delivery: Delivery) -> None:
        touched = self.touched.get(delivery.no)
        if touched is None:
            if delivery.no in self.foreign:
                self._hand_over(delivery)
            return  # else the run was removed by retention
        hot = touched.hot
        before = hot.run
        definition = self._definition_for(touched, delivery.event)
        step = advance(definition, before, delivery.event, self.now)
        hot.run = step.run
        self._place(hot)
        self._remember(hot, delivery.event, [record.to_json() for record in step.records])
        for command in step.commands:
            self._carry_out(touched, command)
        for fact in delivery.facts:
            apply_fact(self, touched, fact)
        if delivery.claim is not None and self.allowing is not None:
            self.allowing.answered(self, touched, delivery.event.kind, delivery.claim.order)
        if delivery.claim is not None and delivery.claim.order["kind"] == "monitor":
            self._keep_measurement(touched, before, delivery.claim.order)
        for order in measured_meanwhile(definition, before, delivery.event):
            self._keep_measurement(touched, before, order)

    def _answer(self, touched: Touched, asked: c.AskStage) -> None:
        answer(self, touched, asked)

    def _hand_over(self, delivery: Delivery) -> None:
        """Have a newer daemon deliver what is for a run that cannot be read here."""
        claim, event = delivery.claim, delivery.event
        if claim is not None:  # called again there: what the answer tells is read there, too
            self.store.let_go(self.connection, claim, self.at)
        else:
            self.batch.rest.append(rare.tell_run(delivery.no, event.actor, event.to_json()))
        self.rings_at(self.at)

    def _definition_for(self, touched: Touched, event: Event) -> Definition:
        if event.kind == MIGRATED:  # played under the definition that it leads to
            return self.definitions.by_hash(event.data["to"])
        return touched.definition

    def _remember(self, hot: HotRun, event: Event, records: list[list[str]]) -> None:
        at = self.at
        body = dump({"event": event.to_json(), "records": records})
        seq = hot.run.revision
        hot.head = chained(hot.head, seq, at, event.actor, body)
        self.batch.history.append((hot.no, seq, at, event.actor, body, hot.head))

    def _carry_out(self, touched: Touched, command: c.Command) -> None:
        HANDLERS[type(command)](self, touched, command)

    def _place(self, hot: HotRun) -> None:
        """Note where the run is by now, and how long it was where it was."""
        places = ",".join(hot.run.places)
        if places != hot.places:
            if hot.places:
                self.left.append((hot.run.lifecycle, hot.places, (self.at - hot.since) / 1e6))
            hot.places, hot.since = places, self.at

    def _keep_measurement(self, touched: Touched, before: Run, order: dict[str, Any]) -> None:
        name = order["config"]["monitor"]
        run = touched.hot.run
        judged = run.monitors.get(name)
        if judged is None or judged is before.monitors.get(name):
            return
        spec = touched.definition.spec.monitors.get(name)
        stale = {"stale": True} if spec is not None and is_stale(spec, judged) else {}
        window = order["config"]["window"]
        kept = {k: v for k, v in judged.items() if k not in (*PRIVATE, "verdict")}
        kept |= told_of(spec, run, name, order) if spec is not None else {}
        statement = rare.keep_measurement(
            kept | stale, monitor=name, use=order["use"], service=run.service,
            stage=order["stage"], snapshot=snapshot_id(run), run=touched.hot.no,
            number=run.revision, start=micros(datetime.fromisoformat(window["start"])),
            end=micros(datetime.fromisoformat(window["end"])),
            verdict=judged["verdict"], at=self.at,
        )  # fmt: skip
        self.batch.rest.append(statement)
