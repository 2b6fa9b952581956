"""One simulated run: the kernel decides, and what it orders is kept for others to answer."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from pydantic import ValidationError

from waystage.kernel import Event, Run, advance, events
from waystage.kernel import commands as c
from waystage.kernel.definition import Way
from waystage.plugin import Monitor, Plugin, Step
from waystage.simulate import gates
from waystage.simulate.prepared import Prepared
from waystage.simulate.visits import visited
from waystage.simulate.world import World

NOTIFY = "notify"  # the family of steps that send messages


@dataclass(frozen=True, slots=True)
class Visit:
    """A state that was entered."""

    at: datetime
    state: str


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that people would have got; `to` is empty for the engine's own reminders."""

    at: datetime
    state: str
    to: str
    title: str
    text: str
    level: str


@dataclass(frozen=True, slots=True)
class Parked:
    """An incident."""

    at: datetime
    state: str
    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class Opened:
    """A task that waits for a person."""

    state: str
    entry: int
    body: dict[str, Any]
    since: datetime


@dataclass(frozen=True, slots=True)
class Armed:
    """A timer that is set."""

    state: str
    entry: int
    name: str
    due: datetime
    note: dict[str, Any] | None


class Watcher(Protocol):
    """Who wants to know what the run waits for, at the moment when it begins to."""

    def ordered(self, order: c.StartStep) -> None:
        """A plugin is to be called."""

    def opened(self, task: Opened) -> None:
        """A task was opened, or its votes have changed."""

    def called(self, child: c.StartChild) -> None:
        """Another lifecycle is to be run."""

    def entered(self, state: str) -> None:
        """A state was entered."""

    def staged(self, asked: c.AskStage) -> Event | None:
        """A stage is asked; None leaves the answer to the stage's own file."""


@dataclass(slots=True)
class Pending:
    """What the run waits for."""

    orders: dict[str, c.StartStep] = field(default_factory=dict)
    tasks: dict[str, Opened] = field(default_factory=dict)
    timers: dict[tuple[str, str], Armed] = field(default_factory=dict)
    children: dict[str, c.StartChild] = field(default_factory=dict)

    def copy(self) -> Pending:
        """Give a copy whose own dictionaries may be changed."""
        parts = (self.orders, self.tasks, self.timers, self.children)
        return Pending(*(dict(part) for part in parts))  # type: ignore[arg-type]  # each its own kind


