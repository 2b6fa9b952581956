"""Counted steps: whatever is asked for when, no more is begun than is allowed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waystage.kernel.allowances import Used, denied
from waystage.plugin import Allowance

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
hours = st.integers(0, 30).map(lambda n: n * HOUR)
allowances = st.builds(
    Allowance,
    name=st.just("training"),
    most=st.none() | st.integers(1, 4),
    time=st.none() | st.integers(1, 20).map(lambda n: n * HOUR),
    per=st.integers(1, 60).map(lambda n: n * HOUR),
    cooldown=hours,
)
# when the next one is asked for after the one before, and how long it takes if it begins
asked = st.lists(st.tuples(hours, hours), max_size=30)


def played(allowance: Allowance, plan: list[tuple[timedelta, timedelta]]) -> list[Used]:
    """Ask as planned, and give what was begun."""
    used, now = list[Used](), START
    for number, (pause, takes) in enumerate(plan):
        now += pause
        seen = [u if u.ended and u.ended <= now else Used(u.key, u.began, None) for u in used]
        if denied(allowance, "s", seen, f"r{number}/1/train", now) is None:
            used.append(Used(f"r{number}/1/train", now, now + takes))
    return used


@given(allowances, asked)
def test_no_two_are_under_way_and_none_begins_within_the_cooldown(
    allowance: Allowance, plan: list[tuple[timedelta, timedelta]]
) -> None:
    used = played(allowance, plan)
    for before, after in pairwise(used):
        assert before.ended is not None
        assert after.began >= before.ended + allowance.cooldown


@given(allowances, asked)
def test_no_period_has_more_of_them_than_its_budget(
    allowance: Allowance, plan: list[tuple[timedelta, timedelta]]
) -> None:
    used = played(allowance, plan)
    for each in used:
        before = [u for u in used if each.began - allowance.per < u.began < each.began]
        if allowance.most is not None:
            assert len(before) < allowance.most
        if allowance.time is not None:
            spans = [u.ended - u.began for u in before if u.ended]
            assert sum(spans, timedelta()) < allowance.time


@given(allowances, asked, hours)
def test_it_may_begin_at_the_time_that_is_told_and_not_before(
    allowance: Allowance, plan: list[tuple[timedelta, timedelta]], later: timedelta
) -> None:
    used = played(allowance, plan)
    now = max([START, *(u.ended for u in used if u.ended)]) + later
    no = denied(allowance, "s", used, "new/1/train", now)
    if no is not None:
        assert no.again is not None
        assert no.again > now
        assert denied(allowance, "s", used, "new/1/train", no.again) is None
        just_before = no.again - timedelta(microseconds=1)
        assert denied(allowance, "s", used, "new/1/train", just_before) is not None


@given(allowances, asked)
def test_what_began_may_be_ordered_once_more(
    allowance: Allowance, plan: list[tuple[timedelta, timedelta]]
) -> None:
    used = played(allowance, plan)
    for each in used:
        assert denied(allowance, "s", used, each.key, START) is None
    if used:
        open_ = [*used, Used("other/1/train", START, None)]
        no = denied(allowance, "s", open_, used[0].key, START)
        assert no is not None
        assert (no.again, no.why.partition(" ")[0]) == (None, "other")


@pytest.mark.parametrize(
    ("limits", "why"),
    [
        ({"cooldown": HOUR}, "the last training of s ended at 2026-03-01 12:00 UTC, and the "
         "cooldown is PT1H: again from 2026-03-01 13:00 UTC"),
        ({"most": 1, "per": 3 * HOUR}, "one training of s began within PT3H, which is the budget: "
         "again from 2026-03-01 14:00 UTC"),
        ({"time": HOUR, "per": 3 * HOUR}, "one training of s took PT1H within PT3H, and the "
         "budget is PT1H: again from 2026-03-01 14:00 UTC"),
    ],
)  # fmt: skip
def test_a_reason_says_what_was_how_much_is_allowed_and_from_when(
    limits: dict[str, object], why: str
) -> None:
    used = [Used("r1/1/train", START - HOUR, START)]
    allowance = Allowance.model_validate({"name": "training", **limits})
    no = denied(allowance, "s", used, "r2/1/train", START)
    assert no is not None
    assert no.why == why
