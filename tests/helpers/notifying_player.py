"""A daemon that has much to tell to a bad receiver; a process of its own, which may be killed.

    python -c "import notifying_player; notifying_player.main()" DIRECTORY RUNS EACH [PLANTED]

Each run is parked again and again, which is told each time. Ends when all is told.
"""

from __future__ import annotations

import logging
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

from sqlalchemy import func, select

from waystage.clock import TurnedClock
from waystage.daemon import daemon as daemon_module
from waystage.daemon.daemon import Daemon
from waystage.errors import Hopeless
from waystage.kernel import events
from waystage.plugin import Done, Step
from waystage.store import schema as t
from waystage.store.reads import Reader
from waystage_plugins.notifiers.webhook import WebhookNotifier
from waystage_plugins.secrets.env import EnvironmentSecrets

SNAPSHOT = {"name": "credit", "version": "1", "digest": "sha256:" + "0" * 64, "author": "dana"}
TEXT = """
lifecycle: telling
services: [s]
initial: work
states:
  work: {steps: [{use: tell.fail}], next: {done: end}}
  end: {final: true}
"""


class Fail(Step):
    """Fail for good.

    - use: tell.fail
    """

    use: ClassVar[str] = "tell.fail"
    inline: ClassVar[bool] = True
    refuses: ClassVar[bool] = False

    def run(self, ctx: Any) -> Done:
        raise Hopeless("it cannot be done")


def write_project(root: Path, url: str) -> None:
    """Write the project whose messages go to a receiver."""
    (root / "lifecycles").mkdir(parents=True)
    (root / "lifecycles" / "telling.yaml").write_text(TEXT)
    (root / "waystage.yaml").write_text(
        "project: telling\ndatabase: sqlite:///waystage.db\nservices: {s: {}}\n"
        f"channels:\n  hook:\n    use: webhook\n    with: {{url: '{url}', "
        "secret: {secret: env/HOOK_KEY}, allow_private: true}\nnotify_channel: hook\n"
    )


def at_once(self: Reader, now: int, limit: int) -> list[Any]:
    """Give all messages that are due, whatever their run said before (planted)."""
    o = t.outbox.c
    query = select(t.outbox).where(o.sent_at.is_(None), o.due_at <= now).order_by(o.id)
    return self._all(query.limit(limit))


def main() -> None:
    """Park the runs as often as was asked and live until all is told."""
    root, number, each = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    if sys.argv[4:] == ["order"]:
        Reader.due_messages = at_once  # type: ignore[method-assign]  # planted
    logging.disable(logging.CRITICAL)
    daemon_module.IDLE_SECONDS = 0.02  # between two looks for messages
    clock = TurnedClock(root / "clock.json")
    catalog = {p.use: p for p in (Fail, WebhookNotifier, EnvironmentSecrets)}
    daemon = Daemon(root, clock=clock, catalog=catalog)
    daemon.start()
    definition = daemon.definitions.by_name("telling")
    for n in range(number):
        opening = daemon.opening(definition, "s", SNAPSHOT, "dana", f"k{n}")
        daemon.engine.open(opening).result(timeout=300)
    while park(daemon, each) < number * each or unsent(daemon):
        clock.turn(timedelta(seconds=20))  # what failed is tried again soon
        time.sleep(0.05)
    daemon.stop()


def park(daemon: Daemon, each: int) -> int:
    """Have tried again what was not told often enough; count what was parked so far."""
    counted = select(t.incidents.c.run, func.count(), func.count(t.incidents.c.closed_at))
    with daemon.store.reading() as connection:
        rows = connection.execute(counted.group_by(t.incidents.c.run)).all()
    again = events.repair("retry", "work", {"reason": "again"}, "otto")
    mended = [daemon.engine.submit(no, again) for no, times, closed in rows
              if times < each and closed < times]  # fmt: skip
    for done in mended:
        done.result(timeout=300)
    return sum(times for _, times, _ in rows)


def unsent(daemon: Daemon) -> int:
    """Count the messages that wait."""
    with daemon.store.reading() as connection:
        query = select(func.count()).select_from(t.outbox).where(t.outbox.c.sent_at.is_(None))
        return int(connection.execute(query).scalar_one())
