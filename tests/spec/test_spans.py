"""Windows as people write them are half-open spans in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waystage.spec.spans import WindowUnfit, parse_span

NOW = datetime(2026, 3, 11, 14, 35, 20, tzinfo=UTC)  # a Wednesday


@pytest.mark.parametrize(
    ("said", "start", "end"),
    [
        ("2026-01-01/2026-02-01", "2026-01-01", "2026-02-01"),
        ("2026-01-01T06:30+02:00/2026-01-02", "2026-01-01T04:30", "2026-01-02"),
        ("2026-01-01/P7D", "2026-01-01", "2026-01-08"),
        ("P7D/2026-01-08", "2026-01-01", "2026-01-08"),
        ("30d", "2026-02-09", "2026-03-11"),
        ("P30D", "2026-02-09", "2026-03-11"),
        ("2w", "2026-02-25", "2026-03-11"),
        ("12h", "2026-03-11T02:35", "2026-03-11T14:35"),
        ("90min", "2026-03-11T13:05", "2026-03-11T14:35"),
        ("2025", "2025-01-01", "2026-01-01"),
        ("2025-Q4", "2025-10-01", "2026-01-01"),
        ("2026-02", "2026-02-01", "2026-03-01"),
        ("2025-12", "2025-12-01", "2026-01-01"),
        ("2026-W10", "2026-03-02", "2026-03-09"),
        ("2026-03-05", "2026-03-05", "2026-03-06"),
        ("today", "2026-03-11", "2026-03-12"),
        ("yesterday", "2026-03-10", "2026-03-11"),
        ("this-week", "2026-03-09", "2026-03-16"),
        ("last-week", "2026-03-02", "2026-03-09"),
        ("last-month", "2026-02-01", "2026-03-01"),
        ("this-quarter", "2026-01-01", "2026-04-01"),
        ("last-quarter", "2025-10-01", "2026-01-01"),
        ("last-year", "2025-01-01", "2026-01-01"),
    ],
)
def test_a_window_is_read(said: str, start: str, end: str) -> None:
    expected = tuple(datetime.fromisoformat(each).replace(tzinfo=UTC) for each in (start, end))
    assert parse_span(said, NOW) == expected


def test_a_length_ends_when_labels_are_expected_to_be_there() -> None:
    start, end = parse_span("30d", NOW, delay=timedelta(days=10, hours=15))
    assert (start.isoformat()[:10], end.isoformat()[:10]) == ("2026-01-29", "2026-02-28")


@pytest.mark.parametrize(
    "said",
    ["", "soon", "30", "30y", "2026-13", "2026-Q5", "2026-02-30", "2026-01-02/2026-01-01", "P1M",
     "2026-01-01/2026-01-01", "2026-01-01/", "/", "9999", "999999w", "next-week", "0d"],
)  # fmt: skip
def test_what_is_no_window_is_refused_with_the_ways_to_write_one(said: str) -> None:
    with pytest.raises(WindowUnfit) as caught:
        parse_span(said, NOW)
    assert repr(said) in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.text(max_size=30))
def test_any_text_is_a_window_or_refused(said: str) -> None:
    try:
        start, end = parse_span(said, NOW)
    except WindowUnfit:
        return
    assert start < end
    assert start.tzinfo is UTC
