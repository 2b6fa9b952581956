"""Ticks that were missed, that come while work goes on, and the tick after."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waystage.errors import Invalid
from waystage.kernel import Definition, Run, advance, compile_lifecycle, events
from waystage.kernel import commands as c
from waystage.kernel.advance import Step
from waystage.spec.load import parse_lifecycle

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TEXT = """
lifecycle: ticking
services: [s]
initial: live
states:
  live:
    initial: rest
    timers: {tick: {every: PT1H, misfire: MISFIRE}}
    states:
      rest: {}
      look:
        steps: [{use: a.look}]
        next: {done: rest, refused: rest}
    next: {tick: live.look}
"""


def definition(misfire: str = "once", text: str = TEXT) -> Definition:
    loaded = parse_lifecycle(text.replace("MISFIRE", misfire))
    return compile_lifecycle(loaded.spec, loaded.digest)


def opened(d: Definition) -> Step:
    return advance(d, Run("s-1", "ticking", d.hash, "s", {}, {}), events.start(), NOW)


def tick(d: Definition, step: Step, due: datetime, now: datetime) -> Step:
    entry = step.run.entered["live"]
    return advance(d, step.run, events.timer_fired("live", entry, "tick", due.isoformat()), now)


def set_timers(step: Step) -> list[datetime | None]:
    return [o.due for o in step.commands if isinstance(o, c.SetTimer)]


@pytest.mark.parametrize(("misfire", "place"), [("once", "live.look"), ("skip", "live.rest")])
def test_a_missed_tick_is_made_up_for_once_or_not_at_all(misfire, place):
    d = definition(misfire)
    late = tick(d, opened(d), NOW + timedelta(hours=1), NOW + timedelta(hours=5))
    assert late.run.places == [place]
    assert (late.records[0].what == "missed") == (misfire == "skip")
    assert set_timers(late) == [NOW + timedelta(hours=6)]


def test_a_tick_in_time_fires_whatever_misfire_says():
    d = definition("skip")
    due = NOW + timedelta(hours=1)
    assert tick(d, opened(d), due, due + timedelta(seconds=59)).run.places == ["live.look"]


def test_a_tick_that_comes_while_its_work_goes_on_is_skipped_and_says_so():
    d = definition()
    step = tick(d, opened(d), NOW, NOW)
    entry = step.run.entered["live.look"]
    again = tick(d, step, NOW + timedelta(hours=1), NOW + timedelta(hours=1))
    assert again.run.entered["live.look"] == entry
    assert again.records[0].to_json() == ["skipped", "live.look", "tick", "it is still at work"]
    assert not any(isinstance(o, c.StartStep | c.DropWork) for o in again.commands)
    assert set_timers(again)
    done = advance(d, again.run, events.step_done("live.look", entry, 0, {}), NOW)
    assert done.run.places == ["live.rest"]
    third = tick(d, done, NOW + timedelta(hours=2), NOW + timedelta(hours=2))
    assert third.run.places == ["live.look"]


def test_a_single_delay_may_interrupt_what_it_leads_to():
    text = TEXT.replace("{every: PT1H, misfire: MISFIRE}", "{after: PT1H}").replace(
        "initial: rest", "initial: look"
    )
    d = definition(text=text)
    step = opened(d)
    again = tick(d, step, NOW, NOW)
    assert again.run.entered["live.look"] > step.run.entered["live.look"]


def test_skip_is_refused_where_nothing_would_ever_fire():
    with pytest.raises(Invalid, match="might never fire"):
        definition(text=TEXT.replace("every: PT1H, misfire: MISFIRE", "after: PT1H, misfire: skip"))


@given(st.integers(0, 100_000))
def test_an_interval_is_counted_from_tick_to_tick_and_always_ahead(seconds):
    d = definition()
    due, now = NOW + timedelta(hours=1), NOW + timedelta(hours=1, seconds=seconds)
    (following,) = set_timers(tick(d, opened(d), due, now))
    assert following is not None
    assert now < following <= now + timedelta(hours=1)
    assert (following - due) % timedelta(hours=1) == timedelta()