@dataclass(slots=True)
class Simulation:
    """A run with its clock; `visits`, `sent`, `parked` and `taken` are what has happened.

    A step that `verifies` tells in its output's `signed_by` whose signature it has found.
    """

    prepared: Prepared
    world: World
    run: Run
    now: datetime
    watcher: Watcher
    pending: Pending = field(default_factory=Pending)
    visits: list[Visit] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    parked: list[Parked] = field(default_factory=list)
    taken: list[Way] = field(default_factory=list)
    signed: set[str] = field(default_factory=set)  # whose signatures steps have verified
    _queue: deque[Event] = field(default_factory=deque)
    _asked: deque[c.AskStage] = field(default_factory=deque)

    def tell(self, event: Event) -> None:
        """Let something happen, and what follows from it without anybody."""
        self._queue.append(event)
        while self._queue or self._asked:
            if not self._queue:  # a stage answers when all that goes before has been told
                self._ask(self._asked.popleft())
                continue
            self._advance(self._queue.popleft())

    def earliest(self) -> Armed | None:
        """Give the timer that fires next."""
        return min(self.pending.timers.values(), key=lambda each: each.due, default=None)

    def fire(self, timer: Armed) -> None:
        """Turn the clock to a timer and let it fire."""
        del self.pending.timers[timer.state, timer.name]
        self.now = max(self.now, timer.due)
        due = timer.due.isoformat()
        self.tell(events.timer_fired(timer.state, timer.entry, timer.name, due))

    def _advance(self, event: Event) -> None:
        definition = self.prepared.definition
        self._note_signers(event)
        self.prepared.chosen.clear()
        step = advance(definition, self.run, event, self.now)
        self.run = step.run
        new = visited(definition, step.records)
        self.visits.extend(Visit(self.now, state) for state in new)
        self._note_arrows(step.records)
        for command in step.commands:
            handler = _HANDLERS.get(type(command))
            if handler is not None:
                handler(self, command)
        for state in new:
            self.watcher.entered(state)

    def _note_signers(self, event: Event) -> None:
        """Keep whose signature a step has verified that is done now."""
        if event.kind != "step.done" or event.state not in self.prepared.definition.nodes:
            return
        order = self.pending.orders.get(self._region(event.state))
        if order is None or (order.entry, str(order.index)) != (event.entry, event.name):
            return
        said = event.data.get("signed_by")
        if getattr(self.world.catalog.get(order.use), "verifies", False) and isinstance(said, list):
            self.signed |= {str(each) for each in said}

    def _note_arrows(self, records: list[c.Record]) -> None:
        """Keep the arrows that were not only chosen but also taken."""
        moves = deque((r.state, r.name, r.detail) for r in records if r.what == "moved")
        for way in self.prepared.chosen:
            if moves and moves[0][1:] == (way.event, way.target):
                moves.popleft()
                self.taken.append(way)

    def _ask(self, asked: c.AskStage) -> None:
        if self.run.entered.get(asked.state) == asked.entry:
            said = self.watcher.staged(asked)
            own = gates.answer(self.world, self.run, asked, self.now, self.signed)
            self._queue.append(said or own)

    def start_step(self, order: c.StartStep) -> None:
        """Keep an order; one that no plugin could take fails as it would in a daemon."""
        self.pending.orders[self._region(order.state)] = order
        wrong = unfit(self.world.catalog.get(order.use), order)
        if wrong:
            where = (order.state, order.entry, order.index)
            self._queue.append(events.step_failed(*where, wrong, hopeless=True))
            return
        if order.use.partition(".")[0] == NOTIFY and order.kind == "step" and order.attempt == 1:
            said = {k: str(order.config.get(k, "")) for k in ("to", "title", "text")}
            level = str(order.config.get("level", "info"))
            self.sent.append(Sent(self.now, order.state, **said, level=level))
        self.watcher.ordered(order)

    def drop_work(self, command: c.DropWork) -> None:
        """Forget what the state has under way."""
        self.pending.orders.pop(self._region(command.state), None)

    def open_task(self, command: c.OpenTask) -> None:
        """Keep a task."""
        task = Opened(command.state, command.entry, command.body, self.now)
        self.pending.tasks[command.state] = task
        self.watcher.opened(task)

    def update_task(self, command: c.UpdateTask) -> None:
        """Keep a task's new body."""
        before = self.pending.tasks[command.state]
        task = Opened(command.state, command.entry, command.body, before.since)
        self.pending.tasks[command.state] = task
        self.watcher.opened(task)

    def close_task(self, command: c.CloseTask) -> None:
        """Take a task away."""
        self.pending.tasks.pop(command.state, None)

    def set_timer(self, command: c.SetTimer) -> None:
        """Keep a timer; a cron line or a date that never comes again sets none."""
        due = command.due
        if due is None and command.spec is not None:
            due = self.world.rules.next_fire(command.spec, self.now)
        if due is not None:
            armed = Armed(command.state, command.entry, command.name, due, command.note)
            self.pending.timers[command.state, command.name] = armed

    def cancel_timers(self, command: c.CancelTimers) -> None:
        """Forget a state's timers."""
        for state, name in list(self.pending.timers):
            if state == command.state and command.name in ("", name):
                del self.pending.timers[state, name]

    def take_lease(self, command: c.TakeLease) -> None:
        """Grant every lease: there is no other run."""
        self._queue.append(events.lease_granted(command.state, command.entry))

    def ask_stage(self, command: c.AskStage) -> None:
        """Ask the stage once everything else has been told."""
        self._asked.append(command)

    def start_child(self, command: c.StartChild) -> None:
        """Keep that another lifecycle is called."""
        self.pending.children[command.state] = command
        self.watcher.called(command)

    def abort_child(self, command: c.AbortChild) -> None:
        """Forget the called lifecycle."""
        self.pending.children.pop(command.state, None)

    def notify(self, command: c.Notify) -> None:
        """Keep one of the engine's own messages."""
        self.sent.append(
            Sent(self.now, command.state, "", command.title, command.text, command.level)
        )

    def open_incident(self, command: c.OpenIncident) -> None:
        """Keep an incident."""
        self.parked.append(Parked(self.now, command.state, command.kind, command.message))

    def _region(self, state: str) -> str:
        return self.prepared.definition.nodes[state].region


_HANDLERS: dict[type[Any], Callable[[Simulation, Any], None]] = {
    c.StartStep: Simulation.start_step,
    c.DropWork: Simulation.drop_work,
    c.OpenTask: Simulation.open_task,
    c.UpdateTask: Simulation.update_task,
    c.CloseTask: Simulation.close_task,
    c.SetTimer: Simulation.set_timer,
    c.CancelTimers: Simulation.cancel_timers,
    c.TakeLease: Simulation.take_lease,
    c.AskStage: Simulation.ask_stage,
    c.StartChild: Simulation.start_child,
    c.AbortChild: Simulation.abort_child,
    c.Notify: Simulation.notify,
    c.OpenIncident: Simulation.open_incident,
}


def unfit(plugin: type[Plugin] | None, order: c.StartStep) -> str:
    """Say why a plugin could not be called with an order's settings; empty if it could."""
    if plugin is None:
        return f"there is no plugin {order.use!r}; `waystage plugins` lists them"
    wanted: type[Plugin] = Monitor if order.kind == "monitor" else Step
    if not issubclass(plugin, wanted):
        return f"plugin {order.use!r} is a {plugin.kind}, not a {wanted.kind}"
    try:
        plugin.model_validate(order.config["with"] if order.kind == "monitor" else order.config)
    except ValidationError as error:
        return "; ".join(_told(detail) for detail in error.errors(include_url=False))
    return ""


def _told(detail: Any) -> str:
    where = ".".join(map(str, detail["loc"]))
    return f"{where}: {detail['msg']} ({detail['input']!r:.80})" if where else str(detail["msg"])
