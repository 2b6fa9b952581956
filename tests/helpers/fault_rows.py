"""Rows of docs/reliability.md: which fault was tried how often, and what went wrong.

A test says them by the fixture `record`; rows of the same fault, promise and way are added up.
`WAYSTAGE_FAULTS=all` asks for the full numbers, as
`make faults` does; otherwise a test takes the small part that fits between the other tests.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
FULL = os.environ.get("WAYSTAGE_FAULTS") == "all"
FILE = os.environ.get("WAYSTAGE_FAULTS_FILE", "")  # rows are appended here, one JSON a line
TELL_SECONDS = 5.0


@dataclass(frozen=True)
class Row:
    """One fault, as a reader wants to know it."""

    test: str
    fault: str
    promise: str
    tried: int
    wrong: int
    how: str
    caught: str  # what the same check said of a planted bug; one test of a fault must say it


def scaled(*, full: int, part: int) -> int:
    """Give how often to try: `full` for `make faults`, `part` for `make test`."""
    return full if FULL else part


def recorder(test: str) -> Callable[..., None]:
    """Give what a test tells its rows with; a wrong one fails the test after it was told."""

    def record(
        *, fault: str, promise: str, tried: int, wrong: int, how: str, caught: str = ""
    ) -> None:
        row = Row(test, fault, promise, tried, wrong, how, caught)
        if FILE:
            with Path(FILE).open("a") as file:
                file.write(json.dumps(asdict(row)) + "\n")
        assert tried > 0 or caught, f"{fault}: nothing was tried"
        assert wrong == 0, f"{fault}: {wrong} of {tried} went wrong"

    return record


def told(
    things: Iterable[T], of: int, name: str, tell: Callable[[str], object] | None
) -> Iterator[T]:
    """Give the things and say now and then how far one is."""
    began = said = time.monotonic()
    for number, thing in enumerate(things, 1):
        yield thing
        now = time.monotonic()
        if tell is not None and now - said > TELL_SECONDS:
            said = now
            tell(f"    {name}: {number:,} of {of:,} after {now - began:.0f} s")
