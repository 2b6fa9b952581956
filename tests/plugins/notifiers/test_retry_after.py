"""`Retry-After` in both of its forms (RFC 9110, 10.2.3), and whatever else servers write there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from waystage_plugins.retry_after import asked_rest

HOURS = {"Sun, 01 Mar 2026 12:00:30 GMT": 30, "Sunday, 01-Mar-26 12:00:30 GMT": 30,
         "Sun, 01 Mar 2026 13:00:00 +0100": 0, "Sun, 01 Mar 2026 11:59:59 GMT": 0}  # fmt: skip


@pytest.mark.parametrize(("told", "seconds"), HOURS.items())
def test_a_date_is_counted_from_the_servers_own_clock(told: str, seconds: int) -> None:
    headers = {"Date": "Sun, 01 Mar 2026 12:00:00 GMT", "Retry-After": told}
    assert asked_rest(headers) == (timedelta(seconds=seconds) if seconds else None)


def test_a_date_of_a_server_without_a_clock_is_counted_from_ours() -> None:
    soon = datetime.now(UTC) + timedelta(minutes=5)
    found = asked_rest(httpx.Headers({"retry-after": format_datetime(soon)}))
    assert found is not None
    assert timedelta(minutes=4) < found <= timedelta(minutes=5)


@given(st.integers(0, 999_999))
def test_seconds_are_what_they_say(seconds: int) -> None:
    assert asked_rest({"Retry-After": str(seconds)}) == timedelta(seconds=seconds)


@given(st.text(), st.text())
def test_nothing_that_stands_there_is_an_error(told: str, date: str) -> None:
    found = asked_rest({"Retry-After": told, "Date": date})
    assert found is None or found >= timedelta()


@given(st.datetimes(min_value=datetime(1970, 1, 1)), st.datetimes(min_value=datetime(1970, 1, 1)))
def test_any_two_dates_give_what_lies_between_them(now: datetime, until: datetime) -> None:
    now, until = (each.replace(microsecond=0, tzinfo=UTC) for each in (now, until))
    found = asked_rest({"Retry-After": format_datetime(until), "Date": format_datetime(now)})
    assert found == (until - now if until > now else None)


@pytest.mark.parametrize("told", ["", "-1", "1.5", "soon", "１２", "1e3", "99999999",
                                  "Sun, 01 Mar 2026 12:00:30 -0000", "0x10"])  # fmt: skip
def test_what_is_neither_asks_for_nothing(told: str) -> None:
    assert asked_rest({"Retry-After": told}) is None
