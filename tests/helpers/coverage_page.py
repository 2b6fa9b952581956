"""Rows of docs/coverage.md: how often the interval on a population held the truth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypedDict

DOCS = Path(__file__).parents[2] / "docs"
PAGE, ROWS = DOCS / "coverage.md", DOCS / "coverage.json"
LEAST = 0.94  # share of windows below which an interval that promises 0.95 is a defect
HEAD = """\
# How often the intervals hold the truth

Intervals promise to hold the truth in 95 of 100 windows. `python benchmarks/coverage.py --keep` draws windows of populations whose truth is known, takes the interval of each as the monitor does, and writes this page; `--only drift.psi` makes some rows anew and leaves the others. One that holds the truth in fewer than 94 of 100 is a defect. *Below* is the share of windows whose interval lies below the truth, *above* of those that lie above it. How the intervals are made is told [beside the monitors](how-to/monitors.md#how-often-the-intervals-hold-the-truth).
"""  # noqa: E501  # a paragraph of Markdown is one line
TABLE = ("| interval | population | windows | holds | below | above |", "|---|---|---|---|---|---|")


class Row(TypedDict):
    """What came of one case: `below` and `above` count windows."""

    interval: str
    population: str
    windows: int
    below: int
    above: int


def holds(row: Row) -> float:
    """Give the share of windows that hold the truth."""
    return 1 - (row["below"] + row["above"]) / row["windows"]


def line(row: Row) -> str:
    """Write a row of the table; what fails is marked."""
    size, mark = row["windows"], " !" if holds(row) < LEAST else ""
    return (
        f"| {row['interval']} | {row['population']} | {size:,} | {holds(row):.2%}{mark} "
        f"| {row['below'] / size:.2%} | {row['above'] / size:.2%} |"
    )


def known() -> list[Row]:
    """Give the rows that were kept."""
    return list(json.loads(ROWS.read_text())) if ROWS.exists() else []


def kept(interval: str, population: str, *, anew: bool) -> Row:
    """Give the row of a case as it was kept, or one without any windows."""
    new = Row(interval=interval, population=population, windows=0, below=0, above=0)
    name = (interval, population)
    return new if anew else next((row for row in known() if named(row) == name), new)


def put(row: Row, order: list[tuple[str, str]]) -> None:
    """Put a row in the place of an earlier one, and write the page; `order` names all cases."""
    rows = {named(each): each for each in [*known(), row]}
    found = [rows[name] for name in order if name in rows]
    fresh = ROWS.with_suffix(".new")  # whoever reads meanwhile has all of it
    fresh.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    fresh.rename(ROWS)
    PAGE.write_text(page(found))


def named(row: Row) -> tuple[str, str]:
    """Give what tells a row from the others."""
    return row["interval"], row["population"]


def page(rows: list[Row]) -> str:
    """Give the text of docs/coverage.md."""
    return "\n".join([HEAD, *TABLE, *map(line, rows), ""])
