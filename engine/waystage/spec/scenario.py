"""A scenario as written: a test of one lifecycle on the virtual clock."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from waystage.plugin.snapshot import Snapshot
from waystage.spec.values import (
    Duration,
    EventName,
    Instant,
    KebabName,
    OneOrMore,
    Spec,
    StateName,
    TargetName,
)


class PlannedAnswer(Spec):
    """What a step answers: exactly one of an output, a refusal, a technical error, a wait.

    It answers so long `after` it was called; past the step's `timeout` that is an error. After
    `waiting` the step is called again, and the next answer counts. `hopeless` errors are not
    tried again.
    """

    done: dict[str, Any] | None = None
    refused: str | None = None
    failed: str | None = None
    hopeless: str | None = None
    waiting: Duration | None = None
    after: Duration = timedelta()

    @model_validator(mode="after")
    def _one(self) -> PlannedAnswer:
        kinds = ("done", "refused", "failed", "hopeless", "waiting")
        if sum(getattr(self, kind) is not None for kind in kinds) != 1:
            raise ValueError(f"says exactly one of {', '.join(kinds)}")
        return self


def _several(value: Any) -> Any:
    return [value] if isinstance(value, dict | str) else value


Answers = Annotated[tuple[PlannedAnswer, ...], BeforeValidator(_several), Field(min_length=1)]


class StageAnswer(Spec):
    """What a stage answers a state that wants to change it: exactly one of three.

    Once `closed` is over the state asks again, and the next answer counts.
    """

    open: Literal[True] | None = None
    refused: str | None = None
    closed: Duration | None = None
    why: str = "as the scenario says"

    @model_validator(mode="after")
    def _one(self) -> StageAnswer:
        if sum(each is not None for each in (self.open, self.refused, self.closed)) != 1:
            raise ValueError("says exactly one of open, refused, closed")
        if self.closed == timedelta():
            raise ValueError("closed: is longer than no time")
        return self


def _staged(value: Any) -> Any:
    return {"open": True} if value == "open" else value


StageAnswers = Annotated[
    tuple[Annotated[StageAnswer, BeforeValidator(_staged)], ...],
    BeforeValidator(_several),
    Field(min_length=1),
]


class ChildAnswer(Spec):
    """How a called lifecycle ends, so long after it was called; `lost` says why it did not.

    With `play` it is played itself, and ends as it does.
    """

    outcome: EventName = "done"
    data: dict[str, Any] = {}
    lost: str | None = None
    after: Duration = timedelta()
    play: ChildPlay | None = None

    @model_validator(mode="after")
    def _one(self) -> ChildAnswer:
        if self.play is not None and (beside := self.model_fields_set - {"play"}):
            said = ", ".join(sorted(beside))
            raise ValueError(f"says how it ends ({said}), or play:, not both")
        return self


ChildAnswers = Annotated[tuple[ChildAnswer, ...], BeforeValidator(_several), Field(min_length=1)]


class Decision(Spec):
    """How a person decides the task of a state, so long after it was opened.

    `refused` says that the person may not: the scenario fails unless the answer is refused.
    """

    at: TargetName
    by: str = Field(min_length=1)
    outcome: EventName
    form: dict[str, Any] = {}
    comment: str = ""
    after: Duration = timedelta()
    refused: bool = False


class SentSignal(Spec):
    """A signal: so long after a state was entered, or after the beginning if none is named."""

    at: TargetName | None = None
    name: EventName
    payload: dict[str, Any] = {}
    after: Duration = timedelta()


class Assessed(Spec):
    """What one assessment of a monitor comes to: a verdict, or a value for its thresholds.

    A verdict holds whatever the thresholds are; a value goes through them, and without `low`
    and `high` it is its own interval. `always` says that all later assessments are the same.
    """

    verdict: Literal["ok", "warn", "breach", "insufficient", "error"] | None = None
    value: float | None = None
    low: float | None = None
    high: float | None = None
    always: bool = False

    @model_validator(mode="after")
    def _one(self) -> Assessed:
        if (self.verdict is None) == (self.value is None):
            raise ValueError("says exactly one of verdict, value")
        return self


def _assessed(value: Any) -> Any:
    if isinstance(value, str):
        return {"verdict": value}
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return {"value": value} if number else value


def _assessments(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return value
    one = _assessed(value)
    return [{"always": True, **one}] if isinstance(one, dict) else value


Assessments = Annotated[
    tuple[Annotated[Assessed, BeforeValidator(_assessed)], ...],
    BeforeValidator(_assessments),
    Field(min_length=1, description="one for all assessments, or a list with one for each"),
]


class ExpectedMessage(Spec):
    """A message that was sent; what is not said may be anything, `text` is a part of it."""

    to: str | None = None
    title: str | None = None
    text: str | None = None
    level: Literal["info", "warn", "alarm"] | None = None


def _message(value: Any) -> Any:
    return {"text": value} if isinstance(value, str) else value


Messages = Annotated[
    tuple[Annotated[ExpectedMessage, BeforeValidator(_message)], ...], BeforeValidator(_several)
]


class Expectation(Spec):
    """What must have happened at the end.

    States are passed in this order, others may lie between; the same holds for `messages`.
    An incident that `incidents` does not name fails the scenario.
    """

    passes: Annotated[tuple[TargetName, ...], OneOrMore] = ()
    never: Annotated[tuple[TargetName, ...], OneOrMore] = ()
    ends_in: Annotated[tuple[TargetName, ...], OneOrMore] = ()
    outcome: EventName | None = None
    data: dict[StateName, Any] = {}
    messages: Messages = ()
    incidents: Annotated[tuple[TargetName, ...], OneOrMore] = ()
    within: Duration | None = None


class ChildPlay(Spec):
    """What a scenario says of a called lifecycle that is played too, in its words.

    Its states, steps and monitors are those of the called lifecycle; people, service and
    snapshot are the scenario's.
    """

    plugins: dict[TargetName, Answers] = {}
    steps: dict[TargetName, Answers] = {}
    stages: dict[TargetName, StageAnswers] = {}
    people: tuple[Decision, ...] = ()
    signals: tuple[SentSignal, ...] = ()
    monitors: dict[StateName, Assessments] = {}
    calls: dict[TargetName, ChildAnswers] = {}
    expect: Expectation = Expectation()


def _pinned(value: Any) -> Any:
    """Give a planned snapshot the digest that nobody needs to write."""
    if not isinstance(value, dict) or "digest" in value:
        return value
    words = f"{value.get('name')}/{value.get('version')}"
    return {**value, "digest": f"sha256:{hashlib.sha256(words.encode()).hexdigest()}"}


class Scenario(Spec):
    """A scenario: who decides, what plugins and monitors answer, and what must come of it.

    `plugins` says what steps answer by their `use`; `steps` by their place, which goes before: a
    state, a step's id, or a state with an id or a `use`, as in `build.image`. A list is one
    answer per call, and the last holds on. `stages` says what a stage answers a state that wants
    to change it, instead of what the stage's file says; after a last `closed` it is open.
    `roles` says who has which roles; without it, the people are the project's.
    """

    scenario: str = Field(min_length=1, max_length=500)
    lifecycle: KebabName
    service: KebabName
    snapshot: Annotated[Snapshot, BeforeValidator(_pinned)]
    params: dict[StateName, Any] = {}
    starter: str = "starter"
    begins: Instant = datetime(2026, 1, 5, 9, tzinfo=UTC)
    until: Duration | None = None
    roles: dict[str, Annotated[tuple[str, ...], OneOrMore]] = {}
    plugins: dict[TargetName, Answers] = {}
    steps: dict[TargetName, Answers] = {}
    stages: dict[TargetName, StageAnswers] = {}
    people: tuple[Decision, ...] = ()
    signals: tuple[SentSignal, ...] = ()
    monitors: dict[StateName, Assessments] = {}
    calls: dict[TargetName, ChildAnswers] = {}
    expect: Expectation

    @field_validator("begins")
    @classmethod
    def _zoned(cls, value: datetime) -> datetime:
        if value.tzinfo is None:
            raise ValueError("needs a zone, as in 2026-01-05T09:00Z")
        return value.astimezone(UTC)

    def of_child(
        self, play: ChildPlay, lifecycle: str, begins: datetime, params: dict[str, Any]
    ) -> Scenario:
        """Give what is said of a called lifecycle as a scenario of its own."""
        said = {name: getattr(play, name) for name in ChildPlay.model_fields}
        own = {"lifecycle": lifecycle, "begins": begins, "params": params, "until": None}
        return self.model_copy(update=said | own)
