"""Playing a scenario: the virtual clock goes from event to event, and the script answers."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from typing import Any

from waystage.errors import Problem, WaystageError
from waystage.kernel import Event, Run, events
from waystage.kernel import commands as c
from waystage.kernel.definition import Way
from waystage.kernel.macrostep import Macrostep
from waystage.simulate import outputs
from waystage.simulate.expect import differences
from waystage.simulate.fit import fit
from waystage.simulate.measure import judged_so, measured
from waystage.simulate.prepared import Prepared
from waystage.simulate.script import Script
from waystage.simulate.simulation import Armed, Opened, Parked, Pending, Sent, Simulation, Visit
from waystage.simulate.told import told
from waystage.simulate.world import World
from waystage.spec.load import Loaded
from waystage.spec.scenario import Decision, PlannedAnswer, Scenario

MOST = 10_000  # events of one scenario
RUN = "simulated-1"


@dataclass(frozen=True, slots=True)
class Played:
    """What came of a scenario; `why` says what ended it, `differences` is empty when all held."""

    loaded: Loaded[Scenario]
    differences: tuple[Problem, ...]
    why: str = ""
    began: datetime | None = None
    ended: datetime | None = None
    run: Run | None = None
    visits: tuple[Visit, ...] = ()
    sent: tuple[Sent, ...] = ()
    parked: tuple[Parked, ...] = ()
    taken: tuple[Way, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether everything held."""
        return not self.differences


class _Unanswered(Exception):  # it ends a scenario, it is no error by itself
    """A monitor is asked for an assessment that the scenario does not have."""


def play(loaded: Loaded[Scenario], prepared: Prepared, world: World) -> Played:
    """Play a scenario to its end and hold it against what it expects."""
    problems = list(fit(loaded, prepared, world))
    if problems:
        return Played(loaded, tuple(problems), "it does not fit its lifecycle")
    player = _Player(loaded, prepared, world)
    player.play()
    sim, spec = player.sim, loaded.spec
    found = [*player.problems, *differences(loaded, prepared, sim, player.script, player.why)]
    found.sort(key=lambda problem: (problem.line, problem.column))
    return Played(
        loaded, tuple(found), player.why, spec.begins, sim.now, sim.run, tuple(sim.visits),
        tuple(sim.sent), tuple(sim.parked), tuple(sim.taken),
    )  # fmt: skip


def open_run(prepared: Prepared, world: World, spec: Scenario) -> Run:
    """Give the run that a scenario is about, not yet begun."""
    params = prepared.params(world.params_of(spec.service), spec.params)
    return Run(
        RUN, prepared.spec.lifecycle, prepared.definition.hash, spec.service,
        spec.snapshot.model_dump(mode="json"), params, spec.starter, data=dict(prepared.data),
    )  # fmt: skip


@dataclass(slots=True)
class _Saved:
    """All that changes, as it was before a timer fired."""

    run: Run
    now: datetime
    pending: Pending
    lengths: tuple[int, int, int, int]
    agenda: list[tuple[datetime, int, Callable[[], None]]]
    counts: Any
    used: set[tuple[str, int]]
    deciding: dict[str, int]


