"""An event on its way to a run, and a run as a transaction has changed it so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from waystage.daemon.hot import HotRun
from waystage.kernel import Definition, Event
from waystage.kernel import commands as c
from waystage.plugin import Fact
from waystage.store.rows import Claim

GENESIS = b"\0" * 32  # what the hash of a run's first history row is chained to


@dataclass(slots=True)
class Delivery:
    """An event on its way to a run, with the claim that it answers and the facts it tells."""

    no: int
    event: Event
    claim: Claim | None = None
    facts: tuple[Fact, ...] = ()


@dataclass(slots=True)
class Touched:
    """A run as this transaction has changed it so far."""

    hot: HotRun
    before: int
    definition: Definition
    open_before: bool = True
    row: tuple[Any, ...] | None = None  # of a new run that is not written: what never changes
    work: dict[str, c.StartStep | None] = field(default_factory=dict)
