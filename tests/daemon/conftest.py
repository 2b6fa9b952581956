"""A real engine on a real database, with a clock that is turned by hand."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest

from waystage.clock import HandClock
from waystage.daemon.definitions import Definitions
from waystage.daemon.engine import Engine
from waystage.daemon.opening import Opening
from waystage.errors import Hopeless, Retryable
from waystage.kernel import Definition, Event, compile_lifecycle
from waystage.plugin import Allowance, Done, Measurement, Monitor, Refused, Step, Waiting
from waystage.spec.load import parse_lifecycle
from waystage.store import Store
from waystage.store.codec import micros

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
SNAPSHOT = {"name": "credit", "version": "1", "digest": "sha256:" + "0" * 64, "author": "dana"}


class Play:
    """What the test plugins do, by the step's `do` field, and how often they were called."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.answers: dict[str, list[Any]] = {}

    def next(self, key: str, do: str) -> Any:
        self.calls.append(key)
        planned = self.answers.get(do)
        return planned.pop(0) if planned else Done({"did": do})


PLAY = Play()


class Act(Step):
    """Do what the test planned, in the engine's loop.

    - use: test.act
      with: {do: something}
    """

    use: ClassVar[str] = "test.act"
    inline: ClassVar[bool] = True
    do: str = ""

    def run(self, ctx: Any) -> Any:
        answer = PLAY.next(ctx.key, self.do)
        if isinstance(answer, Exception):
            raise answer
        return answer(ctx) if callable(answer) else answer


class Pooled(Act):
    """The same in the pool.

    - use: test.pooled
      with: {do: something}
    """

    use: ClassVar[str] = "test.pooled"
    inline: ClassVar[bool] = False


class Asking(Act):
    """An effect that must not be repeated blindly.

    - use: test.asking
      with: {do: something}
    """

    use: ClassVar[str] = "test.asking"
    repeat: ClassVar[Any] = "ask"


class Counted(Pooled):
    """What a service may have done so often.

    - use: test.counted
      with: {do: something}
    """

    use: ClassVar[str] = "test.counted"
    counted: ClassVar[bool] = True
    most: int | None = None
    per: timedelta = timedelta()
    cooldown: timedelta = timedelta()

    def allowance(self) -> Allowance:
        return Allowance(name="work", most=self.most, per=self.per, cooldown=self.cooldown)


class Gauge(Monitor):
    """Measure what the test planned.

    - use: test.gauge
      with: {do: something}
    """

    use: ClassVar[str] = "test.gauge"
    do: str = "gauge"

    def measure(self, ctx: Any, window: Any, minimum: Any) -> Measurement:
        answer = PLAY.next(ctx.key, self.do)
        if isinstance(answer, Exception):
            raise answer
        return Measurement(value=answer)


CATALOG = {plugin.use: plugin for plugin in (Act, Pooled, Asking, Counted, Gauge)}


class Bench:
    """An engine with its parts, and what tests do with it."""

    def __init__(
        self, url: str, directory: Path, *, clock: HandClock | None = None, lease: float = 1.5
    ) -> None:
        self.url, self.state, self.lease = url, directory, lease
        self.clock = clock or HandClock(START)
        self.play = PLAY
        PLAY.calls, PLAY.answers = [], {}
        self.boot()

    def boot(self) -> None:
        """Start a daemon anew on the same file."""
        self.store = Store(self.url)
        self.definitions = Definitions(self.store)
        # on PostgreSQL a dead daemon's claims are free when its leases end
        self.engine = Engine(
            self.store, self.definitions, CATALOG, self.clock, connections=self, lease=self.lease
        )
        self.engine.start()

    def stop(self) -> None:
        self.engine.stop()
        self.store.close()

    def lifecycle(self, text: str) -> Definition:
        loaded = parse_lifecycle(text)
        return compile_lifecycle(loaded.spec, loaded.digest)

    def open(self, definition: Definition, key: str = "k", **more: Any) -> str:
        self.definitions._compiled[definition.hash] = definition
        opening = Opening(definition, "s", SNAPSHOT, key, "dana", **more)
        return self.engine.open(opening).result(timeout=300)

    def send(self, run: str, event: Event) -> None:
        row = self.store.run(run)
        assert row is not None
        self.engine.submit(row.no, event).result(timeout=300)

    def turn(self, by: timedelta) -> None:
        self.clock.turn(by)
        self.engine.turned()
        self.settle()

    def settle(self) -> None:
        """Wait until nothing is due and nothing is called."""
        self.until(lambda: self.engine.under_way() == 0 and self.store.pending(
            micros(self.clock.now()) - 60_000_000) == 0)  # fmt: skip

    def until(self, holds: Callable[[], bool]) -> None:
        end = time.monotonic() + 180
        while not holds():
            assert self.engine.failure is None, self.engine.failure
            assert time.monotonic() < end, "nothing happens any more"
            time.sleep(0.005)

    def places(self, run: str) -> tuple[str, ...]:
        row = self.store.run(run)
        assert row is not None
        return row.places

    def said(self, run: str) -> list[str]:
        return [" ".join(r) for row in self.store.history(run) for r in row.records]


@pytest.fixture
def bench(database_url: str, tmp_path: Path) -> Iterator[Bench]:
    found = Bench(database_url, tmp_path)
    yield found
    found.stop()


@pytest.fixture
def make_bench(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    """Give a maker of engines on any database."""
    made: list[Bench] = []

    def make(url: str, **more: Any) -> Bench:
        made.append(Bench(url, tmp_path, **more))
        return made[-1]

    yield make
    for bench in made:
        bench.stop()


@pytest.fixture
def answers() -> dict[str, Any]:
    """The words of plugins, for tests that plan them."""
    return {"done": Done, "waiting": Waiting, "refused": Refused, "retryable": Retryable,
            "hopeless": Hopeless}  # fmt: skip