@dataclass
class _Player:
    """Answers what the run waits for, each at its time."""

    loaded: Loaded[Scenario]
    prepared: Prepared
    world: World
    why: str = ""
    problems: list[Problem] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.spec = self.loaded.spec
        self.script = Script(self.prepared, self.spec)
        self.people = self.world.people(self.spec.roles)
        run = open_run(self.prepared, self.world, self.spec)
        self.sim = Simulation(self.prepared, self.world, run, self.spec.begins, self)
        self._agenda: list[tuple[datetime, int, Callable[[], None]]] = []
        self._numbers = count()
        self._deciding: dict[str, int] = {}  # the visit of each state whose next decision is due
        self._seen: set[tuple[object, ...]] = set()
        self._saved: _Saved | None = None

    def play(self) -> None:
        """Go from event to event until nothing is left, or the scenario has no more to say."""
        for number in self.script.signals(None):
            self._at(self.spec.signals[number].after, partial(self._send, number, None, 0))
        self.sim.tell(events.start(self.spec.starter))
        for _ in range(MOST):
            try:
                if self.sim.run.status == "ended":
                    self.why = "the run has ended"
                elif not self._next():
                    return
            except _Unanswered as asked:
                self._give_back(str(asked))
            if self.why:
                return
        self.why = f"more than {MOST} events: it goes in circles"
        self._problem(("scenario",), self.why)

    def _next(self) -> bool:
        timer = self.sim.earliest()
        if self._agenda and (timer is None or self._agenda[0][0] <= timer.due):
            at, _, act = heapq.heappop(self._agenda)
            if self._too_late(at):
                return False
            self.sim.now = max(self.sim.now, at)
            act()
            return True
        if timer is None:
            self.why = "nothing is left that could happen"
            return False
        if self._too_late(timer.due) or self._in_circles(timer):
            return False
        self._saved = self._save()
        self.sim.fire(timer)
        return True

    def _too_late(self, at: datetime) -> bool:
        if self.spec.until is not None and at > self.spec.begins + self.spec.until:
            self.why = "until: is over"
        return bool(self.why)

    def _in_circles(self, timer: Armed) -> bool:
        """Whether the same timer fired in the same situation before, with nothing new to say."""
        if self.spec.until is not None or self._agenda:
            return False
        run = self.sim.run
        verdicts = [(name, each["verdict"], [seen["level"] for seen in each["recent"][-3:]])
                    for name, each in sorted(run.monitors.items())]  # fmt: skip
        situation = (*run.places, timer.state, timer.name, repr(sorted(run.data.items())),
                     repr(verdicts), self._nearing(timer), *self.script.position())  # fmt: skip
        if situation in self._seen:
            self.why = "from here on everything repeats itself"
            return True
        self._seen.add(situation)
        return False

    def _nearing(self, timer: Armed) -> str:
        """Say how far off all is that comes once: a trial's end comes nearer day by day."""
        nodes = self.prepared.definition.nodes
        once = [
            (each.state, each.name, each.due - timer.due)
            for each in self.sim.pending.timers.values()
            if not ((spec := nodes[each.state].spec.timers.get(each.name)) and spec.recurs)
        ]
        return repr(sorted(once))

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
        """End the called lifecycle as the script says."""
        answer = self.script.child(child.state)

        def end() -> None:
            if self.sim.pending.children.get(child.state) is not child:
                return
            del self.sim.pending.children[child.state]
            where = (child.state, child.entry)
            result = {"run": f"{RUN}-{child.state}", "outcome": answer.outcome, "data": answer.data}
            if answer.lost is not None:
                self.sim.tell(events.child_lost(*where, answer.lost))
            else:
                self.sim.tell(events.child_ended(*where, answer.outcome, result))

        self._at(answer.after, end)

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
            raise _Unanswered(f"monitors: has no more assessments of {name}")
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
            self._problem(("monitors", name), text)
            self.why = text
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
        self._saved = None  # what people did is not given back
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
                self._problem(("people", number), str(error))
            return False
        if decision.refused:
            text = f"{by} may answer, and should be refused"
            self._problem(("people", number, "refused"), text)
            return False
        return not repeated

    def _send(self, number: int, state: str | None, entry: int) -> None:
        if state is not None and self.sim.run.entered.get(state) != entry:
            return
        self.script.used.add(("signals", number))
        self._saved = None
        signal = self.spec.signals[number]
        self.sim.tell(events.signal(signal.name, signal.payload))

    # the end

    def _save(self) -> _Saved:
        sim, script = self.sim, self.script
        lengths = (len(sim.visits), len(sim.sent), len(sim.parked), len(sim.taken))
        return _Saved(sim.run, sim.now, sim.pending.copy(), lengths, self._agenda.copy(),
                      script.counts.copy(), script.used.copy(), self._deciding.copy())  # fmt: skip

    def _give_back(self, why: str) -> None:
        """End where the run was before the timer that led to a question without an answer."""
        self.why, sim, saved = why, self.sim, self._saved
        if saved is None:
            name = why.rpartition(" ")[2]
            hint = f"write monitors: {{{name}: [ok]}}"
            self._problem(("monitors", name), f"{name} is assessed, and there is no answer", hint)
            return
        sim.run, sim.now, sim.pending = saved.run, saved.now, saved.pending
        self._agenda, self._deciding = saved.agenda, saved.deciding
        self.script.counts, self.script.used = saved.counts, saved.used
        happened: tuple[list[Any], ...] = (sim.visits, sim.sent, sim.parked, sim.taken)
        for each, length in zip(happened, saved.lengths, strict=True):
            del each[length:]

    def _at(self, span: timedelta, act: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (self.sim.now + span, next(self._numbers), act))

    def _region(self, order: c.StartStep) -> str:
        return self.prepared.definition.nodes[order.state].region

    def _problem(self, path: tuple[str | int, ...], message: str, hint: str = "") -> None:
        self.problems.append(told(self.loaded, path, message, hint))
