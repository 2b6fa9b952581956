"""What the kernel orders: values that the daemon carries out in the same transaction."""

from __future__ import annotations

from dataclasses import field
from datetime import datetime
from typing import Any

from waystage.kernel.values import value
from waystage.spec.lifecycle import Timer


@value()
class StartStep:
    """Call a plugin at or after `due`: a step, its undoing, or a monitor.

    `again`: a person has it called once more, so that earlier calls may have acted.
    """

    state: str
    entry: int
    index: int
    key: str
    use: str
    config: dict[str, Any]
    due: datetime
    attempt: int = 1
    kind: str = "step"
    timeout: float | None = None
    deadline: datetime | None = None
    stage: str = ""
    again: bool = False


@value()
class DropWork:
    """Forget the step that the state has under way; a late answer is dropped."""

    state: str


@value()
class OpenTask:
    """Show work to people."""

    state: str
    entry: int
    stage: str
    body: dict[str, Any]


@value()
class UpdateTask:
    """The votes, or who may answer, changed."""

    state: str
    entry: int
    body: dict[str, Any]


@value()
class CloseTask:
    """Take the task away; `outcome` is empty when the run left without an answer."""

    state: str
    entry: int
    outcome: str
    by: str


@value()
class SetTimer:
    """Keep a timer: the time comes from the spec, or is `due`; `note` is kept with it."""

    state: str
    entry: int
    name: str
    spec: Timer | None
    due: datetime | None = None
    note: dict[str, Any] | None = None


@value()
class CancelTimers:
    """Forget all timers of the state, or the one that is named."""

    state: str
    name: str = ""


@value()
class AskStage:
    """Ask whether the stage may be changed now; `stage` tells the answer."""

    state: str
    entry: int
    stage: str
    change: str


@value()
class TakeLease:
    """Ask for a lease; `lease` is raised when it is granted."""

    state: str
    entry: int
    name: str


@value()
class FreeLease:
    """Give the state's lease back, or stop waiting for it."""

    state: str


@value()
class StartChild:
    """Open a run of another lifecycle on the same snapshot."""

    state: str
    entry: int
    lifecycle: str
    params: dict[str, Any]


@value()
class AbortChild:
    """The state that called the child is left: end the child too."""

    state: str
    entry: int


@value()
class Notify:
    """Tell people about the run."""

    state: str
    title: str
    text: str
    level: str
    key: str


@value()
class OpenIncident:
    """Park the state."""

    state: str
    kind: str
    message: str
    detail: dict[str, Any] = field(default_factory=dict)


@value()
class CloseIncident:
    """The state goes on."""

    state: str
    how: str
    by: str
    reason: str = ""


@value()
class Adopt:
    """The run follows this definition from here on; orders before it are about the old one."""

    definition: str


@value()
class HoldWork:
    """Call no step of the run until it goes on; one that is being called is finished."""

    by: str
    reason: str


@value()
class LetWorkGo:
    """Call the run's steps again."""

    by: str


@value()
class EndRun:
    """Nothing follows; `aborted` names the person, or the calling run, who ended it."""

    outcome: str
    aborted: str = ""


Command = (
    AskStage | StartStep | DropWork | OpenTask | UpdateTask | CloseTask | SetTimer
    | CancelTimers | TakeLease | FreeLease | StartChild | AbortChild | Notify | OpenIncident
    | CloseIncident | Adopt | HoldWork | LetWorkGo | EndRun
)  # fmt: skip


@value()
class Record:
    """One line of a run's history: what, where, and what matters about it."""

    what: str
    state: str = ""
    name: str = ""
    detail: str = ""

    def to_json(self) -> list[str]:
        """Give the shortest list that says the same."""
        parts = [self.what, self.state, self.name, self.detail]
        while parts and not parts[-1]:
            parts.pop()
        return parts
