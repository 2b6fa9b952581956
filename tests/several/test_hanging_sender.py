"""A daemon that hangs while it sends messages: another one sends, and nothing stale is noted."""

from __future__ import annotations

import signal

import pytest
from side_by_side import marks, until
from sqlalchemy import select

from waystage.store import Store
from waystage.store import schema as t

BREAKS = """
lifecycle: breaks
services: [s]
initial: a
states:
  a: {steps: [{use: side.act, with: {fail: true}}], next: end}
  end: {final: true}
"""


@pytest.mark.slow
def test_messages_are_sent_by_another_daemon_when_the_sender_hangs(start, postgres_url, effects):
    hanging = start(postgres_url, {"breaks": BREAKS}, lease=2).up()
    tell = effects.with_name("tell")
    tell.touch()
    runs = [hanging.open(f"k{n}", "breaks").json()["run"] for n in range(5)]
    until(lambda: any(line.startswith("+ message") for line in marks(effects)))
    until(lambda: len(hanging.get("incidents")) == 5)
    hanging.tell(signal.SIGSTOP)
    tell.unlink()
    other = start(postgres_url, {"breaks": BREAKS}, lease=2).up()
    until(lambda: len(sent(effects, other)) == 5)  # a lease of two seconds, and not for ever
    hanging.tell(signal.SIGCONT)
    until(lambda: sent(effects, hanging))
    hanging.tell(signal.SIGTERM)
    assert hanging.ended() == 0
    assert len(sent(effects, hanging)) == 1, "only what was on its way when it hung; same key"
    assert sorted(sent(effects, other)) == sorted(f"message/{run}" for run in runs)
    assert noted(postgres_url) == [(0, True)] * 5, "each is noted once, as sent, after no failure"


def sent(effects, side) -> list[str]:
    pid = str(side.process.pid)
    lines = [line.split() for line in marks(effects)]
    return [key for sign, key, by in lines if sign == "=" and by == pid and "message/" in key]


def noted(url: str) -> list[tuple[int, bool]]:
    store = Store(url)
    with store.reading() as connection:
        rows = connection.execute(select(t.outbox.c.tries, t.outbox.c.sent_at)).all()
    store.close()
    return [(tries, sent_at is not None) for tries, sent_at in rows]
