"""Messages as lines of a file, for machines without anything else and for demonstrations."""

from __future__ import annotations

import fcntl
import json
import logging
import mmap
import os
from typing import BinaryIO, ClassVar

from pydantic import Field

from waystage.plugin import Message, Notifier, Services

LEVELS = {"info": logging.INFO, "warn": logging.WARNING, "alarm": logging.ERROR}


class LogNotifier(Notifier):
    """Append each message as one line of JSON to a file, and tell it in the daemon's log.

        - use: log
          with: {path: messages.jsonl}

    `path` starts at the project; without it the file is `messages.jsonl` in the daemon's
    directory. In the file all but ASCII is escaped, so that no text can pass for another line.
    """

    use: ClassVar[str] = "log"
    path: str | None = Field(default=None, min_length=1, max_length=4096)

    def send(self, ctx: Services, message: Message, *, key: str) -> str:
        """Append durably unless a line with this key is there; answer the key."""
        place = ctx.project / self.path if self.path else ctx.state / "messages.jsonl"
        line = json.dumps({"key": key, **message.model_dump(mode="json")})
        with place.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if _holds(file, f'{{"key": {json.dumps(key)}, '.encode()):
                return key
            _end_torn_line(file)
            file.write(line.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        about = {"run": message.run} if message.run else {}
        ctx.log.log(LEVELS[message.level], "%s", _told(message), extra=about)
        return key


def _told(message: Message) -> str:
    """Write a message for who reads the daemon's log: in one line, and as no other line."""
    about = ", ".join(filter(None, (message.service, message.run and f"run {message.run}")))
    text = f"message: {message.title}{f' ({about})' if about else ''}: {message.text}"
    return "".join(each if each.isprintable() else " " for each in text)


def _holds(file: BinaryIO, start: bytes) -> bool:
    """Whether a complete line starts so."""
    if os.fstat(file.fileno()).st_size == 0:
        return False
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        at = 0 if content[: len(start)] == start else content.find(b"\n" + start)
        return at >= 0 and content.find(b"\n", at + 1) >= 0


def _end_torn_line(file: BinaryIO) -> None:
    """Put what a crash left unfinished on a line of its own."""
    if file.seek(0, os.SEEK_END) == 0:
        return
    file.seek(-1, os.SEEK_END)
    if file.read(1) != b"\n":
        file.write(b"\n")
