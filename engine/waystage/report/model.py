"""What a report says, before it is written as a page, a card or JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, TypeAlias

from waystage.plugin import Section, Snapshot, Window
from waystage.plugin.values import Value

Level: TypeAlias = Literal["ok", "warn", "breach", "unknown"]


class Measured(Value):
    """One measurement of a monitor, with the thresholds that it was held to.

    `by_hand` names the person who had it made; such a one moved no run. `body` is what is kept.
    """

    monitor: str
    use: str
    snapshot: str
    run: str
    window: Window
    at: datetime
    verdict: str
    by_hand: str = ""
    limits: dict[str, dict[str, float]] = {}
    body: dict[str, Any] = {}

    def number(self, name: str) -> float | None:
        """Give `value`, `low` or `high`, if it was measured."""
        found = self.body.get(name)
        if isinstance(found, bool) or not isinstance(found, int | float):
            return None
        return float(found)


class Decision(Value):
    """What a person did to a run; `hash` is that of the history row that tells it.

    Or what a comparison came to, by the engine: its verdict, with the reason as the comment.
    Of a vote `shown` is the digest of what the person was shown.
    """

    at: datetime
    by: str
    what: str
    run: str
    snapshot: str
    seq: int
    hash: str
    vote: bool = False
    title: str = ""
    state: str = ""
    comment: str = ""
    form: dict[str, Any] = {}
    roles: tuple[str, ...] = ()
    shown: str = ""
    via: str = ""


class Version(Value):
    """A version of the service in the stage: since when and until when, in which role."""

    snapshot: str
    digest: str
    run: str
    role: str
    runtime: str
    since: datetime
    until: datetime | None = None


class Watching(Value):
    """A monitor as the lifecycle has it."""

    name: str
    use: str
    better: str = "neither"  # which way is good: higher, lower, neither
    settings: dict[str, Any] = {}
    minimum: dict[str, Any] = {}
    limits: dict[str, dict[str, float]] = {}


class Said(Value):
    """One sentence of the summary, and how bad what it says is."""

    level: Level
    text: str


class Report(Value):
    """All that is told of one snapshot of a service in one stage, for one window.

    `definition` is the digest of the lifecycle's text, `data` that of the counts that the curves
    stand on.
    """

    format: Literal["waystage-report/1"] = "waystage-report/1"
    made_at: datetime
    made_by: str  # the version of Waystage
    project: str
    service: str
    title: str = ""
    owner: str = ""
    stage: str
    window: Window
    chosen: str = ""  # how the window was found
    run: str
    status: str
    lifecycle: str
    definition: str
    data: str
    version: Version
    snapshot: Snapshot
    versions: tuple[Version, ...] = ()
    monitors: tuple[Watching, ...] = ()
    measurements: tuple[Measured, ...] = ()
    decisions: tuple[Decision, ...] = ()
    sections: tuple[Section, ...] = ()
    summary: tuple[Said, ...] = ()
