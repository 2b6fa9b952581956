"""What the writer is given to do, and how those who wait for it are told."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from waystage.daemon.delivery import Delivery
from waystage.errors import Unavailable
from waystage.kernel import Event
from waystage.store import DatabaseError
from waystage.store.rows import Claim

if TYPE_CHECKING:
    from waystage.daemon.transaction import Transaction


@dataclass(slots=True)
class Item:
    """One thing for the writer to do, and who waits for its commit."""

    deliveries: list[Delivery] = field(default_factory=list)
    action: Callable[[Transaction], Any] | None = None
    key: str = ""  # of the run that the action opens
    future: Future[Any] | None = None
    result: Any = None
    fresh: bool = False  # its runs are read anew: what was held may have been another daemon's


def answer_item(claim: Claim, event: Event, facts: Any = ()) -> Item:
    """Make the writer's item of a step's answer."""
    return Item([Delivery(claim.no, event, claim, tuple(facts))])


def refuse(items: Iterable[Item], text: str) -> None:
    """Tell those who wait for these that it cannot be done now; answers of steps wait for none."""
    for item in items:
        if item.future is not None and not item.future.done():
            item.future.set_exception(Unavailable(text))


def reason_of(error: DatabaseError) -> str:
    """Give the first line of what the database's driver says."""
    lines = str(error.orig or error).splitlines()
    return lines[0] if lines else type(error).__name__
