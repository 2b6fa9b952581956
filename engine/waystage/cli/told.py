"""What a row of a run's history says to people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

SHORT = 32  # letters of name=value: what fits beside time and person in 80 columns
FIGURES = 4


def told(row: dict[str, Any]) -> Iterator[str]:
    """Give the lines of one row: what a step or a person brought, then what came of it."""
    kind, data = row["event"].get("kind", ""), row["event"].get("data") or {}
    records = row["records"]
    if kind in ("step.done", "step.failed") and not any(r[0] == "measured" for r in records):
        yield _step(row["event"], kind.removeprefix("step."), data)
    for record in records:
        yield _answer(record, data) if record[0] == "vote" else _record(record)


def _step(event: dict[str, Any], how: str, data: dict[str, Any]) -> str:
    number = f" {int(event['name']) + 1}" if str(event.get("name", "")).isdigit() else ""
    brought = str(data.get("error", "")) if how == "failed" else _brought(data)
    return f"{event.get('state', '')}: step{number} {how}{': ' if brought else ''}{brought}"


def _brought(data: dict[str, Any]) -> str:
    """Give a verdict with its whole reason, which is for people; else the first values."""
    verdict, why = data.get("verdict"), data.get("why")
    if isinstance(verdict, str) and isinstance(why, str):
        return f"{verdict}: {why}"
    return figures(data)


def _answer(record: list[str], data: dict[str, Any]) -> str:
    _, state, outcome, who = record
    form = figures(data.get("form") or {}, many=len(data.get("form") or {}))
    return f"{state}: {outcome}, by {who}{f' ({form})' if form else ''}"


def figures(values: dict[str, Any], many: int = FIGURES) -> str:
    """Give the first plain values by name, long ones shortened; the whole is in `--json`."""
    plain = [
        _short(name, value)
        for name, value in values.items()
        if isinstance(value, str | int | float) and value != ""
    ]
    return ", ".join(plain[:many])


def _short(name: str, value: str | float) -> str:
    """Write `name=value`; of a path the end is kept, of anything else the beginning."""
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    room = max(SHORT - len(name) - 1, SHORT // 2)
    if len(text) > room:
        text = f"…{text[1 - room :]}" if text.startswith("/") else f"{text[: room - 1]}…"
    return f"{name}={text}"


def _record(record: list[str]) -> str:
    what, state, name, detail = [*record, "", "", ""][:4]
    if what == "moved":
        return f"{state} —{name}→ {detail}"
    if what == "started":
        return f"{what} {name}"
    name = "" if name and detail.startswith(f"{name} ") else name
    head = " ".join(part for part in (what, state, name) if part)
    return f"{head}: {detail}" if detail else head
