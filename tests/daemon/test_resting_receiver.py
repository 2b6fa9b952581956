"""A receiver of messages that asks to be left alone for a while is left alone."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from waystage.daemon import outbox
from waystage.daemon.masks import Masks
from waystage.errors import Hopeless, Retryable
from waystage.spec.load import parse_project

BREAKS = """
lifecycle: breaks
services: [s]
initial: a
states:
  a: {steps: [{use: test.act, with: {do: it}}], next: end}
  end: {final: true}
"""
PROJECT = "project: p\nnotify_channel: chat\nchannels: {chat: {use: log}}\n"
RUNS = 3


class Chat:
    """A channel that answers what was planned, and then takes everything."""

    def __init__(self) -> None:
        self.planned: list[Exception] = []
        self.asked: list[str] = []
        self.taken: list[str] = []
        self.masks = Masks()
        self.files = SimpleNamespace(project=parse_project(PROJECT))

    def notifier(self, _: str) -> Chat:
        return self

    def send(self, _: Any, message: Any, *, key: str) -> str:
        self.asked.append(key)
        if self.planned:
            raise self.planned.pop(0)
        self.taken.append(message.run)
        return key


@pytest.fixture
def told(bench):
    """Three runs that are parked, each with a message to tell."""
    bench.play.answers["it"] = [Hopeless("it cannot be done") for _ in range(RUNS)]
    definition = bench.lifecycle(BREAKS)
    runs = [bench.open(definition, f"k{number}") for number in range(RUNS)]
    bench.settle()
    return runs


def send(bench, chat: Chat, *, after: float) -> None:
    bench.turn(timedelta(seconds=after))
    outbox.send_due(bench.engine, chat)


def test_one_refusal_is_enough_until_the_time_that_it_asks_for_is_over(bench, told):
    chat = Chat()
    chat.planned = [Retryable("hooks.example answered 429", after=timedelta(minutes=5))]
    for seconds in (0, 100, 199):
        send(bench, chat, after=seconds)
        assert (len(chat.asked), chat.taken) == (1, [])
    send(bench, chat, after=1)
    assert sorted(chat.taken) == sorted(told)
    assert len(chat.asked) == 1 + RUNS


def test_what_is_said_meanwhile_asks_again_and_waits_as_well(bench, told):
    chat = Chat()
    chat.planned = [Retryable("429", after=timedelta(minutes=n)) for n in (5, 5)]
    send(bench, chat, after=0)
    bench.play.answers["it"] = [Hopeless("it cannot be done either")]
    newer = bench.open(bench.lifecycle(BREAKS), "newer")
    bench.settle()
    for seconds in (1, 1, 298):
        send(bench, chat, after=seconds)
        assert (len(chat.asked), chat.taken) == (2, []), "the first five minutes count no more"
    send(bench, chat, after=1)
    assert sorted(chat.taken) == sorted([*told, newer])


def test_a_receiver_that_asks_for_a_year_is_asked_after_ten_minutes(bench, told):
    chat = Chat()
    chat.planned = [Retryable("503", after=timedelta(days=365))]
    send(bench, chat, after=0)
    send(bench, chat, after=599)
    assert len(chat.asked) == 1
    send(bench, chat, after=1)
    assert sorted(chat.taken) == sorted(told)


def test_a_receiver_that_only_fails_is_asked_for_each_run(bench, told):
    chat = Chat()
    chat.planned = [Retryable("500") for _ in range(RUNS)]
    send(bench, chat, after=0)
    assert len(chat.asked) == RUNS
    send(bench, chat, after=5)
    assert sorted(chat.taken) == sorted(told)
