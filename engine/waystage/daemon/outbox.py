"""The engine's own messages: written with the event, sent until the receiver has them."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from waystage.daemon.calls import rest_after
from waystage.daemon.crash import crash_point
from waystage.daemon.masks import Masks
from waystage.daemon.meter import about
from waystage.errors import Hopeless
from waystage.plugin import Message
from waystage.retry import RetryPolicy, next_try
from waystage.store import rare
from waystage.store.codec import instant, load_row, micros

if TYPE_CHECKING:
    from waystage.daemon.connections import Connections
    from waystage.daemon.engine import Engine
    from waystage.daemon.transaction import Transaction
    from waystage.store.turns import Turn

log = logging.getLogger("waystage.daemon")
POLICY = RetryPolicy(tries=10_000, first=timedelta(seconds=5), cap=timedelta(minutes=10))


def send_due(engine: Engine, connections: Connections) -> int:
    """Send the messages that are due, the oldest first; answer how many went out."""
    if not engine.store.due_messages(micros(engine.clock.now()), 1):
        return 0
    with engine.turn("outbox") as turn:  # one daemon sends at a time, so they stay in order
        found = engine.store.due_messages(micros(engine.clock.now()), 50) if turn else []
        sent, held = 0, set()
        for row in found:
            if turn is None or engine.ends or not turn.renew():
                break  # it hung, and another daemon sends meanwhile
            if row.run in held:
                continue  # what this run said before must come first
            error = _send(engine, connections, row, turn)
            if error is None:
                sent += 1
            elif rest_after(error):
                break  # of all that it is sent
            elif row.run:
                held.add(row.run)
        return sent


def _send(engine: Engine, connections: Connections, row: Any, turn: Turn) -> Exception | None:
    """Send one message and note how it went; gives what went wrong."""
    body, channel = load_row(row.body), connections.files.project.spec.notify_channel
    if channel is None:
        log.warning("%s: %s", body["title"], body["text"], extra=about(row.run))
        _note(engine, row.id, turn, sent_at=micros(engine.clock.now()))
        return None
    try:
        crash_point("before-send")
        connections.notifier(channel).send(connections, _message(body), key=row.key)
        crash_point("after-send")
    except Exception as error:  # noqa: BLE001  # a notifier may raise anything; the message stays
        _failed(engine, row, turn, error, connections.masks)
        return error
    _note(engine, row.id, turn, sent_at=micros(engine.clock.now()), error="")
    return None


def _failed(engine: Engine, row: Any, turn: Turn, error: Exception, masks: Masks) -> None:
    log.warning("message %s was not delivered: %s", row.key, error, extra=about(row.run))
    now, tries = engine.clock.now(), row.tries + 1
    # even a hopeless message stays: the channel's settings may be mended
    attempt = max(tries, 8) if isinstance(error, Hopeless) else tries
    rest = rest_after(error)
    due = next_try(
        POLICY, key=row.key, attempt=attempt, started=instant(row.due_at), now=now, after=rest
    )
    values = {"tries": tries, "error": masks.cover(str(error)), "due_at": micros(due or now)}
    _note(engine, row.id, turn, rests_until=micros(now + rest) if rest else None, **values)


def _note(
    engine: Engine, number: int, turn: Turn, *, rests_until: int | None = None, **values: Any
) -> None:
    """Write how the sending went, unless another daemon has the turn by now.

    Nothing at all is sent before `rests_until` (µs): the receiver asked for it.
    """

    def write(tx: Transaction) -> None:
        if not turn.holds(tx.connection):
            return
        tx.batch.rest.append(rare.note_message(number, **values))
        if rests_until is not None:
            tx.batch.rest.append(rare.rest_messages(rests_until))

    engine.act(write).result(timeout=60)


def _message(body: dict[str, Any]) -> Message:
    return Message(
        title=body["title"], text=body["text"], service=body["service"], run=body["run"],
        level=body["level"], at=datetime.fromisoformat(body["at"]),
    )  # fmt: skip
