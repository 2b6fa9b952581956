"""The small interface between the engine and what calls steps for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from waystage.daemon.calls import Answered
from waystage.daemon.context import StepContext
from waystage.plugin import Plugin
from waystage.store.rows import Claim

DEFAULT_TIMEOUT = 3600.0


@dataclass(slots=True, eq=False)
class Call:
    """A claim that is being called.

    `identity` is the same for every daemon that calls the same attempt again, and no other
    call has it.
    """

    claim: Claim
    plugin: type[Plugin]
    ctx: StepContext
    identity: str = ""
    began: float = field(default_factory=time.monotonic)
    running: bool = False  # not only ordered
    given_up: threading.Event = field(default_factory=threading.Event)

    @property
    def timeout(self) -> float:
        """How many seconds one attempt may take."""
        return float(self.claim.order.get("timeout") or DEFAULT_TIMEOUT)

    @property
    def place(self) -> tuple[int, str]:
        """The run and its slot."""
        return self.claim.no, self.claim.slot


Answer = Callable[[Call, Answered], None]


class Executor(Protocol):
    """Calls steps somewhere. `begin` and `give_up` return at once, whatever the world does."""

    outlives: bool  # a call goes on when its daemon dies, and is found again by its identity

    def start(self) -> None:
        """Prepare what takes a while, in the background."""
        ...

    def free(self) -> int:
        """Say how many calls more may begin now."""
        ...

    def begin(self, call: Call) -> None:
        """Have the step called; its answer goes to the executor's `Answer`, once, any thread."""
        ...

    def give_up(self, call: Call) -> None:
        """End a call whose answer is not wanted any more."""
        ...

    def settled(self, call: Call) -> None:
        """Forget a call whose answer is committed."""
        ...

    def stop(self) -> None:
        """Begin nothing more and end what ends with this daemon."""
        ...
