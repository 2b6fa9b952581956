"""The secrets that this daemon has looked up, so that no text tells them."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

SHORTEST = 6  # what is shorter is found in harmless words, and no secret
COVER = "•••"


class Masks:
    """Finds and covers secrets in texts; filled as secrets are looked up."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self._pattern: re.Pattern[str] | None = None

    def __bool__(self) -> bool:
        return self._pattern is not None

    def add(self, secret: str, name: str = "") -> None:
        """Cover this text from now on, also as a URL or JSON would write it."""
        if secret in self._texts:
            return
        forms = {secret, quote(secret, safe=""), json.dumps(secret)[1:-1], repr(secret)[1:-1]}
        forms |= {line.strip() for line in secret.splitlines()}  # keys have lines
        new = {form: name for form in forms if len(form) >= SHORTEST and form not in self._texts}
        if new:
            self._texts = self._texts | new
            longest_first = sorted(self._texts, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(re.escape, longest_first)))

    def cover(self, text: str) -> str:
        """Give the text without secrets."""
        return text if self._pattern is None else self._pattern.sub(COVER, text)

    def found_in(self, value: Any) -> str | None:
        """Give the name of a secret that the value tells, or None."""
        if self._pattern is not None:
            for text in _texts(value):
                if match := self._pattern.search(text):
                    return self._texts[match[0]] or "a secret"
        return None

    def over_logs(self) -> Callable[[], None]:
        """Cover secrets in what every handler of the log writes, until the answer is called."""
        added, handlers = _Cover(self), list(logging.getLogger().handlers)
        for handler in handlers:
            handler.addFilter(added)

        def end() -> None:
            for handler in handlers:
                handler.removeFilter(added)

        return end


def nothing() -> None:
    """Cover nothing, so end nothing."""


class _Cover(logging.Filter):
    def __init__(self, masks: Masks) -> None:
        super().__init__()
        self._masks = masks

    def filter(self, record: logging.LogRecord) -> bool:
        if self._masks:
            record.msg, record.args = self._masks.cover(_message(record)), None
            if record.exc_info and not record.exc_text:
                record.exc_text = logging.Formatter().formatException(record.exc_info)
            if record.exc_text:
                record.exc_text = self._masks.cover(record.exc_text)
        return True


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError):  # arguments that do not fit their text
        return f"{record.msg} {record.args}"


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield str(key)
            yield from _texts(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _texts(part)
