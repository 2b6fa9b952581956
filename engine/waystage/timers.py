"""The only user of APScheduler: when a timer fires next, and an alarm that wakes the daemon.

Timers live in the database. APScheduler computes times and rings once at the earliest due
row; it stores no jobs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.date import DateTrigger
from apscheduler.util import undefined

from waystage.errors import WaystageError
from waystage.spec.lifecycle import Timer

logging.getLogger("apscheduler").setLevel(logging.WARNING)
LONGEST_SLEEP = timedelta(days=1)
CHANGE = timedelta(hours=3)  # no zone skips more at once


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
    """Walk over what the zone's clocks show, as if no hour was ever skipped or repeated.

    APScheduler's triggers are asked in UTC alone: in zones they lose midnights behind a skipped
    hour (3.11).
    """
    assert timer.cron is not None
    zone = ZoneInfo(timer.zone)
    try:
        trigger = CronTrigger.from_crontab(timer.cron, timezone=UTC)
    except ValueError as error:
        raise TimerUnfit(f"cron {timer.cron!r}: {error}") from error
    if timer.cron.split()[1].startswith("*"):
        return _every_hour(trigger, zone, after)
    shown: datetime | None = _shown(zone, after)
    if _offset(zone, after - CHANGE) != _offset(zone, after):
        shown = _shown(zone, after) - CHANGE  # what was skipped fires later than its time
    while shown is not None and (shown := _tick(trigger, shown)) is not None:
        instant = shown.replace(tzinfo=zone).astimezone(UTC)  # of two the first, of none the next
        if instant > after:
            return instant
    return None


def _every_hour(trigger: CronTrigger, zone: ZoneInfo, after: datetime) -> datetime | None:
    """Give the next tick where each hour counts that passes, whatever clocks call it."""
    at = after + timedelta(microseconds=1)
    while True:
        offset = _offset(zone, at)
        shown: datetime | None = trigger.get_next_fire_time(None, at + offset)
        if shown is None:
            return None
        found = shown - offset
        if _offset(zone, found) == offset:
            return found
        at = _change(zone, at, found)


def _tick(trigger: CronTrigger, shown: datetime) -> datetime | None:
    """Give the next time of a cron line behind one that clocks show, written as if in UTC."""
    found: datetime | None = trigger.get_next_fire_time(None, shown + timedelta(microseconds=1))
    return found


def _shown(zone: ZoneInfo, instant: datetime) -> datetime:
    return instant.astimezone(zone).replace(tzinfo=UTC, fold=0)


def _offset(zone: ZoneInfo, instant: datetime) -> timedelta:
    return instant.astimezone(zone).utcoffset() or timedelta()


def _change(zone: ZoneInfo, first: datetime, last: datetime) -> datetime:
    """Give the instant between two at which the zone's clocks change."""
    before = _offset(zone, first)
    while last - first > timedelta(seconds=1):
        middle = first + (last - first) / 2
        first, last = (middle, last) if _offset(zone, middle) == before else (first, middle)
    return last.replace(microsecond=0)


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
