"""Stepping through a lifecycle: what could happen next, and letting it happen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from random import Random
from typing import Any, Literal, TypeAlias

from waystage.errors import Conflict, WaystageError
from waystage.kernel import Event, Run, events
from waystage.kernel import commands as c
from waystage.kernel.macrostep import Macrostep
from waystage.plugin import Plugin, Step
from waystage.simulate import outputs
from waystage.simulate.measure import judged_so
from waystage.simulate.prepared import Prepared
from waystage.simulate.sample import read, sample
from waystage.simulate.simulation import Armed, Opened, Simulation
from waystage.simulate.world import World
from waystage.spec.project import Project

VERDICTS = ("ok", "warn", "breach", "insufficient", "error")
Kind: TypeAlias = Literal["work", "monitor", "task", "timer", "signal", "call", "repair"]
Given: TypeAlias = Mapping[str, str]  # what a person typed
OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Option:
    """Something that could happen next; `name` is how a person chooses it.

    `onward` says that it is what a lifecycle hopes for: done, an approval, time that passes.
    """

    name: str
    text: str
    kind: Kind
    state: str
    act: Callable[[Given], None]
    onward: bool


class _Quiet:
    """Watches nothing: whoever explores looks by themselves."""

    def ordered(self, order: c.StartStep) -> None:
        """Wait to be answered."""

    def opened(self, task: Opened) -> None:
        """Wait to be decided."""

    def called(self, child: c.StartChild) -> None:
        """Wait to be ended."""

    def entered(self, state: str) -> None:
        """Nothing follows."""

    def staged(self, asked: c.AskStage) -> None:
        """Leave the answer to the stage's file."""


