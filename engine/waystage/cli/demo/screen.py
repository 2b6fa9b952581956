"""What the demo shows: chapters, lines, the KS of each quarter as a plot."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.panel import Panel
from rich.text import Text

COLORS = {
    "ok": "green",
    "warn": "yellow",
    "breach": "red",
    "insufficient": "blue",
    "error": "magenta",
}
WIDTH = 24


class Screen:
    """The demo's terminal."""

    def __init__(self) -> None:
        self.console = Console(highlight=False)
        self._began = time.monotonic()

    def chapter(self, title: str) -> None:
        """Begin a part of the story."""
        seconds = time.monotonic() - self._began
        self.console.print(f"\n[bold cyan]{title}[/]  [dim]{seconds:.0f} s[/]")

    def say(self, text: str) -> None:
        """Say one thing."""
        self.console.print(f"  {text}")

    def command(self, words: list[str], output: str) -> None:
        """Show a command as a person would type it, and its answer."""
        self.console.print(Text(f"  $ waystage {' '.join(words)}", style="bold"))
        for line in output.rstrip().splitlines():
            self.console.print(Text(f"    {line}", style="dim"))

    @contextmanager
    def working(self, text: str) -> Iterator[Any]:
        """Show that something takes a while; `update` on what is given says how far it is."""
        with self.console.status(f"  {text}") as status:
            yield status

    def messages(self, received: list[dict[str, Any]]) -> None:
        """Show what the webhook's receiver got."""
        for event in received:
            data = event["data"]
            color = {"warn": "yellow", "alarm": "red"}.get(data.get("level", ""), "white")
            self.console.print(f"  [{color}]✉ {data['title']}[/]  [dim]{data['text']}[/]")

    def plot(self, rows: list[dict[str, Any]], warn: float, breach: float) -> None:
        """Draw KS per window with its interval and the two thresholds."""
        lines = Text()
        for row in rows:
            lines.append_text(_bar(row, warn, breach))
        lines.append(f"{'':21}{_scale(warn, breach)}\n")
        lines.append(f"{'':21}│ breach below {breach:.2f}  ┊ warn below {warn:.2f}", style="dim")
        self.console.print(
            Panel(lines, title="KS of each window", title_align="left", expand=False)
        )

    def seconds(self) -> float:
        """How long the demo has run."""
        return time.monotonic() - self._began


def _bar(row: dict[str, Any], warn: float, breach: float) -> Text:
    body, color = row["body"], COLORS[row["verdict"]]
    value = body.get("value")
    text = Text(f"{row['start'][:10]} {row['snapshot'][-9:]:>9} ")
    if value is None:
        return text.append(f"{row['verdict']}: {body.get('reason', '')}\n", style=color)
    cells = [" "] * WIDTH
    for column in range(_column(value)):
        cells[column] = "█"
    for limit, sign in ((warn, "┊"), (breach, "│")):
        cells[_column(limit)] = sign if cells[_column(limit)] == " " else "▓"
    text.append("".join(cells), style=color)
    interval = ""
    if body.get("low") is not None and body.get("high") is not None:
        interval = f" [{body['low']:.2f},{body['high']:.2f}]"
    return text.append(f" {value:.3f}{interval} {row['verdict']}\n", style=color)


def _column(value: float) -> int:
    return min(WIDTH - 1, max(0, round(value / 0.6 * WIDTH)))


def _scale(warn: float, breach: float) -> str:
    cells = ["─"] * WIDTH
    cells[_column(warn)], cells[_column(breach)] = "┊", "│"
    return "".join(cells)
