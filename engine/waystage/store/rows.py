"""What reading the store gives: frozen rows with times as instants."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

FENCE_STEP = 1 << 20  # a claim raises the fence by one; a new order raises it past all claims


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run as lists show it."""

    no: int
    id: str
    lifecycle: str
    definition: str
    service: str
    snapshot: str
    status: str
    outcome: str
    places: tuple[str, ...]
    revision: int
    opened_at: datetime
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One event of a run and what it led to; `records` are `[what, state, name, detail]`."""

    run: str
    seq: int
    at: datetime
    actor: str
    event: dict[str, Any]
    records: list[list[str]]
    hash: str


@dataclass(frozen=True, slots=True)
class TaskRow:
    """One task; `body` holds title, for, exclude, form, outcomes, votes, shown, due."""

    id: int
    no: int
    run: str
    state: str
    entry: int
    stage: str
    service: str
    snapshot: str
    status: str
    outcome: str
    closed_by: str
    claimed_by: str
    body: dict[str, Any]
    opened_at: datetime
    closed_at: datetime | None


@dataclass(frozen=True, slots=True)
class IncidentRow:
    """One incident of a run."""

    id: int
    no: int
    run: str
    service: str
    state: str
    kind: str
    message: str
    opened_at: datetime
    closed_at: datetime | None
    how: str
    closed_by: str
    reason: str
    lifecycle: str = ""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which incidents are meant; what is empty chooses nothing out."""

    kind: str = ""
    lifecycle: str = ""
    service: str = ""
    state: str = ""
    run: str = ""
    since: datetime | None = None


ALL = Chosen()


@dataclass(frozen=True, slots=True)
class PlacementRow:
    """Where a snapshot runs, or ran until `until`."""

    service: str
    stage: str
    runtime: str
    mode: str
    role: str
    snapshot: str
    digest: str
    run: str
    since: datetime
    until: datetime | None
    verified_at: datetime | None
    body: dict[str, Any]
    id: int = 0
    seen: str = ""
    seen_why: str = ""
    no: int = 0  # of the run
    state: str = ""  # ok, degraded, drifted, unknown; nothing before the first look
    state_since: datetime | None = None
    drift: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MeasurementRow:
    """One measurement with its verdict."""

    monitor: str
    use: str
    service: str
    stage: str
    snapshot: str
    start: datetime
    end: datetime
    run: str
    verdict: str
    body: dict[str, Any]
    at: datetime

    @property
    def by_hand(self) -> str:
        """Who had it made, where it was no run's own measurement; such a one counts for nothing."""
        return str(self.body.get("by_hand", {}).get("by", ""))


@dataclass(frozen=True, slots=True)
class TimerRow:
    """A timer of a waiting run."""

    no: int
    state: str
    name: str
    entry: int
    due: datetime
    spec: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Due:
    """Work as it lies in the table; `begun`: it is called, or waits to be called again."""

    no: int
    slot: str
    fence: int
    order: dict[str, Any]
    service: str
    begun: bool


@dataclass(frozen=True, slots=True)
class Claim:
    """A step that this daemon may call now, under this fencing number."""

    no: int
    slot: str
    fence: int
    order: dict[str, Any]
    tries: int = 1
    memo: dict[str, Any] = field(default_factory=dict)

    @property
    def end(self) -> int:
        """The fencing number at which the claims of its order end."""
        return (self.fence // FENCE_STEP + 1) * FENCE_STEP
