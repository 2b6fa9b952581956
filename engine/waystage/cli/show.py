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
    widths = [_longest_word([name, *told]) for name, *told in zip(columns, *cells, strict=True)]
    fits = sum(widths) + BETWEEN * len(columns) <= console.width
    if not fits and console.width < NARROW:
        _one_by_one(console, title, columns, cells)
        return
    shown = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    for column, width in zip(columns, widths, strict=True):
        shown.add_column(column, overflow="fold", min_width=width if fits else None)
    for row in cells:
        shown.add_row(*row)
    console.print(shown)


def _longest_word(texts: Sequence[str]) -> int:
    from rich.cells import cell_len

    return max(cell_len(word) for text in texts for word in [*text.split(), ""])


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
