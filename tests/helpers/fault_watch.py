"""Showing how far `make faults` is, and ending what it leaves behind."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

MARK = "WAYSTAGE_FAULTS_RUN"  # in the environment of all that a run starts
COLLECTED = re.compile(r"\bcollected (\d+) items?(?: / (\d+) deselected)?")
ENDED = re.compile(r"(?:^|\s)(PASSED|FAILED|SKIPPED|ERROR|XFAIL|XPASS)\b.*\[ *\d+%\]$")
NAMED = re.compile(r"^tests/\S+::(\S+)")
INSIDE = re.compile(r"^ {4}(.+: [\d,]+ of [\d,]+ after \d+ s)$")


def shown(lines: Iterable[str]) -> None:
    """Show what pytest says: as it is in a file, as a bar and what failed on a terminal."""
    if not sys.stdout.isatty():
        for line in lines:
            print(line, end="", flush=True)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.table import Column

    where = TextColumn("{task.fields[at]}", table_column=Column(ratio=1, no_wrap=True))
    counted = (MofNCompleteColumn(Column(no_wrap=True)), TimeElapsedColumn(Column(no_wrap=True)))
    with Progress(BarColumn(20), *counted, where, expand=True) as progress:
        bar = progress.add_task("", total=None, at="")
        for total, ended, at, line in steps(lines):
            progress.update(bar, total=total, completed=ended, at=at)
            if line:
                progress.console.print(line, markup=False, highlight=False)


def steps(lines: Iterable[str]) -> Iterator[tuple[int | None, int, str, str]]:
    """Read what pytest says; gives how many tests there are, have ended, where it is, what to say.

    What it says of single tests is said when they did not pass; what it says in the end always.
    """
    total, ended, name, inside = None, 0, "", ""
    for line in (each.rstrip("\n") for each in lines):
        said = ""
        if found := COLLECTED.search(line):
            total = int(found[1]) - int(found[2] or 0)
        elif found := INSIDE.match(line):
            inside = found[1]
        elif found := ENDED.search(line):
            name, inside = (NAMED.match(line) or [name, name])[1], ""
            ended += 1
            said = "" if found[1] == "PASSED" else f"{found[1]} {name}"
        elif found := NAMED.match(line):
            name, inside = found[1], ""
        elif total is not None:
            said = line
        yield total, ended, inside or name, said


def end_left_over(mark: str) -> list[str]:
    """Kill what still runs of what was started with the mark; gives what it was."""
    ended = []
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"{MARK}={mark}".encode() not in (place / "environ").read_bytes().split(b"\0"):
                continue
            words = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            os.kill(int(place.name), signal.SIGKILL)
            ended.append(f"{place.name} {words.strip()[:100]}")
    return ended
