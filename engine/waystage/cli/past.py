"""A run's history as the daemon gives it: page by page, so that a long one is told whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from waystage.cli.client import Client

PAGE = 10_000  # rows in one answer; the daemon gives no more


def history_of(client: Client, run: str, *, after: int = 0) -> Iterator[dict[str, Any]]:
    """Give the rows of a run's history with a higher number than `after`, the oldest first."""
    while True:
        rows = client.get(f"runs/{run}/history", after=after, limit=PAGE)
        yield from rows
        if len(rows) < PAGE:
            return
        after = rows[-1]["seq"]
