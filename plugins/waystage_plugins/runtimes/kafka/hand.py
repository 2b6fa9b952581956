"""What a lane has in hand, on disk: how its next life knows which request ended this one."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

from waystage_plugins.runtimes.files import read_json
from waystage_plugins.runtimes.kafka.messages import Message, place
from waystage_plugins.runtimes.kafka.turns import Turns

MOST_ENDS = 3  # as steps that end their daemon: then it is poison
Spans = dict[str, list[int]]  # partition to its first and last message


class Hand:
    """Notes what is being scored, so that a request that kills the process kills it for a while.

    A file is written before requests are scored and after; nothing waits for the disk, since a
    process that dies leaves what it wrote to the system. What a dead process had in hand is
    scored one by one by the next, while the other lane of the process scores nothing: so the first
    end may be the other lane's fault, every later one is not. The request that ends it `MOST_ENDS`
    times is not scored again. A shape of the file that cannot be read counts as nothing in hand.
    """

    def __init__(self, file: Path, where: str, turns: Turns) -> None:
        self._where = where  # topics and group: what was noted of others says nothing
        self._turns = turns
        told = read_json(file) if file.exists() else {}
        mine = told if told.get("where") == where else {}
        self._spans: Spans = dict(mine.get("spans", {}))
        self._ends: dict[str, int] = dict(mine.get("ends", {}))
        self._version = 0
        self._file = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._length = os.fstat(self._file).st_size

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)

    def portions(self, version: int, messages: Sequence[Message]) -> Iterator[list[Message]]:
        """Give messages as they are to be scored: together, but one by one what may kill."""
        self._version = version  # another model may bear what ended the one before
        for alone, some in groupby(messages, self._is_suspect):
            if alone:
                yield from ([each] for each in some)
            else:
                yield list(some)

    def refuses(self, messages: Sequence[Message]) -> str:
        """Say why a message is not scored any more; empty for all others."""
        times = self._times(messages[0]) if len(messages) == 1 else 0
        return f"it ended the scorer {times} times" if times >= MOST_ENDS else ""

    @contextmanager
    def holding(self, messages: Sequence[Message]) -> Iterator[None]:
        """Have these in hand while they are scored; waits for its turn first."""
        with self._turns.taken(alone=any(map(self._is_suspect, messages))):
            self._hold(messages)
            try:
                yield
            finally:  # also when scoring raised: what can tell an error does not kill
                self._release(messages)

    def forget(self, messages: Sequence[Message]) -> None:
        """Drop what is known of these: they are done with."""
        if self._spans or self._ends:
            self._release(messages)

    def _hold(self, messages: Sequence[Message]) -> None:
        if len(messages) == 1:
            self._ends[self._name(messages[0])] = self._times(messages[0]) + 1
        spans = {number: list(span) for number, span in self._spans.items()}
        for message in messages:
            at, number = message.offset() or 0, str(message.partition() or 0)
            first, last = spans.get(number, (at, at))
            spans[number] = [min(first, at), max(last, at)]
        self._write(spans)

    def _release(self, messages: Sequence[Message]) -> None:
        for message in messages:
            for name in [each for each in self._ends if each.endswith(f" {place(message)}")]:
                del self._ends[name]
            number, at = str(message.partition() or 0), message.offset() or 0
            if number in self._spans:
                self._spans[number][0] = max(self._spans[number][0], at + 1)
                if self._spans[number][0] > self._spans[number][1]:
                    del self._spans[number]
        self._write(self._spans)

    def _is_suspect(self, message: Message) -> bool:
        first, last = self._spans.get(str(message.partition() or 0), (0, -1))
        # once it was set aside, later ones may have ended the span before it comes back
        return first <= (message.offset() or 0) <= last or self._name(message) in self._ends

    def _times(self, message: Message) -> int:
        return self._ends.get(self._name(message), int(self._is_suspect(message)))

    def _name(self, message: Message) -> str:
        return f"{self._version} {place(message)}"

    def _write(self, spans: Spans) -> None:
        told = {"where": self._where, "spans": spans, "ends": self._ends}
        # as long as what was there: one call writes all of it, so no kill leaves half of both
        text = json.dumps(told).encode().ljust(self._length)
        self._length = len(text)
        os.pwrite(self._file, text, 0)
