"""A paused run takes no step; what happens meanwhile is kept, in order, until it goes on."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from walking import NOW, definition, fresh

from waystage.kernel import Event, Run, advance, events
from waystage.kernel import commands as c
from waystage.kernel.commands import Command
from waystage.kernel.replay import rebuild

TEXT = """
lifecycle: l
services: [s]
initial: work
states:
  work:
    steps: [{use: a.one}, {use: a.two}]
    next: {done: rest, refused: over}
  rest:
    timers: {tick: {every: PT1H}, late: {after: PT5H}}
    signals: [stop]
    next: {tick: rest, late: work, stop: over}
  over: {final: true}
"""
L = definition(TEXT)
PAUSE = events.pause("look first", "otto")
RESUME = events.resume("fine", "olga")


class Told:
    """A run, what it was told, and what it ordered last."""

    def __init__(self) -> None:
        self.run: Run = fresh(L)
        self.events: list[Event] = []
        self.orders: list[Command] = []
        self.said: list[str] = []
        self.tell(events.start("dana", self.run.to_json()))

    def tell(self, *given: Event) -> None:
        for event in given:
            step = advance(L, self.run, event, NOW)
            self.run, self.orders = step.run, list(step.commands)
            self.said = [record.what for record in step.records]
            self.events.append(event)


def test_an_answer_to_a_paused_run_starts_no_step_until_it_goes_on() -> None:
    told = Told()
    told.tell(PAUSE)
    assert told.orders == [c.HoldWork("otto", "look first")]
    told.tell(events.step_done("work", 1, 0, {"x": 1}))
    assert (told.orders, told.said) == ([], ["held"])
    assert told.run.activities["work"]["index"] == 0
    told.tell(RESUME)
    assert [type(each) for each in told.orders] == [c.LetWorkGo, c.DropWork, c.StartStep]
    assert told.run.activities["work"]["index"] == 1
    assert (told.run.paused, told.run.held) == ({}, [])


def test_timers_that_come_due_wait_and_a_recurring_one_is_set_once_more() -> None:
    told = Told()
    told.tell(events.step_done("work", 1, 0, {}), events.step_done("work", 1, 1, {}), PAUSE)
    due = NOW.isoformat()
    told.tell(events.timer_fired("rest", 2, "tick", due))
    assert (told.orders, told.run.places) == ([], ["rest"])
    told.tell(RESUME)
    again = [each for each in told.orders if isinstance(each, c.SetTimer) and each.name == "tick"]
    assert [each.due for each in again if each.due] in ([], [NOW + timedelta(hours=1)])
    assert told.run.entered["rest"] == 3


def test_pausing_twice_and_resuming_what_is_not_paused_moves_nothing() -> None:
    told = Told()
    told.tell(RESUME)
    assert told.said == ["ignored"]
    told.tell(PAUSE, PAUSE)
    assert (told.said, told.orders) == (["ignored"], [])


def test_a_paused_run_can_be_ended_and_keeps_nothing() -> None:
    told = Told()
    told.tell(PAUSE, events.step_done("work", 1, 0, {}))
    told.tell(events.repair("abort", "work", {"reason": "enough"}, "otto"))
    assert told.run.status == "ended"
    assert c.LetWorkGo("otto") in told.orders
    assert (told.run.paused, told.run.held) == ({}, [])


def test_what_comes_after_the_end_that_a_kept_event_brought_is_ignored() -> None:
    told = Told()
    told.tell(PAUSE, events.step_refused("work", 1, 0, "no", {}), events.signal("stop", {}), RESUME)
    assert told.run.status == "ended"
    assert told.said[-1] == "ignored"


EVENTS = st.sampled_from([
    PAUSE, RESUME, events.signal("stop", {}),
    *(events.step_done("work", entry, index, {"n": entry}) for entry in (1, 3) for index in (0, 1)),
    *(events.step_failed("work", entry, 0, "x") for entry in (1, 3)),
    *(events.timer_fired("rest", entry, name) for entry in (2, 3) for name in ("tick", "late")),
])  # fmt: skip


@given(st.lists(EVENTS, max_size=14))
def test_a_paused_run_orders_nothing_and_history_rebuilds_it(some: list[Event]) -> None:
    told = Told()
    for event in some:
        was = bool(told.run.paused)
        told.tell(event)
        if was and told.run.paused:
            assert told.orders == []
        assert told.run.revision == len(told.events)
    again = rebuild(L, [(event, NOW) for event in told.events])
    assert again.to_json() == told.run.to_json()
    assert Run.from_json(told.run.to_json()) == told.run


@given(st.lists(EVENTS.filter(lambda e: e.kind not in ("pause", "resume")), max_size=10))
def test_a_pause_changes_nothing_but_the_time(some: list[Event]) -> None:
    calm, held = Told(), Told()
    calm.tell(*some)
    held.tell(PAUSE, *some, RESUME)
    left_out = {"revision", "hops"}
    one = {k: v for k, v in calm.run.to_json().items() if k not in left_out}
    other = {k: v for k, v in held.run.to_json().items() if k not in left_out}
    assert one == other
