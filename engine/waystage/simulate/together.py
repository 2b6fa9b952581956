"""Stepping through a run together with those of the lifecycles that it calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from waystage.kernel import Run, events
from waystage.kernel import commands as c
from waystage.kernel.calling import cannot_open
from waystage.simulate.explore import Explorer, Given, Option
from waystage.simulate.prepared import Prepared


@dataclass(frozen=True, slots=True)
class Member:
    """One of the runs; `lead` stands before the names of its options and states."""

    explorer: Explorer
    lead: str = ""
    caller: tuple[Member, c.StartChild] | None = None

    @property
    def ended(self) -> bool:
        """Whether the run has ended."""
        return self.explorer.sim.run.status == "ended"

    @property
    def called_for(self) -> bool:
        """Whether the state that called it still waits for it."""
        if self.caller is None:
            return True
        by, child = self.caller
        return not by.ended and by.explorer.sim.pending.children.get(child.state) is child


class Together:
    """A run and the lifecycles that it calls; `members` are all that were ever at work.

    What is called ends as whoever explores says, or is played (`play`) and then has options
    of its own, with the calling state before their names: `review/done`.
    """

    def __init__(self, first: Explorer) -> None:
        self.first = Member(first)
        self.members = [self.first]
        self._live = [self.first]

    @property
    def live(self) -> tuple[Member, ...]:
        """The runs that are at work."""
        return tuple(self._live)

    def options(self) -> list[Option]:
        """Give everything that could happen next; nothing once the first run has ended."""
        if self.first.ended:
            return []
        due = min((timer.due for each in self._live if (timer := each.explorer.sim.earliest())),
                  default=None)  # fmt: skip
        found: list[Option] = []
        for member in self._live:
            timer = member.explorer.sim.earliest()
            played = self._played(member)
            for option in member.explorer.options():
                late = option.kind == "timer" and timer is not None and timer.due != due
                if not late and not (option.kind == "call" and option.state in played):
                    found.append(self._of(member, option))
            found += [self._of(member, each) for each in self._plays(member, played)]
        return found

    def _played(self, member: Member) -> set[str]:
        callers = [each.caller for each in self._live if each.caller]
        return {child.state for by, child in callers if by is member}

    def _plays(self, member: Member, played: set[str]) -> Iterator[Option]:
        """Offer to play what is called, where it is there and could be opened."""
        explorer = member.explorer
        for child in explorer.sim.pending.children.values():
            prepared = explorer.world.lifecycles.get(child.lifecycle)
            if child.state in played or prepared is None:
                continue
            if not cannot_open(prepared.spec, explorer.run.service, child.params):
                act = partial(self._play, member, child, prepared)
                text = f"{child.lifecycle} is played"
                yield Option("play", text, "call", child.state, act, onward=True)

    def _of(self, member: Member, option: Option) -> Option:
        return replace(
            option, name=member.lead + option.name, state=member.lead + option.state,
            act=partial(self._act, option.act),
        )  # fmt: skip

    def _act(self, act: Callable[[Given], None], given: Given) -> None:
        act(given)
        while over := [each for each in self._live if each.caller and
                       (each.ended or not each.called_for)]:  # fmt: skip
            for each in over:
                self._live.remove(each)
                _end(each)
        now = max(each.explorer.sim.now for each in self._live)
        for each in self._live:
            each.explorer.sim.now = now

    def _play(self, member: Member, child: c.StartChild, prepared: Prepared, _: Given) -> None:
        by = member.explorer
        params = prepared.params(by.world.params_of(by.run.service), child.params)
        run = Run(
            f"{by.run.id}-{child.state}-{child.entry}", child.lifecycle, prepared.definition.hash,
            by.run.service, by.run.snapshot, params, by.run.starter, data=dict(prepared.data),
        )  # fmt: skip
        explorer = Explorer(prepared, by.world, run, by.sim.now, by.people, by.chance)
        joined = Member(explorer, f"{member.lead}{child.state}/", (member, child))
        self.members.append(joined)
        self._live.append(joined)


def _end(member: Member) -> None:
    """Tell the caller how it ended, or end it because nobody waits for it any more."""
    assert member.caller is not None
    (by, child), run = member.caller, member.explorer.sim.run
    if not member.ended:
        why = {"reason": f"{child.state} was left"}
        member.explorer.sim.tell(events.repair("abort", "", why, by.explorer.run.id))
    elif by.explorer.sim.pending.children.pop(child.state, None) is child:
        told = {"run": run.id, "outcome": run.outcome, "data": run.data}
        by.explorer.sim.tell(events.child_ended(child.state, child.entry, run.outcome, told))
