"""A run as the kernel sees it: one value that `advance` takes and gives back anew."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any, Literal


@dataclass(slots=True)
class Run:
    """One lifecycle at work on one snapshot for one service.

    `regions` maps each region (`""` is the lifecycle itself, a branch is its path) to the leaf
    that it is in; `entered` maps every active state to the number of its entry; `waiting` maps
    a state whose lease is not granted yet to the states still to be entered below it;
    `activities` holds how far each leaf's work is; `incidents` what is parked and why. `parent`
    names the run, state and entry that this one was called from. `paused` says by whom and why the
    run takes no step; `held` keeps the events that came meanwhile.
    """

    id: str
    lifecycle: str
    definition: str
    service: str
    snapshot: dict[str, Any]
    params: dict[str, Any]
    starter: str = ""
    status: Literal["open", "ended"] = "open"
    outcome: str = ""
    revision: int = 0
    entries: int = 0
    hops: int = 0
    regions: dict[str, str] = field(default_factory=dict)
    entered: dict[str, int] = field(default_factory=dict)
    waiting: dict[str, list[str]] = field(default_factory=dict)
    activities: dict[str, dict[str, Any]] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    steps: dict[str, Any] = field(default_factory=dict)
    tasks: dict[str, Any] = field(default_factory=dict)
    monitors: dict[str, Any] = field(default_factory=dict)
    incidents: dict[str, dict[str, Any]] = field(default_factory=dict)
    parent: dict[str, Any] = field(default_factory=dict)
    paused: dict[str, Any] = field(default_factory=dict)
    held: list[dict[str, Any]] = field(default_factory=list)

    def fork(self) -> Run:
        """Give a copy whose own dictionaries may be changed; what they hold is only replaced."""
        return Run(
            self.id, self.lifecycle, self.definition, self.service, self.snapshot, self.params,
            self.starter, self.status, self.outcome, self.revision, self.entries, self.hops,
            self.regions.copy(), self.entered.copy(), self.waiting.copy(), self.activities.copy(),
            self.data.copy(), self.steps.copy(), self.tasks.copy(), self.monitors.copy(),
            self.incidents.copy(), self.parent, self.paused, self.held,
        )  # fmt: skip

    @property
    def places(self) -> list[str]:
        """The leaves that the run is in, the lifecycle's own first."""
        return [self.regions[region] for region in sorted(self.regions)]

    def to_json(self) -> dict[str, Any]:
        """Give a JSON object that `from_json` reads; parts at their default are left out."""
        shown = zip(RUN_FIELDS, VALUES(self), strict=True)
        return {name: value for name, value in shown if value or name in REQUIRED}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Run:
        """Read what `to_json` gave."""
        return cls(**value)


RUN_FIELDS = tuple(f.name for f in fields(Run))
VALUES = attrgetter(*RUN_FIELDS)
REQUIRED = frozenset(("id", "lifecycle", "definition", "service", "snapshot", "params"))
