"""Cron lines in zones whose clocks change: nothing is lost, nothing comes twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from waystage.spec.lifecycle import Timer
from waystage.timers import next_fire


def ticks(cron: str, zone: str, start: datetime, days: int) -> list[str]:
    """Give what the zone's clocks show at each tick from noon on, so many days long."""
    timer, now, found = Timer.model_validate({"cron": cron, "zone": zone}), start, []
    while (due := next_fire(timer, now)) is not None and due < start + timedelta(days=days):
        found.append(due.astimezone(ZoneInfo(zone)).strftime("%a %H:%M"))
        now = due
    return found


SPRING, AUTUMN = datetime(2026, 3, 28, 12, tzinfo=UTC), datetime(2026, 10, 24, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("cron", "start", "shown"),
    [
        ("30 2 * * *", SPRING, ["Sun 03:30", "Mon 02:30"]),
        ("0 0 * * *", SPRING, ["Sun 00:00", "Mon 00:00"]),
        ("30 2 * * *", AUTUMN, ["Sun 02:30", "Mon 02:30"]),
        ("30 2,3 * * SUN", SPRING, ["Sun 03:30"]),
        ("45 2 * * SUN", AUTUMN, ["Sun 02:45"]),
    ],
)
def test_a_skipped_time_comes_later_and_a_repeated_one_once(cron, start, shown):
    assert ticks(cron, "Europe/Berlin", start, 2) == shown


@pytest.mark.parametrize("cron", ["0 * * * *", "0 */1 * * *"])
@pytest.mark.parametrize("start", [SPRING, AUTUMN])
def test_every_hour_is_every_hour_that_passes(cron, start):
    assert len(ticks(cron, "Europe/Berlin", start, 2)) == 47  # the first is behind noon


def test_a_time_that_is_skipped_comes_also_for_who_begins_within_the_hour():
    timer = Timer.model_validate({"cron": "30 2 * * *", "zone": "Europe/Berlin"})
    begun = datetime(2026, 3, 29, 1, 10, tzinfo=UTC)  # 03:10, when 02:30 has not been yet
    assert next_fire(timer, begun) == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)


def test_each_day_has_its_tick_in_zones_with_odd_changes():
    for zone in ("Australia/Lord_Howe", "America/Santiago", "Africa/Cairo", "Africa/Casablanca"):
        for hour in (0, 1, 2, 3):
            days = ticks(f"5 {hour} * * *", zone, datetime(2026, 1, 1, 12, tzinfo=UTC), 365)
            assert len(days) == 365, (zone, hour)
