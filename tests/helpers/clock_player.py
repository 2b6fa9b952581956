"""A daemon whose clock is set by a file; started as a process of its own under libfaketime.

    python -c "import clock_player; clock_player.main()" DIRECTORY RUNS [PLANTED]

It opens its runs, waits for their timers and ends when `stop` lies in the directory.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

from bare_engine import BareEngine
from sqlalchemy import or_

from waystage.plugin import Done, Step
from waystage.store import schema as t
from waystage.store.work import WorkStore

ONCE = """
lifecycle: once
services: [s]
initial: rest
states:
  rest: {timers: {far: {after: SPAN}}, next: {far: end}}
  end: {final: true}
"""
AGAIN = """
lifecycle: again
services: [s]
initial: rest
states:
  rest: {timers: {tick: {every: PT40M}}, next: {tick: look}}
  look: {steps: [{use: clock.quick}], next: {done: rest, refused: rest}}
"""
SLOW = """
lifecycle: slow
services: [s]
initial: work
states:
  work: {steps: [{use: clock.slow}], next: {done: end, refused: end}}
  end: {final: true}
"""
SPANS = ("PT30M", "PT1H", "PT5H", "P1D", "P6D")


class Quick(Step):
    """Do nothing.

    - use: clock.quick
    """

    use: ClassVar[str] = "clock.quick"
    inline: ClassVar[bool] = True

    def run(self, ctx: Any) -> Done:
        return Done()


class Slow(Step):
    """Be at work while clocks are set.

    - use: clock.slow
    """

    use: ClassVar[str] = "clock.slow"

    def run(self, ctx: Any) -> Done:
        place = Path(sys.argv[1])
        with (place / "calls.txt").open("a") as file:
            file.write(f"{ctx.key}\n")
        end = time.monotonic() + 180
        while not (place / "go").exists() and time.monotonic() < end:
            time.sleep(0.02)
        return Done()


def main() -> None:
    """Open the runs and live until told to end."""
    place, number = Path(sys.argv[1]), int(sys.argv[2])
    if sys.argv[3:] == ["leases"]:  # planted: a daemon's own leases end by the machine's clock
        WorkStore._free = lambda self, owner, wall: or_(  # type: ignore[method-assign]  # planted
            t.work.c.owner.is_(None), t.work.c.lease_until < wall
        )
    catalog = {each.use: each for each in (Quick, Slow)}
    bare = BareEngine(f"sqlite:///{place / 'waystage.db'}", catalog)
    texts = [*(ONCE.replace("SPAN", span) for span in SPANS), AGAIN, SLOW]
    definitions = [bare.lifecycle(text) for text in texts]
    for n in range(number):
        for definition in definitions[:-1] if n > 1 else definitions:
            bare.asked(definition, f"{definition.hash} {n}")
    bare.until(lambda: bare.engine.under_way() == 0)
    (place / "ready").touch()
    while not (place / "stop").exists() and bare.engine.failure is None:
        time.sleep(0.02)
    bare.stop()
    os._exit(0 if bare.engine.failure is None else 1)
