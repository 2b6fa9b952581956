"""Verdicts over several windows: hysteresis, late labels, staleness, noise, and any order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waystage.kernel.judge import MEMORY, PRIVATE, is_stale, judge, window_at
from waystage.spec.lifecycle import Monitor, WindowSpec

START = datetime(2026, 1, 5, tzinfo=UTC)
WEEK = timedelta(days=7)


def monitor(**more: Any) -> Monitor:
    return Monitor.model_validate({"use": "drift.psi", "window": {"length": "P7D"}} | more)


def window(number: int) -> list[str]:
    return [(START + number * WEEK).isoformat(), (START + (number + 1) * WEEK).isoformat()]


def measured(
    spec: Monitor, found: dict[str, Any], memory: dict[str, Any] | None, number: int
) -> dict[str, Any]:
    """Judge the measurement of a window a day after its end."""
    now = START + (number + 1) * WEEK + timedelta(days=1)
    return judge(spec, found, memory, window(number), {}, now)


def verdicts(spec: Monitor, *values: float | None) -> list[str]:
    """Give the verdicts of windows one after the other; None is insufficient."""
    memory, told = None, []
    for number, value in enumerate(values):
        found = {"insufficient": "too few"} if value is None else {"value": value}
        memory = measured(spec, found, memory, number)
        told.append(memory["verdict"])
    return told


def test_an_alarm_stays_until_the_value_is_clear() -> None:
    spec = monitor(warn={"above": 0.1, "clear": 0.08}, breach={"above": 0.25, "clear": 0.2})
    told = verdicts(spec, 0.09, 0.11, 0.09, 0.07, 0.3, 0.22, 0.15, 0.09, 0.08)
    assert told == ["ok", "warn", "warn", "ok", "breach", "breach", "warn", "warn", "ok"]


def test_without_clear_the_alarm_ends_at_its_threshold() -> None:
    spec = monitor(warn={"above": 0.1}, breach={"above": 0.25})
    assert verdicts(spec, 0.11, 0.09, 0.3, 0.24) == ["warn", "ok", "breach", "warn"]


def test_an_alarm_outlives_a_window_without_a_verdict() -> None:
    spec = monitor(warn={"above": 0.1, "clear": 0.08})
    assert verdicts(spec, 0.11, None, 0.09, 0.07) == ["warn", "insufficient", "warn", "ok"]


def test_a_value_that_is_held_only_keeps_an_alarm_that_was_there() -> None:
    spec = monitor(breach={"above": 0.25, "clear": 0.2, "datapoints": 2, "of": 3})
    assert verdicts(spec, 0.22, 0.3, 0.22, 0.3, 0.22) == ["ok", "warn", "ok", "breach", "breach"]


def test_late_labels_supersede_and_do_not_tell_a_breach_twice() -> None:
    spec = monitor(breach={"above": 0.25})
    first = measured(spec, {"value": 0.3}, None, 0)
    second = measured(spec, {"value": 0.4}, first, 0)
    third = measured(spec, {"value": 0.5}, second, 0)
    assert [each["verdict"] for each in (first, second, third)] == ["breach", "warn", "warn"]
    assert second["reason"] == "the breach of this window was told already"
    assert third["value"] == 0.5
    assert third["recent"] == [{"window": window(0), "level": "breach"}]
    assert measured(spec, {"value": 0.3}, third, 1)["verdict"] == "breach"


def test_late_labels_may_tell_a_breach_for_the_first_time_or_take_it_back() -> None:
    spec = monitor(breach={"above": 0.25})
    fine = measured(spec, {"value": 0.1}, None, 0)
    assert measured(spec, {"value": 0.3}, fine, 0)["verdict"] == "breach"
    bad = measured(spec, {"value": 0.3}, None, 0)
    assert measured(spec, {"value": 0.1}, bad, 0)["verdict"] == "ok"


@pytest.mark.parametrize(
    "between", [{"value": 0.1}, {"insufficient": "too few"}, {"error": "the log is away"}]
)
def test_a_breach_that_was_taken_back_and_comes_again_is_not_told_twice(
    between: dict[str, Any],
) -> None:
    spec = monitor(breach={"above": 0.25})
    memory: dict[str, Any] | None = None
    told = []
    for found in ({"value": 0.3}, between, between, {"value": 0.4}):
        memory = measured(spec, found, memory, 0)
        told.append(memory["verdict"])
    assert (told[0], told[-1]) == ("breach", "warn"), told
    assert measured(spec, {"value": 0.3}, memory, 1)["verdict"] == "breach"


def test_a_breach_is_not_told_again_after_an_older_window_came_late() -> None:
    spec = monitor(breach={"above": 0.25})
    memory = measured(spec, {"value": 0.3}, None, 1)
    memory = measured(spec, {"value": 0.1}, memory, 0)
    assert measured(spec, {"value": 0.3}, memory, 1)["verdict"] == "warn"


def test_an_old_window_that_comes_late_only_warns() -> None:
    spec = monitor(breach={"above": 0.25})
    memory = measured(spec, {"value": 0.1}, None, 3)
    late = measured(spec, {"value": 0.3}, memory, 1)
    assert late["verdict"] == "warn"
    assert "older than the newest one measured" in late["reason"]


VALUES = st.lists(st.sampled_from([0.05, 0.09, 0.15, 0.22, 0.3, None]), min_size=4, max_size=4)


@given(VALUES)
@settings(max_examples=30)
def test_windows_in_any_order_lead_to_the_same_memory_and_the_same_last_verdict(
    values: list[float | None],
) -> None:
    spec = monitor(
        warn={"above": 0.1, "clear": 0.08}, breach={"above": 0.25, "datapoints": 2, "of": 3}
    )
    seen, last = set(), set()
    for order in permutations(range(4)):
        memory: dict[str, Any] | None = None
        for number in (*order, 3):  # the newest window is measured once more at the end
            value = values[number]
            found = {"insufficient": "too few"} if value is None else {"value": value}
            memory = measured(spec, found, memory, number)
        assert memory is not None
        seen.add(str(memory["recent"]))
        last.add(memory["verdict"] if memory["verdict"] != "breach" else "warn")
    assert len(seen) == len(last) == 1


SPECS = [
    {"warn": {"above": 0.1}, "breach": {"above": 0.25}},
    {"warn": {"above": 0.1, "clear": 0.08}, "breach": {"above": 0.25, "clear": 0.2}},
    {"breach": {"above": 0.25, "datapoints": 2, "of": 3}, "cooldown": "P14D"},
    {"breach": {"above": 0.25, "clear": 0.1, "confidence": "upper95"}, "stale_after": "P7D"},
]


@given(st.sampled_from(SPECS), VALUES, st.lists(st.integers(0, 3), max_size=12), st.randoms())
@settings(max_examples=100)
def test_windows_replayed_in_any_order_and_any_number_of_times_end_alike(
    said: dict[str, Any], values: list[float | None], again: list[int], dice: Any
) -> None:
    spec, told = monitor(**said), []
    mixed = [*range(4), *again]
    dice.shuffle(mixed)
    for order in (list(range(4)), mixed):
        memory: dict[str, Any] | None = None
        seen: dict[int, str] = {}
        breaches: list[int] = []
        for number in (*order, *range(4)):  # at the end, all of them once more
            value = values[number]
            found = ({"insufficient": "too few"} if value is None
                     else {"value": value, "low": value - 0.02, "high": value + 0.02})  # fmt: skip
            memory = measured(spec, found, memory, number)
            # that a breach is told once, and then only warned of, is the one thing that order says
            seen[number] = "warn" if memory["verdict"] == "breach" else memory["verdict"]
            breaches += [number] if memory["verdict"] == "breach" else []
        assert memory is not None
        assert len(breaches) == len({*breaches}), "a window's breach was told twice"
        told.append((memory["recent"], memory.get("base"), seen, is_stale(spec, memory)))
    assert told[0] == told[1]


def test_a_monitor_is_stale_when_it_was_insufficient_for_too_long() -> None:
    spec, memory, stale = monitor(breach={"above": 0.25}), None, []
    for number, value in enumerate([0.1, None, None, None, None, 0.1]):
        found = {"insufficient": "too few"} if value is None else {"value": value}
        memory = measured(spec, found, memory, number)
        stale.append(is_stale(spec, memory))
    assert stale == [False, False, False, False, True, False]


def test_how_long_is_too_long_may_be_said() -> None:
    spec = monitor(breach={"above": 0.25}, stale_after="P7D")
    memory = measured(spec, {"insufficient": "too few"}, None, 0)
    assert not is_stale(spec, memory)
    assert is_stale(spec, measured(spec, {"error": "the log is gone"}, memory, 1))


@pytest.mark.parametrize(
    ("noise", "verdict"),
    [(None, "breach"), (0.05, "breach"), (0.1, "breach"), (0.11, "insufficient")],
)
def test_a_threshold_within_the_noise_says_nothing(noise: float | None, verdict: str) -> None:
    spec = monitor(warn={"above": 0.1}, breach={"above": 0.25})
    memory = measured(spec, {"value": 0.4, "noise": noise}, None, 0)
    assert memory["verdict"] == verdict
    if verdict == "insufficient":
        assert memory["reason"] == (
            "with this few data the value is up to 0.11 in 95 of 100 windows in which nothing has "
            "changed, and warn begins at 0.1; lengthen the window"
        )


def test_what_a_monitor_kept_stays_until_it_keeps_something_else() -> None:
    spec = monitor()
    memory = measured(spec, {"value": 0.1, "keep": {"bins": [1, 2]}}, None, 0)
    memory = measured(spec, {"value": 0.1}, memory, 1)
    assert memory["kept"] == {"bins": [1, 2]}
    assert measured(spec, {"error": "gone"}, memory, 2)["kept"] == {"bins": [1, 2]}
    assert measured(spec, {"value": 0, "keep": {"a": 1}}, memory, 2)["kept"] == {"a": 1}


def test_memory_stops_growing_and_keeps_an_alarm_that_is_on() -> None:
    spec = monitor(warn={"above": 0.1, "clear": 0.08})
    memory = measured(spec, {"value": 0.2}, None, 0)
    for number in range(1, MEMORY + 20):
        memory = measured(spec, {"value": 0.09}, memory, number)
    assert len(memory["recent"]) == MEMORY
    assert memory["verdict"] == "warn"
    assert set(memory) & set(PRIVATE) == {"recent", "base"}


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), "0.3", True])
def test_what_is_no_finite_number_is_an_error_and_never_ok(value: Any) -> None:
    memory = measured(monitor(breach={"above": 0.25}), {"value": value}, None, 0)
    assert memory["verdict"] == "error"
    assert "is no finite number" in memory["reason"]
    assert "value" not in memory


def test_a_breach_within_the_cooldown_of_the_last_one_only_warns() -> None:
    limits = {"warn": {"above": 0.1}, "breach": {"above": 0.25}}
    spec = monitor(cooldown="P10D", **limits)
    assert verdicts(spec, 0.3, 0.3, 0.3) == ["breach", "warn", "breach"]
    assert verdicts(monitor(**limits), 0.3, 0.3, 0.3) == ["breach"] * 3


@pytest.mark.parametrize(
    ("side", "sure", "unsure"),
    [
        (
            "above",
            {"value": 0.3, "low": 0.26, "high": 0.4},
            {"value": 0.3, "low": 0.2, "high": 0.4},
        ),
        (
            "below",
            {"value": 0.2, "low": 0.1, "high": 0.24},
            {"value": 0.2, "low": 0.1, "high": 0.3},
        ),
    ],
)
def test_upper95_breaches_only_where_the_whole_interval_is_bad(
    side: str, sure: dict[str, float], unsure: dict[str, float]
) -> None:
    spec = monitor(breach={side: 0.25, "confidence": "upper95"})
    point = monitor(breach={side: 0.25})
    assert measured(spec, sure, None, 0)["verdict"] == "breach"
    assert measured(spec, unsure, None, 0)["verdict"] == "ok"
    assert measured(point, unsure, None, 0)["verdict"] == "breach"
    found = measured(spec, {"value": unsure["value"]}, None, 0)
    assert found["verdict"] == "error", "without an interval nothing is sure"


def test_m_of_n_windows_must_be_beyond() -> None:
    spec = monitor(breach={"above": 0.25, "datapoints": 2, "of": 3})
    told = verdicts(spec, 0.3, 0.1, 0.3, 0.1, 0.1, 0.3)
    assert [each == "breach" for each in told] == [False, False, True, False, False, False]


@pytest.mark.parametrize(
    ("length", "start", "end"),
    [
        ("P7D", "2026-02-01T00:00", "2026-02-08T00:00"),
        ("PT6H", "2026-02-08T06:41", "2026-02-08T12:41"),
    ],
)
def test_a_window_closes_when_its_labels_and_late_rows_are_there(
    length: str, start: str, end: str
) -> None:
    spec = WindowSpec.model_validate({"length": length, "label_delay": "P30D", "grace": "PT2H"})
    zone = timezone(timedelta(hours=5, minutes=30))  # days are those of UTC
    now = datetime(2026, 3, 10, 20, 11, 37, 5, tzinfo=zone)
    assert now.astimezone(UTC).hour == 14
    told = tuple(datetime.fromisoformat(f"{each}+00:00") for each in (start, end))
    assert window_at(spec, now) == told
    # a moment earlier than grace allows, the day is not over yet
    early = datetime(2026, 3, 10, 1, 59, tzinfo=UTC)
    day = WindowSpec.model_validate({"length": "P1D", "label_delay": "P30D", "grace": "PT2H"})
    assert window_at(day, early)[1] == datetime(2026, 2, 7, tzinfo=UTC)
    assert window_at(day, early + timedelta(minutes=1))[1] == datetime(2026, 2, 8, tzinfo=UTC)
