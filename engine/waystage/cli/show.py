"""Showing results: tables for people, JSON for programs."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

UNLIMITED = 100_000  # columns
NARROW = 60  # columns: a table that would break words there is written line by line
BETWEEN = 3  # columns between two of a table's
SHORT = 16  # columns: a cell that is not broken if there is room, as 2026-03-01 10:00

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def emit_json(value: Any) -> None:
    """Print one JSON value."""
    click.echo(json.dumps(value, indent=1, default=str))


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table that fits the terminal, or one line when it is empty.

    What goes to a file or another program is as wide as it is, so that no word is cut.
    """
    from rich import box
    from rich.table import Table

    if not rows:
        click.echo(f"{title}: none")
        return
    console, cells = terminal(), [[clean(cell) for cell in row] for row in rows]
    told = [list(column) for column in zip(columns, *cells, strict=True)]
    room = console.width - BETWEEN * len(columns) + 1
    if console.width < NARROW and sum(_longest(column, words=True) for column in told) > room:
        _one_by_one(console, title, columns, cells)
        return
    shown = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    for column, width in zip(columns, _widths(told, room), strict=True):
        shown.add_column(column, overflow="fold", width=width)
    for row in cells:
        shown.add_row(*row)
    console.print(shown)


def _widths(columns: Sequence[Sequence[str]], room: int) -> list[int]:
    """Share the room out: no word is broken if that can be, no short cell (a time) either."""
    whole = [_longest(column) for column in columns]
    words = [_longest(column, words=True) for column in columns]
    uncut = [w if w <= SHORT else least for w, least in zip(whole, words, strict=True)]
    widths = next((each for each in (whole, uncut, words) if sum(each) <= room), words)
    while sum(widths) > room:  # the widest columns break words
        widths[widths.index(max(widths))] -= 1
    for _ in range(min(room, sum(whole)) - sum(widths)):  # to where the most lines are
        tight = max(range(len(widths)), key=lambda i: whole[i] / max(widths[i], 1))
        widths[tight] += 1
    return widths


def _longest(texts: Sequence[str], *, words: bool = False) -> int:
    from rich.cells import cell_len

    parts = [part for text in texts for part in (text.split() if words else [text])]
    return max((cell_len(part) for part in parts), default=0)


def _one_by_one(
    console: Console, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]
) -> None:
    """Write each row as lines of its own."""
    console.print(title)
    for row in rows:
        console.print()
        for column, cell in zip(columns, row, strict=True):
            if cell:
                console.print(f"  {column}: {cell}", overflow="fold")


def paragraph(mark: str, text: str) -> None:
    """Print a text behind a mark, its further lines below its first; no word is broken."""
    import textwrap

    lines = textwrap.wrap(
        clean(text), max(terminal().width - len(mark), NARROW // 2),
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
    for number, line in enumerate(lines or [""]):
        click.echo((" " * len(mark) if number else mark) + line)


def terminal() -> Console:
    """Give the terminal for results; a file has room for everything, unless COLUMNS says less."""
    from rich.console import Console

    found = Console(soft_wrap=False, highlight=False, markup=False)
    if not found.is_terminal and "COLUMNS" not in os.environ:
        found.width = UNLIMITED
    return found


def clean(value: Any) -> str:
    """Write a value so that no control or direction character reaches the terminal."""
    text = "" if value is None else str(value)
    return "".join(c if c.isprintable() else " " for c in text)


def when(text: str | None) -> str:
    """Write an instant shortly, in UTC."""
    if not text:
        return ""
    return datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M")


def many(number: int, word: str) -> str:
    """Say how many there are, in singular or plural."""
    return f"{number} {word}{'s' * (number != 1)}"
