"""What may happen to a run: one event type, and a constructor for each kind of event.

An event that belongs to a state's work carries the number of the state's entry, so that an
answer from an earlier visit moves nothing.
"""

from __future__ import annotations

from dataclasses import field, replace
from typing import Any

from waystage.kernel.values import value

ENGINE = "engine"


@value()
class Event:
    """Something that happened: what kind, to which visit of which state, by whom.

    `via` says by which means a person acted, for whoever reads the history; it moves nothing.
    """

    kind: str
    state: str = ""
    entry: int = 0
    name: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    actor: str = ENGINE
    via: str = ""

    def to_json(self) -> dict[str, Any]:
        """Give a JSON object without the parts at their default."""
        shown: dict[str, Any] = {"kind": self.kind}
        if self.state:
            shown["state"] = self.state
        if self.entry:
            shown["entry"] = self.entry
        if self.name:
            shown["name"] = self.name
        if self.data:
            shown["data"] = self.data
        if self.via:
            shown["via"] = self.via
        return shown

    def by_means_of(self, via: str) -> Event:
        """Give the same event, with the means by which its actor acted."""
        return replace(self, via=via) if via else self

    @classmethod
    def from_json(cls, value: dict[str, Any], actor: str = ENGINE) -> Event:
        """Read what `to_json` gave."""
        return cls(actor=actor, **value)


def start(actor: str = ENGINE, opened: dict[str, Any] | None = None) -> Event:
    """The run begins: its initial state is entered.

    `opened` is the run as it was opened, so that history alone can rebuild it.
    """
    return Event("start", data={"opened": opened} if opened else {}, actor=actor)


def step_done(state: str, entry: int, index: int, output: dict[str, Any]) -> Event:
    """The effect of the step holds."""
    return Event("step.done", state, entry, str(index), output)


def step_refused(state: str, entry: int, index: int, why: str, output: dict[str, Any]) -> Event:
    """A gate or a person said no."""
    return Event("step.refused", state, entry, str(index), {"why": why, "output": output})


def step_failed(
    state: str, entry: int, index: int, error: str, *, hopeless: bool = False, crashes: int = 0,
    after: float = 0.0,
) -> Event:  # fmt: skip
    """One attempt ended with a technical error.

    `crashes` says how many calls killed who made them, `after` for how many seconds who was asked
    wants to be left alone.
    """
    data: dict[str, Any] = {"error": error, "hopeless": hopeless}
    data |= {"crashes": crashes} if crashes else {}
    data |= {"after": after} if after else {}
    return Event("step.failed", state, entry, str(index), data)


def step_uncertain(state: str, entry: int, index: int, why: str) -> Event:
    """Nobody knows whether the effect of the step holds; a person must say."""
    return Event("step.uncertain", state, entry, str(index), {"error": why})


def timer_fired(state: str, entry: int, name: str, due: str = "") -> Event:
    """A timer of that visit came due, at `due` (ISO 8601) if it is known."""
    return Event("timer", state, entry, name, {"due": due} if due else {})


def signal(name: str, payload: dict[str, Any], actor: str = ENGINE) -> Event:
    """A named message from outside or from another run."""
    return Event("signal", name=name, data=payload, actor=actor)


def lease_granted(state: str, entry: int) -> Event:
    """The lease that the state waits for is the run's now."""
    return Event("lease", state, entry)


def stage_answered(
    state: str, entry: int, answer: str, data: dict[str, Any] | None = None, actor: str = ENGINE
) -> Event:
    """The stage is `open`, or `closed` (`until`, `why`), or `unmet` (`why`); or ask it again.

    `override` is a person's word against a closed window, with its `reason`; `ask` asks again.
    """
    return Event("stage", state, entry, answer, data or {}, actor)


def vote(state: str, entry: int, outcome: str, decision: dict[str, Any], actor: str) -> Event:
    """A person answered a task; `decision` holds roles, form, comment, shown."""
    return Event("vote", state, entry, outcome, decision, actor)


def noted(state: str, entry: int, what: str, detail: dict[str, Any], actor: str) -> Event:
    """A person did something that moves no state: claimed, released, was refused."""
    return Event("note", state, entry, what, detail, actor)


def child_ended(state: str, entry: int, outcome: str, data: dict[str, Any]) -> Event:
    """The child run of a `call` state ended by itself, with the outcome of its final state."""
    return Event("child", state, entry, outcome, data)


def child_lost(state: str, entry: int, why: str, run: str = "") -> Event:
    """The child run was aborted, or could not be opened."""
    return Event("child.lost", state, entry, run, {"error": why})


def pause(reason: str, actor: str, *, everything: bool = False) -> Event:
    """Someone wants the run to take no step; `everything`: its whole lifecycle is paused."""
    more = {"all": True} if everything else {}
    return Event("pause", data={"reason": reason, **more}, actor=actor)


def resume(reason: str, actor: str) -> Event:
    """The paused run goes on."""
    return Event("resume", data={"reason": reason} if reason else {}, actor=actor)


def repair(kind: str, state: str, data: dict[str, Any], actor: str) -> Event:
    """An operator mends an incident: `retry`, `skip`, `goto`, `set`, `abort`."""
    return Event(f"incident.{kind}", state, 0, "", data, actor)
