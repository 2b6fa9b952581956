"""Playing a scenario: the virtual clock goes from event to event, and the script answers."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import count
from typing import TypeAlias

from waystage.check.places import YamlPath
from waystage.errors import Problem
from waystage.kernel import Run, events
from waystage.kernel import commands as c
from waystage.kernel.calling import cannot_open
from waystage.kernel.definition import Way
from waystage.simulate.actor import Actor, State, Unanswered
from waystage.simulate.expect import differences
from waystage.simulate.fit import fit
from waystage.simulate.prepared import Prepared
from waystage.simulate.simulation import Armed, Parked, Sent, Visit
from waystage.simulate.told import within
from waystage.simulate.world import World
from waystage.spec.load import Loaded
from waystage.spec.scenario import ChildPlay, Scenario

MOST = 10_000  # events of one scenario
RUN = "simulated-1"

Agenda: TypeAlias = list[tuple[datetime, int, Callable[[], None]]]


@dataclass(frozen=True, slots=True)
class Played:
    """What came of a scenario; `why` says what ended it, `differences` is empty when all held.

    `called` are the lifecycles that were called and played; their differences are among those
    of the scenario.
    """

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
    called: tuple[Played, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether everything held."""
        return not self.differences

    def everyone(self) -> Iterator[Played]:
        """Give it and all that was called."""
        yield self
        for each in self.called:
            yield from each.everyone()


def play(loaded: Loaded[Scenario], prepared: Prepared, world: World) -> Played:
    """Play a scenario to its end and hold it against what it expects."""
    problems = list(fit(loaded, prepared, world))
    if problems:
        return Played(loaded, tuple(problems), "it does not fit its lifecycle")
    play = _Play(loaded, prepared, world)
    play.go()
    found = [each for actor in play.root.everyone() for each in _differences(actor, play.why)]
    found.sort(key=lambda problem: (problem.line, problem.column))
    return _played(play.root, play.why, tuple(found))


def open_run(prepared: Prepared, world: World, spec: Scenario, name: str = RUN) -> Run:
    """Give the run that a scenario is about, not yet begun."""
    params = prepared.params(world.params_of(spec.service), spec.params)
    return Run(
        name, prepared.spec.lifecycle, prepared.definition.hash, spec.service,
        spec.snapshot.model_dump(mode="json"), params, spec.starter, data=dict(prepared.data),
    )  # fmt: skip


def _differences(actor: Actor, why: str) -> list[Problem]:
    told = (actor.loaded, actor.prepared, actor.sim, actor.script, actor.why or why)
    return [*actor.problems, *differences(*told)]


def _played(actor: Actor, why: str, found: tuple[Problem, ...] = ()) -> Played:
    sim, why = actor.sim, actor.why or why
    return Played(
        actor.loaded, found, why, actor.spec.begins, sim.now, sim.run, tuple(sim.visits),
        tuple(sim.sent), tuple(sim.parked), tuple(sim.taken),
        tuple(_played(child, why) for child in actor.children),
    )  # fmt: skip


@dataclass(slots=True)
class _Saved:
    """All that changes, as it was before a timer fired."""

    at_work: list[Actor]
    states: list[tuple[Actor, State]]
    agenda: Agenda