@dataclass
class Explorer:
    """A simulated run whose every next event is chosen from outside.

    With `chance`, outputs and forms are different each time; without, always the same.
    """

    prepared: Prepared
    world: World
    run: Run
    begins: datetime
    people: Project
    chance: Random | None = None
    sim: Simulation = field(init=False)

    def __post_init__(self) -> None:
        self.sim = Simulation(self.prepared, self.world, self.run, self.begins, _Quiet())
        self.sim.tell(events.start(self.run.starter))

    def options(self) -> list[Option]:
        """Give everything that could happen next; nothing once the run has ended."""
        if self.sim.run.status == "ended":
            return []
        pending = self.sim.pending
        found = [each for order in pending.orders.values() for each in self._of_order(order)]
        found += [each for task in pending.tasks.values() for each in self._of_task(task)]
        found += [each for child in pending.children.values() for each in self._of_child(child)]
        found += [*self._of_timers(), *self._of_signals(), *self._of_incidents()]
        return found

    # steps and monitors

    def _of_order(self, order: c.StartStep) -> Iterator[Option]:
        if order.kind == "monitor":
            yield from self._of_monitor(order)
            return
        plugin = self.world.catalog[order.use]
        option = partial(self._option, kind="work", state=order.state)
        yield option("done", f"{order.use} is done", partial(self._done, order))
        if issubclass(plugin, Step) and plugin.refuses and order.kind == "step":
            event = events.step_refused(*_where(order), "refused in the simulation", {})
            yield option("refused", f"{order.use} refuses", partial(self._tell, order, event))
        event = events.step_failed(*_where(order), "failed in the simulation", hopeless=True)
        yield option("failed", f"{order.use} fails for good", partial(self._tell, order, event))

    def _done(self, order: c.StartStep, given: Given) -> None:
        plugin = self.world.catalog[order.use]
        said = _read(given, outputs.schema_of(plugin).get("properties", {}))
        wrong = [text for _, text in outputs.unfit_output(plugin, said)]
        if wrong:
            raise Conflict("; ".join(wrong))
        output = {**outputs.sampled(plugin, self.chance), **self._signed(plugin), **said}
        self._tell(order, events.step_done(*_where(order), output), {})

    def _signed(self, plugin: type[Plugin]) -> dict[str, Any]:
        """Have the snapshot signed as the stages want it, unless somebody says otherwise."""
        stages = self.world.stages.values()
        wanted = sorted({each for stage in stages for each in stage.requires.signed_by})
        return {"signed_by": wanted} if getattr(plugin, "verifies", False) else {}

    def _tell(self, order: c.StartStep, event: Event, given: Given) -> None:
        _nothing(given)
        self.sim.now = max(self.sim.now, order.due)
        self.sim.tell(event)

    def _of_monitor(self, order: c.StartStep) -> Iterator[Option]:
        name = order.config["monitor"]
        for word in VERDICTS:
            found = self._judged(order, name, word)
            if found is not None:
                act = partial(self._measured, order, name, *found)
                yield self._option(
                    word, f"{name} is {word}", act, kind="monitor", state=order.state
                )

    def _judged(
        self, order: c.StartStep, name: str, word: str
    ) -> tuple[dict[str, Any], dict[str, Any] | None] | None:
        run, now = self.sim.run, self.sim.now
        event = events.step_done(*_where(order), {})
        names = Macrostep(self.prepared.definition, run, event, now).environment(
            self.prepared.definition.nodes[order.state]
        )
        return judged_so(
            self.prepared.spec.monitors[name], word, run.monitors.get(name), names, now
        )

    def _measured(
        self, order: c.StartStep, name: str, measurement: dict[str, Any],
        memory: dict[str, Any] | None, given: Given,
    ) -> None:  # fmt: skip
        if memory is not None:
            self.sim.run = self.sim.run.fork()
            self.sim.run.monitors[name] = memory
        self._tell(order, events.step_done(*_where(order), measurement), given)

    # people

    def _of_task(self, task: Opened) -> Iterator[Option]:
        candidates = self.candidates(task)
        if not candidates:
            return
        for outcome in task.body["outcomes"]:
            text = f"{candidates[0]} answers {outcome}: “{task.body['title']}”"
            act = partial(self._vote, task, outcome, candidates[0])
            yield self._option(outcome, text, act, kind="task", state=task.state)

    def candidates(self, task: Opened) -> list[str]:
        """Give who may answer a task and has not: those whose approval must come, first."""
        voted = {vote["by"] for vote in task.body["votes"]}
        found = [name for name in self.people.people if name not in voted and self._may(task, name)]
        needed = set(task.body["required"])
        return sorted(found, key=lambda name: not needed & {name, *self._roles(name)})

    def _roles(self, name: str) -> list[str]:
        return [f"role:{role}" for role in self.people.people[name].roles]

    def _may(self, task: Opened, name: str) -> bool:
        run = self.sim.run
        try:
            self.world.rules.may_answer(
                self.people, task.body, name, starter=run.starter,
                author=str(run.snapshot.get("author", "")),
                deciders={t: done.get("people", []) for t, done in run.tasks.items()},
            )  # fmt: skip
        except WaystageError:
            return False
        return True

    def _vote(self, task: Opened, outcome: str, by: str, given: Given) -> None:
        approves = outcome in task.body["approvals"]
        said = _read(given, task.body["form"])
        form = {**self._form(task), **said} if approves else {}
        comment = "" if approves else "chosen in the simulation"
        if not approves:
            _nothing(given)
        self.world.rules.check_answer(task.body, outcome, form, comment)
        roles = list(self.people.people[by].roles)
        told = {"roles": roles, "form": form, "comment": comment, "shown": task.body["shown"]}
        self.sim.tell(events.vote(task.state, task.entry, outcome, told, by))

    def _form(self, task: Opened) -> dict[str, Any]:
        return {name: sample(schema, name, self.chance)
                for name, schema in task.body["form"].items()
                if schema.get("required") or self.chance is None}  # fmt: skip

    # called lifecycles, timers, signals, incidents

    def _of_child(self, child: c.StartChild) -> Iterator[Option]:
        node = self.prepared.definition.nodes[child.state]
        own = {*node.spec.timers, *node.spec.signals, "failed"}
        names = dict.fromkeys(["done", *(event for event in node.spec.next if event not in own)])
        for name in names:
            act = partial(self._ended, child, name)
            text = f"{child.lifecycle} ends with {name}"
            yield self._option(name, text, act, kind="call", state=child.state)
        lost = partial(self._lost, child)
        yield self._option("lost", f"{child.lifecycle} is aborted", lost, kind="call",
                           state=child.state)  # fmt: skip

    def _ended(self, child: c.StartChild, outcome: str, given: Given) -> None:
        del self.sim.pending.children[child.state]
        known = self.world.lifecycles.get(child.lifecycle)
        told = {
            "run": f"{self.sim.run.id}-{child.state}",
            "outcome": outcome,
            "data": (known.data if known else {}) | _read(given, {}),
        }
        self.sim.tell(events.child_ended(child.state, child.entry, outcome, told))

    def _lost(self, child: c.StartChild, given: Given) -> None:
        _nothing(given)
        del self.sim.pending.children[child.state]
        self.sim.tell(events.child_lost(child.state, child.entry, "aborted in the simulation"))

    def _of_timers(self) -> Iterator[Option]:
        """Only what is due first can come next."""
        first = self.sim.earliest()
        timers = self.sim.pending.timers.values()
        for timer in [each for each in timers if first and each.due == first.due]:
            name = timer.name.lstrip("@")
            text = f"{name} of {timer.state} at {timer.due:%Y-%m-%d %H:%M}"
            act = partial(self._fired, timer)
            yield self._option(name, text, act, kind="timer", state=timer.state)

    def _fired(self, timer: Armed, given: Given) -> None:
        _nothing(given)
        self.sim.fire(timer)

    def _of_signals(self) -> Iterator[Option]:
        heard = {name: node.path for leaf in self.sim.run.places
                 for node in self.prepared.definition.chain(leaf)
                 for name in node.spec.signals}  # fmt: skip
        for name, state in heard.items():
            yield self._option(name, f"signal {name}", partial(self._signal, name), kind="signal",
                               state=state)  # fmt: skip

    def _signal(self, name: str, given: Given) -> None:
        self.sim.tell(events.signal(name, _read(given, {})))

    def _of_incidents(self) -> Iterator[Option]:
        for state, incident in self.sim.run.incidents.items():
            if incident.get("retrying"):
                continue
            kinds = ("retry", "skip") if incident.get("resume") == "step" else ("retry",)
            for kind in kinds:
                text = f"an operator lets {state} {kind} after: {incident['message']}"
                act = partial(self._repair, kind, state)
                yield self._option(kind, text, act, kind="repair", state=state)

    def _repair(self, kind: str, state: str, given: Given) -> None:
        _nothing(given)
        self.sim.tell(events.repair(kind, state, {"reason": "simulated"}, OPERATOR))

    def _option(
        self, name: str, text: str, act: Callable[[Given], None], *, kind: Kind, state: str
    ) -> Option:
        onward = kind in ("monitor", "timer") or name in ("done", "retry")
        if kind == "task":
            onward = name in self.sim.pending.tasks[state].body["approvals"]
        return Option(name, text, kind, state, act, onward)


def _where(order: c.StartStep) -> tuple[str, int, int]:
    return order.state, order.entry, order.index


def _nothing(given: Given) -> None:
    if given:
        raise Conflict(f"there is nothing to say about it: {', '.join(given)}")


def _read(given: Given, schemas: Mapping[str, Any]) -> dict[str, Any]:
    return {name: read(text, schemas.get(name)) for name, text in given.items()}
