"""One simulated run with its script: what it waits for is answered, each at its time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Protocol

from waystage.errors import Problem, WaystageError
from waystage.kernel import Event, Run, events
from waystage.kernel import commands as c
from waystage.kernel.macrostep import Macrostep
from waystage.simulate import outputs
from waystage.simulate.measure import judged_so, measured
from waystage.simulate.prepared import Prepared
from waystage.simulate.script import Script
from waystage.simulate.simulation import Opened, Pending, Simulation
from waystage.simulate.told import told
from waystage.simulate.world import World
from waystage.spec.load import Loaded
from waystage.spec.scenario import Decision, PlannedAnswer, Scenario


class Unanswered(Exception):  # it ends a scenario, it is no error by itself
    """A monitor is asked for an assessment that the scenario does not have."""

    def __init__(self, actor: Actor, monitor: str) -> None:
        super().__init__(f"monitors: has no more assessments of {monitor}")
        self.actor, self.monitor = actor, monitor


class Director(Protocol):
    """Who keeps the time of all runs of a scenario."""

    def plan(self, at: datetime, act: Callable[[], None]) -> None:
        """Let something happen at an instant."""

    def call(self, actor: Actor, child: c.StartChild) -> None:
        """A run calls another lifecycle."""

    def keep(self) -> None:
        """What people and senders did is not given back."""

    def stop(self, why: str) -> None:
        """The scenario cannot go on."""


@dataclass(slots=True)
class State:
    """All of an actor that changes."""

    run: Run
    now: datetime
    pending: Pending
    lengths: tuple[int, int, int, int]
    counts: Counter[tuple[str, str]]
    used: set[tuple[str, int]]
    deciding: dict[str, int]
    children: list[Actor]


class Actor:
    """Answers what a run waits for by what a scenario says of it."""

    def __init__(
        self, loaded: Loaded[Scenario], prepared: Prepared, world: World, run: Run,
        director: Director, caller: tuple[Actor, c.StartChild] | None = None,
    ) -> None:  # fmt: skip
        self.loaded, self.prepared, self.world = loaded, prepared, world
        self.director, self.caller = director, caller
        self.spec = loaded.spec
        self.script = Script(prepared, self.spec)
        self.people = world.people(self.spec.roles)
        self.sim = Simulation(prepared, world, run, self.spec.begins, self)
        if caller is not None:  # one snapshot: whoever verifies it does so for both
            self.sim.signed = caller[0].sim.signed
        self.children: list[Actor] = []
        self.problems: list[Problem] = []
        self.why = ""
        self._deciding: dict[str, int] = {}  # the visit of each state whose next decision is due

    def begin(self) -> None:
        """Start the run, and send what comes so long after its beginning."""
        for number in self.script.signals(None):
            self._at(self.spec.signals[number].after, partial(self._send, number, None, 0))
        self.sim.tell(events.start(self.spec.starter))

    @property
    def ended(self) -> bool:
        """Whether the run has ended."""
        return self.sim.run.status == "ended"

    @property
    def called_for(self) -> bool:
        """Whether the state that called it still waits for it."""
        if self.caller is None:
            return True
        actor, child = self.caller
        return not actor.ended and actor.sim.pending.children.get(child.state) is child

    def everyone(self) -> Iterator[Actor]:
        """Give the actor and all that were called, by it and by those."""
        yield self
        for child in self.children:
            yield from child.everyone()

    def situation(self, now: datetime) -> tuple[object, ...]:
        """Give what tells one moment from another, apart from the time."""
        run = self.sim.run
        verdicts = [(name, each["verdict"], [seen["level"] for seen in each["recent"][-3:]])
                    for name, each in sorted(run.monitors.items())]  # fmt: skip
        return (run.id, *run.places, repr(sorted(run.data.items())), repr(verdicts),
                self._nearing(now), *self.script.position())  # fmt: skip

    def _nearing(self, now: datetime) -> str:
        """Say how far off all is that comes once: a trial's end comes nearer day by day."""
        nodes = self.prepared.definition.nodes
        once = [
            (each.state, each.name, each.due - now)
            for each in self.sim.pending.timers.values()
            if not ((spec := nodes[each.state].spec.timers.get(each.name)) and spec.recurs)
        ]
        return repr(sorted(once))

    def state(self) -> State:
        """Give all that changes."""
        sim, script = self.sim, self.script
        lengths = (len(sim.visits), len(sim.sent), len(sim.parked), len(sim.taken))
        return State(sim.run, sim.now, sim.pending.copy(), lengths, script.counts.copy(),
                     script.used.copy(), self._deciding.copy(), self.children.copy())  # fmt: skip

    def restore(self, state: State) -> None:
        """Be again as at an earlier moment."""
        sim, script = self.sim, self.script
        sim.run, sim.now, sim.pending = state.run, state.now, state.pending
        script.counts, script.used = state.counts, state.used
        self._deciding, self.children = state.deciding, state.children
        happened: tuple[list[Any], ...] = (sim.visits, sim.sent, sim.parked, sim.taken)
        for each, length in zip(happened, state.lengths, strict=True):
            del each[length:]

    def problem(self, path: tuple[str | int, ...], message: str, hint: str = "") -> None:
        """Keep something that is wrong with the scenario."""
        self.problems.append(told(self.loaded, path, message, hint))

    # what the run begins to wait for

    def ordered(self, order: c.StartStep) -> None:
        """Have the plugin called when its time comes."""
        self._at(max(order.due - self.sim.now, timedelta()), partial(self._call, order))

    def opened(self, task: Opened) -> None:
        """Let the next person of the script decide, so long after the task was opened."""
        if self._deciding.get(task.state) == task.entry:
            return
        found = self.script.decision(task.state)
        if found is None:
            return
        number, decision = found
        self._deciding[task.state] = task.entry
        wait = task.since + decision.after - self.sim.now
        self._at(max(wait, timedelta()), partial(self._decide, number, decision, task))

    def called(self, child: c.StartChild) -> None:
        """Have the called lifecycle played, or ended as the script says."""
        self.director.call(self, child)

    def child_ended(self, child: c.StartChild, run: str, outcome: str, data: Any) -> None:
        """Tell the run how a called lifecycle ended, if it still waits for that."""
        if self._forgets(child):
            result = {"run": run, "outcome": outcome, "data": data}
            self.sim.tell(events.child_ended(child.state, child.entry, outcome, result))

    def child_lost(self, child: c.StartChild, why: str) -> None:
        """Tell the run that a called lifecycle did not end by itself, if it still waits."""
        if self._forgets(child):
            self.sim.tell(events.child_lost(child.state, child.entry, why))

    def _forgets(self, child: c.StartChild) -> bool:
        waits = self.sim.pending.children.get(child.state) is child
        if waits:
            del self.sim.pending.children[child.state]
        return waits

    def entered(self, state: str) -> None:
        """Send the signals that are for a state."""
        for number in self.script.signals(state):
            entry = self.sim.run.entered.get(state, -1)
            self._at(self.spec.signals[number].after, partial(self._send, number, state, entry))

    def staged(self, asked: c.AskStage) -> Event | None:
        """Let the stage answer as the script says, where it says something."""
        said, where = self.script.stage(asked.state), (asked.state, asked.entry)
        if said is None:
            return None
        if said.refused is not None:
            return events.stage_answered(*where, "unmet", {"why": said.refused})
        if said.closed is not None:
            until = (self.sim.now + said.closed).isoformat()
            return events.stage_answered(*where, "closed", {"until": until, "why": said.why})
        return events.stage_answered(*where, "open")

    # what the script does

    def _call(self, order: c.StartStep) -> None:
        if self.sim.pending.orders.get(self._region(order)) is not order:
            return
        if order.kind == "monitor":
            self._measure(order)
            return
        answer = self.script.answer(order)
        limit = timedelta(seconds=order.timeout) if order.timeout else None
        if limit is not None and answer.after > limit:
            text = f"no answer within {order.timeout:g} s"
            self._at(limit, partial(self._answered, order, PlannedAnswer(failed=text)))
        elif answer.waiting is not None:
            self._wait(order, answer.after + answer.waiting)
        else:
            self._at(answer.after, partial(self._answered, order, answer))

    def _wait(self, order: c.StartStep, span: timedelta) -> None:
        late = order.deadline is not None and self.sim.now + span > order.deadline
        if late:
            text = "still waiting at its deadline"
            self._answered(order, PlannedAnswer(hopeless=text))
        else:
            self._at(span, partial(self._call, order))

    def _answered(self, order: c.StartStep, answer: PlannedAnswer) -> None:
        if self.sim.pending.orders.get(self._region(order)) is not order:
            return
        where = (order.state, order.entry, order.index)
        if answer.done is not None:
            output = outputs.made(self.world.catalog[order.use], answer.done)
            self.sim.tell(events.step_done(*where, output))
        elif answer.refused is not None:
            self.sim.tell(events.step_refused(*where, answer.refused, {}))
        elif answer.hopeless is not None:
            self.sim.tell(events.step_failed(*where, answer.hopeless, hopeless=True))
        else:
            self.sim.tell(events.step_failed(*where, answer.failed or "failed"))

    def _measure(self, order: c.StartStep) -> None:
        name, node = order.config["monitor"], self.prepared.definition.nodes[order.state]
        assessed = self.script.assessed(name)
        if assessed is None:
            raise Unanswered(self, name)
        where = (order.state, order.entry, order.index)
        if assessed.verdict is None:
            self.sim.tell(events.step_done(*where, measured(assessed)))
            return
        run, spec = self.sim.run, self.prepared.spec.monitors[name]
        answer = events.step_done(*where, {})
        macrostep = Macrostep(self.prepared.definition, run, answer, self.sim.now)
        environment = macrostep.environment(node)
        before = run.monitors.get(name)
        found = judged_so(spec, assessed.verdict, before, environment, self.sim.now)
        if found is None:
            text = f"{name} never comes to {assessed.verdict}: its thresholds do not lead there"
            self.problem(("monitors", name), text)
            self.director.stop(text)
            return
        answer, memory = events.step_done(*where, found[0]), found[1]
        if memory is not None:
            self.sim.run = run.fork()
            self.sim.run.monitors[name] = memory
        self.sim.tell(answer)

    def _decide(self, number: int, decision: Decision, task: Opened) -> None:
        now = self.sim.pending.tasks.get(task.state)
        self._deciding.pop(task.state, None)
        if now is None or now.entry != task.entry:
            return
        self.script.used.add(("people", number))
        self.director.keep()
        if self._may(number, decision, now):
            known = self.people.people[decision.by]
            told = {"roles": list(known.roles), "form": decision.form,
                    "comment": decision.comment, "shown": now.body["shown"]}  # fmt: skip
            self.sim.tell(events.vote(task.state, task.entry, decision.outcome, told, decision.by))
        still = self.sim.pending.tasks.get(task.state)
        if still is not None and still.entry == task.entry:
            self.opened(still)

    def _may(self, number: int, decision: Decision, task: Opened) -> bool:
        run, rules, by = self.sim.run, self.world.rules, decision.by
        deciders = {name: done.get("people", []) for name, done in run.tasks.items()}
        try:
            rules.may_answer(
                self.people, task.body, by, starter=run.starter,
                author=str(run.snapshot.get("author", "")), deciders=deciders,
            )  # fmt: skip
            repeated = rules.same_answer(task.body, by, decision.outcome)
            rules.check_answer(task.body, decision.outcome, decision.form, decision.comment)
        except WaystageError as error:
            if not decision.refused:
                self.problem(("people", number), str(error))
            return False
        if decision.refused:
            text = f"{by} may answer, and should be refused"
            self.problem(("people", number, "refused"), text)
            return False
        return not repeated

    def _send(self, number: int, state: str | None, entry: int) -> None:
        if state is not None and self.sim.run.entered.get(state) != entry:
            return
        self.script.used.add(("signals", number))
        self.director.keep()
        signal = self.spec.signals[number]
        self.sim.tell(events.signal(signal.name, signal.payload))

    def _at(self, span: timedelta, act: Callable[[], None]) -> None:
        self.director.plan(self.sim.now + span, act)

    def _region(self, order: c.StartStep) -> str:
        return self.prepared.definition.nodes[order.state].region
