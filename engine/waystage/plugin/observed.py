"""What a look at a deployment shows, and what differs from what was applied."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, TypeAlias

from waystage.plugin.answers import Endpoint
from waystage.plugin.values import Value

Phase: TypeAlias = Literal["absent", "pending", "ready", "degraded", "failed", "unknown"]
ELSEWHERE = "elsewhere"


class Difference(Value):
    """One thing that somebody made otherwise than it was applied.

    `what` is one of the runtime's own words: `image`, `replicas`, `process`, `traffic`, … `by`
    and `at` are whom the world names for it and since when; empty where it does not tell.
    """

    what: str
    wanted: str = ""
    found: str = ""
    by: str = ""
    at: datetime | None = None


class Observation(Value):
    """What really runs. `ready` without a successful probe is not ready yet.

    `differs` is what is to be made so again, whatever the phase. `restart` says of it that
    nobody wanted it so and that the runtime has no one else to start it again, as of a process
    that died: it is restored also where a stage's `on_drift` is `report`. `unknown` for the reason
    `elsewhere` says that only another daemon can look, on the machine where it runs. `lag` counts
    the requests that wait for this deployment, where they come by a queue.
    """

    phase: Phase
    digest: str | None = None  # of the snapshot that answers
    endpoints: tuple[Endpoint, ...] = ()
    reason: str = ""  # one of the runtime's own reason words, `port_in_use`
    message: str = ""  # one line for a person
    generation: str = ""  # key of the last `apply` that took effect
    differs: tuple[Difference, ...] = ()
    restart: bool = False
    lag: int | None = None
