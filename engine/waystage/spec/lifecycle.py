"""A lifecycle as written: states, events, steps, tasks, monitors."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from waystage.retry import RetryPolicy
from waystage.spec.values import (
    Duration,
    EventName,
    Instant,
    KebabName,
    OneOrMore,
    PluginName,
    ServiceGlob,
    Spec,
    StageName,
    StateName,
    StepId,
    TargetName,
    Zone,
)

ACTIVITIES = ("steps", "task", "verify", "wait", "call", "states", "branches", "final")


class FieldSpec(Spec):
    """A typed value: a parameter, a variable or a field of a form (JSON Schema words)."""

    type: Literal["string", "number", "integer", "boolean", "array", "object"]
    title: str = ""
    description: str = ""
    default: Any = None
    required: bool = False
    enum: tuple[Any, ...] | None = None
    minimum: float | None = None
    maximum: float | None = None
    pattern: str | None = Field(default=None, max_length=500)
    min_length: int | None = Field(default=None, alias="minLength", ge=0)
    max_length: int | None = Field(default=None, alias="maxLength", ge=0)

    def json_schema(self) -> dict[str, Any]:
        """Give the same as a JSON Schema property."""
        return self.model_dump(by_alias=True, exclude_none=True, exclude={"required"})


class Trigger(Spec):
    """What opens a run."""

    on: Literal["snapshot.registered"]
    if_: str | None = Field(default=None, alias="if")


class Backoff(Spec):
    """How the waits between tries grow."""

    first: Duration = timedelta(seconds=2)
    factor: float = Field(default=2.0, ge=1, le=100)
    max: Duration = timedelta(minutes=1)


class Retry(Spec):
    """How often a step is tried."""

    max: int = Field(default=3, ge=1, le=1000, description="tries in all, the first included")
    backoff: Backoff = Backoff()
    budget: Duration | None = None

    def policy(self) -> RetryPolicy:
        """Give the rule that the kernel follows."""
        return RetryPolicy(
            tries=self.max,
            first=self.backoff.first,
            factor=self.backoff.factor,
            cap=self.backoff.max,
            budget=self.budget,
        )


class Undo(Spec):
    """What takes a finished step back when a later step of the same state fails."""

    use: PluginName
    with_: dict[str, Any] = Field(default={}, alias="with")


class Step(Spec):
    """One action of a state."""

    use: PluginName
    id: StepId | None = None
    with_: dict[str, Any] = Field(default={}, alias="with")
    if_: str | None = Field(default=None, alias="if")
    retry: Retry = Retry()
    timeout: Duration | None = None
    deadline: Duration | None = None
    undo: Undo | None = None


class Escalate(Spec):
    """Who may answer a task too when it has waited this long."""

    after: Duration
    to: Annotated[tuple[str, ...], OneOrMore]


class Task(Spec):
    """Work that waits for a person."""

    title: str = Field(min_length=1, max_length=500)
    text: str = ""
    for_: Annotated[tuple[str, ...], OneOrMore] = Field(alias="for", min_length=1)
    exclude: Annotated[tuple[str, ...], OneOrMore] = ()
    quorum: int = Field(default=1, ge=1, le=50)
    required: Annotated[tuple[str, ...], OneOrMore] = ()
    form: dict[StepId, FieldSpec] = {}
    outcomes: tuple[EventName, ...] = ("approve", "reject")
    approves: Annotated[tuple[EventName, ...], OneOrMore] = ()
    due: Duration | None = None
    remind: Annotated[tuple[Duration, ...], OneOrMore] = ()
    escalate: Escalate | None = None
    on_timeout: EventName | None = None

    @property
    def approvals(self) -> tuple[str, ...]:
        """The outcomes that count for the quorum: those named, or the first."""
        return self.approves or self.outcomes[:1]


class Timer(Spec):
    """When: exactly one of a delay, a date, an interval or a cron line.

    A tick that came while no daemon was there fires `once` afterwards, or not at all (`skip`).
    A tick of `every` or `cron` that leads to where work is still going on is skipped.
    """

    after: Duration | None = None
    at: Instant | None = None
    every: Duration | None = None
    cron: str | None = Field(default=None, max_length=100)
    zone: Zone = "UTC"
    misfire: Literal["once", "skip"] = "once"
    overlap: Literal["skip"] = "skip"

    @model_validator(mode="after")
    def _one_kind(self) -> Timer:
        given = [k for k in ("after", "at", "every", "cron") if getattr(self, k) is not None]
        if len(given) != 1:
            raise ValueError("says exactly one of after, at, every, cron")
        if self.at is not None and self.at.tzinfo is None:
            raise ValueError("at: needs a zone, as in 2026-12-20T00:00Z")
        if self.every is not None and self.every <= timedelta():
            raise ValueError("every: is longer than nothing")
        if self.misfire == "skip" and not self.recurs:
            raise ValueError("misfire: skip is for every: and cron:, or the timer might never fire")
        return self

    @property
    def recurs(self) -> bool:
        """Whether it fires again and again while its state lasts."""
        return self.every is not None or self.cron is not None


class Arrow(Spec):
    """One way out of a state: where to, when, and what is remembered."""

    to: TargetName
    if_: str | None = Field(default=None, alias="if")
    set: dict[StateName, Any] = {}


def _arrows(value: Any) -> Any:
    if isinstance(value, str):
        return {"done": [{"to": value}]}
    if not isinstance(value, dict):
        return value
    return {event: _arrow_list(target) for event, target in value.items()}


def _arrow_list(target: Any) -> Any:
    if isinstance(target, str):
        return [{"to": target}]
    if isinstance(target, dict):
        return [target]
    return target


Next = Annotated[dict[EventName, tuple[Arrow, ...]], BeforeValidator(_arrows)]


class Branch(Spec):
    """One of several parts of a state that run side by side."""

    initial: StateName
    states: dict[StateName, State] = Field(min_length=1)


class Call(Spec):
    """Another lifecycle as a child run."""

    lifecycle: KebabName
    with_: dict[str, Any] = Field(default={}, alias="with")


class Include(Spec):
    """A block, and the values of its parameters."""

    block: KebabName
    with_: dict[str, Any] = Field(default={}, alias="with")


class State(Spec):
    """A state with at most one activity; `include` puts the states of a block into it."""

    title: str = ""
    stage: StageName | None = None
    lease: str | None = None
    steps: tuple[Step, ...] | None = Field(default=None, min_length=1)
    task: Task | None = None
    verify: Annotated[tuple[StepId, ...], OneOrMore] | None = Field(default=None, min_length=1)
    wait: Literal[True] | None = None
    call: Call | None = None
    include: Include | None = None  # gone when the file has been read
    stages: tuple[StageName, ...] | None = Field(default=None, min_length=1)
    initial: StateName | None = None
    states: dict[StateName, State] | None = Field(default=None, min_length=1)
    branches: dict[StateName, Branch] | None = Field(default=None, min_length=2)
    final: Literal[True] | None = None
    outcome: EventName | None = None
    timers: dict[EventName, Timer] = {}
    signals: Annotated[tuple[EventName, ...], OneOrMore] = ()
    next: Next = {}

    @property
    def activity(self) -> str:
        """The one thing that the state does: a word of `ACTIVITIES`; `wait` if none is said."""
        given = [name for name in ACTIVITIES if getattr(self, name) is not None]
        return given[0] if given else "wait"

    @model_validator(mode="after")
    def _one_activity(self) -> State:
        given = [name for name in ACTIVITIES if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"has {' and '.join(given)}; a state has at most one activity")
        if self.stages is not None and self.states is None:
            raise ValueError("stages: needs states: that are run once per stage")
        if self.outcome is not None and self.final is None:
            raise ValueError("outcome: belongs to a final state")
        if self.final and (self.next or self.timers or self.signals):
            raise ValueError("a final state has no next, timers or signals: nothing follows it")
        return self


class Threshold(Spec):
    """Where a value is bad, and how often it must be so."""

    below: float | str | None = None
    above: float | str | None = None
    clear: float | str | None = None
    datapoints: int = Field(default=1, ge=1, le=100)
    of: int | None = Field(default=None, ge=1, le=100)
    confidence: Literal["point", "upper95"] = "point"

    @model_validator(mode="after")
    def _one_side(self) -> Threshold:
        if (self.below is None) == (self.above is None):
            raise ValueError("says exactly one of below, above")
        if self.of is not None and self.of < self.datapoints:
            raise ValueError("of: is at least datapoints:")
        return self


class WindowSpec(Spec):
    """How long a measured window is and when its labels are expected to be there."""

    length: Duration
    label_delay: Duration = timedelta()
    grace: Duration = timedelta()


class MinimumSpec(Spec):
    """How much data a monitor needs."""

    rows: int = Field(default=0, ge=0)
    events: int = Field(default=200, ge=0)
    nonevents: int = Field(default=200, ge=0)
    label_coverage: float = Field(default=0.8, ge=0, le=1)


class Monitor(Spec):
    """A check of production behaviour with its thresholds."""

    use: PluginName
    with_: dict[str, Any] = Field(default={}, alias="with")
    window: WindowSpec
    minimum: MinimumSpec = MinimumSpec()
    warn: Threshold | None = None
    breach: Threshold | None = None
    cooldown: Duration | None = None
    stale_after: Duration | None = None


class Lifecycle(Spec):
    """A YAML state machine for one snapshot and one service."""

    lifecycle: KebabName
    title: str = ""
    description: str = ""
    services: Annotated[tuple[ServiceGlob, ...], OneOrMore] = Field(min_length=1)
    start: tuple[Trigger, ...] = ()
    params: dict[StateName, FieldSpec] = {}
    data: dict[StateName, FieldSpec] = {}
    monitors: dict[StateName, Monitor] = {}
    initial: StateName
    states: dict[StateName, State] = Field(min_length=1)
