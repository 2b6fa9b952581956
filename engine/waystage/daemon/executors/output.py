"""What a step's process prints: into the log, a limited number of lines, without secrets."""

from __future__ import annotations

import logging
from collections.abc import Callable

MOST_LINES = 200  # of one call; the rest is counted
LONGEST_LINE = 2000


class Output:
    """Takes bytes as they come and writes whole lines to the log."""

    def __init__(self, log: logging.Logger, name: str, cover: Callable[[str], str]) -> None:
        self._log, self._name, self._cover = log, name, cover
        self._begun = b""
        self._lines = self._left_out = 0
        self.last = ""

    def take(self, printed: bytes) -> None:
        """Take what was printed; a line that has no end yet waits for it."""
        *lines, rest = (self._begun + printed).split(b"\n", MOST_LINES)
        if self.flooded:
            self._left_out += printed.count(b"\n")
            self._begun = printed.rpartition(b"\n")[2][: 4 * LONGEST_LINE]
            return
        for line in lines:
            self._line(line)
        self._left_out += rest.count(b"\n")
        # a line that never ends is kept at its beginning
        self._begun = rest.rpartition(b"\n")[2][: 4 * LONGEST_LINE]

    @property
    def flooded(self) -> bool:
        """Say whether lines are only counted any more."""
        return self._lines > MOST_LINES

    def say(self, level: int, text: str) -> None:
        """Write a line; past the limit it is only counted."""
        text = self._cover(text)
        self.last = text[:LONGEST_LINE]
        self._lines += 1
        if self._lines > MOST_LINES:
            self._left_out += 1
            return
        self._log.log(level, "%s: %s", self._name, self.last)

    def end(self) -> None:
        """Write what is left, and how many lines were not written."""
        if self._begun:
            self._line(self._begun)
            self._begun = b""
        if self._left_out:
            self._log.warning("%s: and %s more lines", self._name, f"{self._left_out:,}")

    def _line(self, line: bytes) -> None:
        text = line.decode("utf-8", "backslashreplace").rstrip()
        if text:
            self.say(logging.INFO, "".join(c if c.isprintable() else " " for c in text))
