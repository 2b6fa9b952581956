"""Windows that come every week, by the clocks of their zone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waystage.check.windows import check_windows
from waystage.errors import Invalid
from waystage.kernel.windows import Closed, closed
from waystage.spec.load import ProjectFiles, parse_project, parse_stage
from waystage.spec.windows import DAYS, ChangeWindow, WeekTime

BERLIN = "Europe/Berlin"
WEEKEND = {"from": "Fri 18:00", "to": "Mon 06:00", "zone": BERLIN, "why": "weekend"}


def window(**says: Any) -> ChangeWindow:
    return ChangeWindow.model_validate(says)


def at(text: str, zone: str = BERLIN) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-11-20T17:59", None),
        ("2026-11-20T18:00", "2026-11-23T06:00"),
        ("2026-11-22T23:59", "2026-11-23T06:00"),
        ("2026-11-23T05:59", "2026-11-23T06:00"),
        ("2026-11-23T06:00", None),
        ("2027-01-01T20:00", "2027-01-04T06:00"),  # over the end of a year
    ],
)
def test_a_weekend_is_closed_from_friday_evening_to_monday_morning(
    now: str, until: str | None
) -> None:
    found = closed([window(deny=WEEKEND)], [], "forward", at(now))
    assert found == (Closed("weekend", at(until)) if until else None)


@pytest.mark.parametrize(
    ("friday", "monday", "hours"),
    [
        ("2026-03-27", "2026-03-30", 59),  # an hour is skipped on the Sunday between
        ("2026-10-23", "2026-10-26", 61),  # an hour is shown twice
        ("2026-06-05", "2026-06-08", 60),
    ],
)
def test_the_weekend_of_a_change_of_the_hour_ends_when_clocks_say_so(
    friday: str, monday: str, hours: int
) -> None:
    begins, ends = at(f"{friday}T18:00"), at(f"{monday}T06:00")
    assert ends - begins == timedelta(hours=hours)
    weekend = [window(deny=WEEKEND)]
    assert closed(weekend, [], "forward", begins - timedelta(seconds=1)) is None
    for now in (begins, begins + timedelta(hours=30), ends - timedelta(seconds=1)):
        assert closed(weekend, [], "forward", now) == Closed("weekend", ends)
    assert closed(weekend, [], "forward", ends) is None


def test_a_time_that_is_skipped_is_the_first_instant_after_the_change() -> None:
    freeze = window(deny={"from": "Sat 12:00", "to": "Sun 02:30", "zone": BERLIN})
    found = closed([freeze], [], "forward", at("2026-03-28T20:00"))
    assert found
    assert found.until == datetime(2026, 3, 29, 1, tzinfo=UTC)  # 03:00 there
    inside = window(allow={"from": "Sun 02:10", "to": "Sun 02:40", "zone": BERLIN})
    assert closed([inside], [], "forward", datetime(2026, 3, 29, 1, tzinfo=UTC))  # it has no length
    assert closed([inside], [], "forward", at("2026-04-05T02:20")) is None


def test_a_time_that_is_shown_twice_is_the_first_of_the_two() -> None:
    freeze = window(deny={"from": "Sat 12:00", "to": "Sun 02:30", "zone": BERLIN})
    found = closed([freeze], [], "forward", at("2026-10-24T20:00"))
    assert found
    assert found.until == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)


def test_weekly_and_dated_spans_hold_together() -> None:
    year_end = window(deny={"from": "2026-12-19T00:00", "to": "2027-01-03T12:00", "zone": BERLIN})
    found = closed([year_end, window(deny=WEEKEND)], [], "forward", at("2026-12-22T10:00"))
    assert found
    assert found.until == at("2027-01-04T06:00")  # the third of January is a Sunday


def test_several_openings_of_a_week_are_waited_for_in_turn() -> None:
    allows = [
        window(allow={"from": f"{day} 20:00", "to": f"{day} 23:00", "zone": BERLIN})
        for day in ("Tue", "Thu")
    ]
    monday, tuesday = at("2026-11-16T10:00"), at("2026-11-17T20:00")
    assert closed(allows, [], "forward", monday) == Closed("no window for changes is open", tuesday)
    assert closed(allows, [], "forward", tuesday + timedelta(hours=2)) is None
    late = closed(allows, [], "forward", tuesday + timedelta(hours=3))
    assert late
    assert late.until == at("2026-11-19T20:00")


def test_what_never_opens_has_no_end() -> None:
    allow = window(allow={"from": "Sat 01:00", "to": "Sat 02:00", "zone": BERLIN})
    found = closed([window(deny=WEEKEND), allow], [], "forward", at("2026-11-18T10:00"))
    assert found
    assert found.until is None


week_times = st.builds(
    lambda day, hour, minute: f"{DAYS[day]} {hour:02}:{minute:02}",
    st.integers(0, 6), st.integers(0, 23), st.sampled_from((0, 15, 30, 59)),
)  # fmt: skip
zones = st.sampled_from((BERLIN, "America/New_York", "Australia/Lord_Howe", "Asia/Tokyo", "UTC"))
spans = st.tuples(st.booleans(), week_times, week_times, zones).filter(lambda s: s[1] != s[2])
instants = st.integers(0, 2 * 365 * 24 * 60).map(
    lambda minutes: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
)


def edges(begin: str, end: str, zone: str, now: datetime) -> Iterator[datetime]:
    """Give each beginning and end of a span in the next nine days, with the minutes around."""
    for day, edge in product(range(-1, 10), (begin, end)):
        date = now.astimezone(ZoneInfo(zone)).date() + timedelta(days=day)
        if DAYS[date.weekday()] == edge[:3]:
            there = datetime.fromisoformat(f"{date}T{edge[4:]}").replace(tzinfo=ZoneInfo(zone))
            for minutes in (-1, 0, 1):
                yield there.astimezone(UTC) + timedelta(minutes=minutes)


@settings(max_examples=150, deadline=None)
@given(st.lists(spans, min_size=1, max_size=3), instants)
def test_it_stays_closed_until_the_instant_that_is_told_and_opens_then(
    said: list[tuple[bool, str, str, str]], now: datetime
) -> None:
    windows = [window(**{"deny" if deny else "allow": {"from": begin, "to": end, "zone": zone}})
               for deny, begin, end, zone in said]  # fmt: skip
    found = closed(windows, [], "forward", now)
    if found is None:
        return
    until = found.until or now + timedelta(days=9)
    grid = [now + timedelta(hours=hours) for hours in range(0, 9 * 24, 2)]
    for instant in [*grid, *(edge for span in said for edge in edges(*span[1:], now))]:
        if now <= instant < until:
            assert closed(windows, [], "forward", instant) is not None
    if found.until:
        assert closed(windows, [], "forward", found.until) is None


@settings(max_examples=200, deadline=None)
@given(week_times, week_times, zones, instants)
def test_a_span_holds_where_clocks_show_a_time_between_its_ends(
    begin: str, end: str, zone: str, now: datetime
) -> None:
    if begin == end:
        return
    span = window(deny={"from": begin, "to": end, "zone": zone}).span
    shown = now.astimezone(ZoneInfo(zone))
    near = [shown + timedelta(hours=h) for h in (-26, 26)]
    if {each.utcoffset() for each in near} != {shown.utcoffset()}:
        return  # said by the tests of changes of the hour
    clock = shown.weekday() * 1440 + shown.hour * 60 + shown.minute
    first, last = (DAYS.index(t[:3]) * 1440 + int(t[4:6]) * 60 + int(t[7:]) for t in (begin, end))
    inside = first <= clock < last if first < last else clock >= first or clock < last
    assert span.holds(now) == inside


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("{from: Fri 18:00, to: Fri 18:00}", "to: is another time than from:"),
        ("{from: Fri 18:00, to: 2026-12-24T06:00}", "both of one day, or both of every week"),
        ("{from: Fri 25:00, to: Mon 06:00}", "one of the week such as Fri 18:00, not 'Fri 25:00'"),
        ("{from: Friday 18:00, to: Mon 06:00}", "such as Fri 18:00, not 'Friday 18:00'"),
        ("{from: Fri 18:00, to: Mon 06:00, zone: Mars}", "'Mars' is not an IANA time zone"),
    ],
)
def test_a_span_that_cannot_be_meant_is_refused(said: str, told: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_stage(f"stage: PROD\nwindows: [{{deny: {said}}}]\n")
    assert told in str(caught.value)


def test_days_may_be_written_in_any_case_and_are_kept_in_one() -> None:
    stage = parse_stage("stage: A\nwindows: [{deny: {from: FRI 18:00, to: mon 06:00}}]\n").spec
    says = stage.windows[0].model_dump(mode="json", by_alias=True, exclude_defaults=True)
    assert says == {"deny": {"from": "Fri 18:00", "to": "Mon 06:00"}}
    assert ChangeWindow.model_validate(says) == stage.windows[0]
    assert isinstance(stage.windows[0].span.from_, WeekTime)


def test_openings_with_dates_are_openings_too(tmp_path: Any) -> None:
    text = (
        "stage: PROD\nwindows:\n  - deny: {from: Fri 18:00, to: Mon 06:00}\n"
        "  - allow: {from: 2026-01-01T00:00, to: 2026-02-01T00:00}\n"
    )
    files = ProjectFiles(tmp_path, parse_project("project: p\n"), {"PROD": parse_stage(text)}, {})
    assert list(check_windows(files, {})) == []
