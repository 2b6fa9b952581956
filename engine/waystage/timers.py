"""The only user of APScheduler: when a timer fires next, and an alarm that wakes the daemon.

Timers live in the database. APScheduler computes times and rings once at the earliest due
row; it stores no jobs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.date import DateTrigger
from apscheduler.util import undefined

from waystage.errors import WaystageError
from waystage.spec.lifecycle import Timer

logging.getLogger("apscheduler").setLevel(logging.WARNING)
LONGEST_SLEEP = timedelta(days=1)


class TimerUnfit(WaystageError):
    """A timer that can never fire."""

    code = "E-TIMER"


def next_fire(timer: Timer, after: datetime) -> datetime | None:
    """Give the first instant after `after` at which the timer fires, in UTC; None if never.

    Cron lines follow their zone: a local hour that is skipped fires at the next valid instant,
    one that is repeated fires once, unless the line says every hour (`*`): all hours are real.
    """
    if timer.after is not None:
        return after + timer.after
    if timer.at is not None:
        return timer.at.astimezone(UTC)
    if timer.every is not None:
        return after + timer.every
    return _next_cron(timer, after)


def _next_cron(timer: Timer, after: datetime) -> datetime | None:
    assert timer.cron is not None
    try:
        trigger = CronTrigger.from_crontab(timer.cron, timezone=timer.zone)
    except ValueError as error:
        raise TimerUnfit(f"cron {timer.cron!r}: {error}") from error
    every_hour = timer.cron.split()[1].startswith("*")
    found = _after(trigger, after)
    while found is not None and found.fold and not every_hour:
        found = _after(trigger, found)  # it has fired when the clocks showed this time first
    return None if found is None else found.astimezone(UTC)


def _after(trigger: CronTrigger, instant: datetime) -> datetime | None:
    """Give the trigger's next instant, in its zone, where `fold` tells a repeated hour."""
    found: datetime | None = trigger.get_next_fire_time(
        instant, instant.astimezone(UTC) + timedelta(microseconds=1)
    )
    return None if found is None else found.astimezone(UTC).astimezone(trigger.timezone)


class Alarm:
    """Rings at an instant of the lifecycle's clock, by one APScheduler job."""

    JOB = "waystage-alarm"

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._scheduler: Any = BackgroundScheduler(timezone=UTC)
        self._at: datetime | None = None

    def start(self) -> None:
        """Begin to keep time."""
        self._scheduler.start()

    def set(self, due: datetime | None, now: datetime) -> None:
        """Ring at `due` (by a clock that shows `now`), instead of any instant set before."""
        if due == self._at:
            return
        self._at = due
        if due is None:
            if self._scheduler.get_job(self.JOB):
                self._scheduler.remove_job(self.JOB)
            return
        wait = min(max(due - now, timedelta()), LONGEST_SLEEP)
        self._scheduler.add_job(
            self._rang, DateTrigger(datetime.now(UTC) + wait), id=self.JOB,
            replace_existing=True, misfire_grace_time=None, next_run_time=undefined,
        )  # fmt: skip

    def stop(self) -> None:
        """Stop keeping time."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    def _rang(self) -> None:
        self._at = None
        self._ring()
