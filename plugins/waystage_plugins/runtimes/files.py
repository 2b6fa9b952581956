"""Small JSON files and logs, as daemon and detached processes share them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from waystage_plugins.repositories.tree import write_durably

TAIL = 64_000


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; one that is missing or damaged reads as empty."""
    try:
        value = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Replace a JSON file in one durable move."""
    write_durably(path, json.dumps(value, indent=1, allow_nan=False).encode())


def last_lines(path: Path, count: int) -> str:
    """Give the last lines of a log that are not empty, control characters left out."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL))
            text = file.read(TAIL).decode(errors="replace")
    except FileNotFoundError:
        return ""
    clean = "".join(c if c.isprintable() else "\n" if c == "\n" else " " for c in text)
    lines = [line.rstrip() for line in clean.split("\n") if line.strip()]
    return "\n".join(lines[-count:]) if count > 0 else ""


def read_share(path: Path) -> float | None:
    """Give how far a job says it is, from 0 to 1; None if it says nothing that could be read."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            share = float(file.read(100))
    except (OSError, ValueError):
        return None
    return share if 0 <= share <= 1 else None


def keep_small(path: Path, limit: int) -> None:
    """Move a log that has grown beyond the limit aside, while its writer goes on appending."""
    try:
        if path.stat().st_size <= limit:
            return
        shutil.copyfile(path, path.with_name(f"{path.name}.1"))
        with path.open("r+b") as file:
            file.truncate(0)
    except FileNotFoundError:
        return
