"""What was decided about runs, read from their histories: votes, repairs, overrides, pauses.

What people decide by stands among it: what comparisons of challengers and canaries came to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from waystage.kernel.events import ENGINE
from waystage.report.model import Decision
from waystage.store import HistoryRow

WHAT = {
    "start": "started the run",
    "stage": "overrode the closed stage",
    "pause": "paused the run",
    "resume": "resumed the run",
    "migrated": "moved the run to a changed lifecycle",
}


def decisions(rows: Iterable[HistoryRow], run: str, snapshot: str) -> Iterator[Decision]:
    """Give what people did to one run, the oldest first, with the words that they were shown.

    The verdicts of steps that tell one, with the reason, are among them as the engine's.
    """
    titles: dict[str, str] = {}
    for row in rows:
        told = _told(row, titles)
        titles |= {record[1]: record[3] for record in row.records
                   if record[0] == "task" and record[2] == "opened"}  # fmt: skip
        if told is not None:
            yield Decision(at=row.at, by=row.actor, run=run, snapshot=snapshot,
                           seq=row.seq, hash=row.hash, **told)  # fmt: skip


def _told(row: HistoryRow, titles: dict[str, str]) -> dict[str, Any] | None:
    event, data = row.event, row.event.get("data", {})
    kind, state = event["kind"], event.get("state", "")
    if kind == "vote":
        return _vote(event, titles.get(state, ""))
    if kind == "step.done" and all(isinstance(data.get(word), str) for word in ("verdict", "why")):
        return {"what": data["verdict"], "state": state, "title": f"found in {state}",
                "comment": data["why"]}  # fmt: skip
    if row.actor == ENGINE or (kind == "stage" and event.get("name") != "override"):
        return None
    said = WHAT.get(kind, "")
    if kind.startswith("incident."):
        said = f"mended an incident: {kind.removeprefix('incident.')}"
    if not said:
        return None
    return {"what": said, "state": state, "comment": str(data.get("reason", "")),
            "via": event.get("via", "")}  # fmt: skip


def _vote(event: dict[str, Any], title: str) -> dict[str, Any]:
    data = event.get("data", {})
    return {
        "what": event.get("name", ""), "vote": True, "title": title,
        "state": event.get("state", ""), "comment": str(data.get("comment") or ""),
        "form": data.get("form") or {}, "roles": tuple(data.get("roles") or ()),
        "shown": str(data.get("shown") or ""), "via": event.get("via", ""),
    }  # fmt: skip