class _Play:
    """The time of a scenario: its run, and those of the lifecycles that are called and played."""

    def __init__(self, loaded: Loaded[Scenario], prepared: Prepared, world: World) -> None:
        self.world, self.spec, self.why = world, loaded.spec, ""
        self.root = Actor(loaded, prepared, world, open_run(prepared, world, self.spec), self)
        self._at_work = [self.root]
        self._agenda: Agenda = []
        self._numbers = count()
        self._seen: set[tuple[object, ...]] = set()
        self._saved: _Saved | None = None

    def go(self) -> None:
        """Go from event to event until nothing is left, or the scenario has no more to say."""
        self.root.begin()
        for _ in range(MOST):
            try:
                self._settle()
                if self.root.ended:
                    self.why = "the run has ended"
                elif not self._next():
                    return
            except Unanswered as asked:
                self._give_back(asked)
            if self.why:
                return
        self.why = f"more than {MOST} events: it goes in circles"
        self.root.problem(("scenario",), self.why)

    def _next(self) -> bool:
        actor, timer = self._earliest()
        if self._agenda and (timer is None or self._agenda[0][0] <= timer.due):
            at, _, act = heapq.heappop(self._agenda)
            if self._too_late(at):
                return False
            self._turn(at)
            act()
            return True
        if timer is None:
            self.why = "nothing is left that could happen"
            return False
        if self._too_late(timer.due) or self._in_circles(actor, timer):
            return False
        states = [(each, each.state()) for each in self.root.everyone()]
        self._saved = _Saved(self._at_work.copy(), states, self._agenda.copy())
        self._turn(timer.due)
        actor.sim.fire(timer)
        return True

    def _earliest(self) -> tuple[Actor, Armed | None]:
        """Give the timer that fires next, and whose it is."""
        timers = [(each, each.sim.earliest()) for each in self._at_work]
        armed = [(each, timer) for each, timer in timers if timer is not None]
        return min(armed, key=lambda pair: pair[1].due, default=(self.root, None))

    def _turn(self, at: datetime) -> None:
        for each in self._at_work:
            each.sim.now = max(each.sim.now, at)

    def _too_late(self, at: datetime) -> bool:
        if self.spec.until is not None and at > self.spec.begins + self.spec.until:
            self.why = "until: is over"
        return bool(self.why)

    def _in_circles(self, actor: Actor, timer: Armed) -> bool:
        """Whether the same timer fired in the same situation before, with nothing new to say."""
        if self.spec.until is not None or self._agenda:
            return False
        situation: tuple[object, ...] = (actor.sim.run.id, timer.state, timer.name)
        for each in self._at_work:
            situation += each.situation(timer.due)
        if situation in self._seen:
            self.why = "from here on everything repeats itself"
            return True
        self._seen.add(situation)
        return False

    # called lifecycles

    def call(self, actor: Actor, child: c.StartChild) -> None:
        """Play the called lifecycle, or let it end as the scenario says."""
        path, said = actor.script.child(child.state)
        if said.play is not None:
            act = partial(self._join, actor, child, path, said.play)
        elif said.lost is not None:
            act = partial(actor.child_lost, child, said.lost)
        else:
            run = f"{actor.sim.run.id}-{child.state}"
            act = partial(actor.child_ended, child, run, said.outcome, said.data)
        self.plan(actor.sim.now + said.after, act)

    def _join(self, actor: Actor, child: c.StartChild, path: YamlPath, said: ChildPlay) -> None:
        if actor.sim.pending.children.get(child.state) is not child:
            return
        prepared = self.world.lifecycles[child.lifecycle]
        if why := cannot_open(prepared.spec, actor.spec.service, child.params):
            actor.child_lost(child, why)
            return
        spec = actor.spec.of_child(said, child.lifecycle, actor.sim.now, child.params)
        run = open_run(prepared, self.world, spec, f"{actor.sim.run.id}-{child.state}")
        loaded = within(actor.loaded, path, spec)
        joined = Actor(loaded, prepared, self.world, run, self, (actor, child))
        actor.children.append(joined)
        self._at_work.append(joined)
        joined.begin()

    def _settle(self) -> None:
        """Tell those who called of what has ended, and end what is not waited for any more."""
        while over := [each for each in self._at_work if each.caller and
                       (each.ended or not each.called_for)]:  # fmt: skip
            for each in over:
                self._at_work.remove(each)
                self._end(each)

    def _end(self, actor: Actor) -> None:
        assert actor.caller is not None
        by, child = actor.caller
        if not actor.ended:
            actor.why = f"{child.state} of {by.spec.lifecycle} was left"
            actor.sim.tell(events.repair("abort", "", {"reason": actor.why}, by.sim.run.id))
            return
        actor.why, run = "the run has ended", actor.sim.run
        by.child_ended(child, run.id, run.outcome, run.data)

    # what actors ask for

    def plan(self, at: datetime, act: Callable[[], None]) -> None:
        """Let something happen at an instant."""
        heapq.heappush(self._agenda, (at, next(self._numbers), act))

    def keep(self) -> None:
        """Give nothing back of what has happened until now."""
        self._saved = None

    def stop(self, why: str) -> None:
        """Go no further."""
        self.why = why

    # the end

    def _give_back(self, asked: Unanswered) -> None:
        """End where the runs were before the timer that led to a question without an answer."""
        self.why, name = str(asked), asked.monitor
        if self._saved is None:
            hint = f"write monitors: {{{name}: [ok]}}"
            text = f"{name} is assessed, and there is no answer"
            asked.actor.problem(("monitors", name), text, hint)
            return
        self._at_work, self._agenda = self._saved.at_work, self._saved.agenda
        for actor, state in self._saved.states:
            actor.restore(state)
