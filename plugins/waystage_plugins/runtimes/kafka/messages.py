"""Messages as values: a request and its rows, an answer, and what is refused and why."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from waystage.plugin import Snapshot
from waystage_plugins.runtimes.serving import protocol
from waystage_plugins.runtimes.serving.config import PROBE_HEADER
from waystage_plugins.runtimes.serving.protocol import Problem, Rows, Scores
from waystage_plugins.runtimes.serving.scores import row_ids

REQUEST_HEADER = "X-Request-Id"
SNAPSHOT_HEADER = "X-Waystage-Snapshot"
REASON_HEADER = "X-Waystage-Reason"
SOURCE_HEADER = "X-Waystage-Source"
OURS = frozenset(
    name.lower() for name in (REQUEST_HEADER, SNAPSHOT_HEADER, REASON_HEADER, SOURCE_HEADER)
)
MOST_BYTES, MOST_ROWS = 1 << 20, 10_000
Headers = list[tuple[str, str | bytes | None]]


class Message(Protocol):
    """What is read of a message of the client library."""

    def topic(self) -> str | None: ...
    def partition(self) -> int | None: ...
    def offset(self) -> int | None: ...
    def key(self) -> Any: ...
    def value(self) -> Any: ...
    def headers(self) -> Any: ...


@dataclass(frozen=True)
class Request:
    """What a message asks; `body` is None where the message is one row by itself."""

    message: Message
    request_id: str
    ids: list[str]
    rows: Rows
    body: dict[str, Any] | None


@dataclass(frozen=True)
class Outgoing:
    """A message to be written. `instead` goes out where the brokers find it too large."""

    topic: str
    key: Any
    value: bytes | None
    headers: Headers
    instead: Outgoing | None = None


class Poison(Exception):  # a request that no try will answer; the text says why
    """What can never be scored."""


def header(message: Message, name: str) -> str | None:
    """Give the last header of that name, whatever its case; None if it is no text."""
    for given, value in reversed(message.headers() or []):
        if given.lower() == name.lower() and isinstance(value, bytes):
            return value.decode(errors="replace")
    return None


def place(message: Message) -> str:
    """Name a message by where it lies: it is called so again when it is read again."""
    return f"{message.topic()}/{message.partition()}/{message.offset()}"


def probe_of(message: Message) -> str | None:
    """Give `role/number` of whom a probe is for; None if it is none."""
    return header(message, PROBE_HEADER)


def read_request(message: Message, columns: Sequence[str]) -> Request:
    """Read what a message asks; raises `Poison`."""
    given = header(message, REQUEST_HEADER)
    try:
        body, rows = _body(message.value(), columns)
        own = protocol.take_ids(rows, columns)
        ids = row_ids(given or place(message), own)
    except (Problem, ValueError) as error:
        raise Poison(str(error)) from error
    return Request(message, ids[0] if len(ids) == 1 else given or place(message), ids, rows, body)


def answer(request: Request, scores: Scores, topic: str, snapshot: Snapshot) -> Outgoing:
    """Give the message that answers a request, with the headers and the key that it came with."""
    shaped = protocol.answer("predict", request.body or {"instances": request.rows}, scores)
    if request.body is None:
        (shaped,) = shaped["predictions"]
    told = {"request_id": request.request_id, **shaped, "snapshot": snapshot.id,
            "digest": snapshot.digest}  # fmt: skip
    more: Headers = [(REQUEST_HEADER, request.request_id), (SNAPSHOT_HEADER, snapshot.id)]
    reason = "the answer is larger than the brokers take"
    return Outgoing(
        topic,
        request.message.key(),
        json.dumps(told, allow_nan=False).encode(),
        _headers(request.message, more),
        instead=refusal(request.message, reason, topic),
    )


def refusal(message: Message, reason: str, topic: str) -> Outgoing:
    """Give the message that answers what cannot be scored."""
    name = header(message, REQUEST_HEADER) or place(message)
    value = json.dumps({"request_id": name, "error": reason}).encode()
    more: Headers = [(REQUEST_HEADER, name), (REASON_HEADER, reason)]
    return Outgoing(topic, message.key(), value, _headers(message, more))


def dead_letter(message: Message, reason: str, topic: str) -> Outgoing:
    """Give the message as it came, with why it was refused and where it lay."""
    more: Headers = [(REASON_HEADER, reason), (SOURCE_HEADER, place(message))]
    if given := header(message, REQUEST_HEADER):
        more.append((REQUEST_HEADER, given))
    headers = _headers(message, more)
    bare = Outgoing(topic, message.key(), None, headers)
    return Outgoing(topic, message.key(), message.value(), headers, instead=bare)


def _headers(message: Message, more: Headers) -> Headers:
    """Hand on what a request brought (correlation, traces), with ours instead of theirs."""
    kept: Headers = [
        (name, value) for name, value in message.headers() or [] if name.lower() not in OURS
    ]
    return [*kept, *((name, _header_text(value)) for name, value in more)]


def _header_text(value: str | bytes | None) -> str | bytes | None:
    return value[:1000] if isinstance(value, str) else value


def _body(value: Any, columns: Sequence[str]) -> tuple[dict[str, Any] | None, Rows]:
    if value is None:
        raise Poison("the message is empty")
    if len(value) > MOST_BYTES:
        raise Poison(f"the message has more than {MOST_BYTES} bytes")
    body = protocol.read_body(value)
    if not _is_body(body, columns):
        return None, [body]
    rows = protocol.read_rows("predict", body, columns)
    if len(rows) > MOST_ROWS:
        raise Poison(f"the message has {len(rows)} rows, more than {MOST_ROWS}")
    return body, rows


def _is_body(body: Mapping[str, Any], columns: Sequence[str]) -> bool:
    return any(key in body and key not in columns for key in ("instances", "inputs"))
