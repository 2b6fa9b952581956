"""What was decided about a run, as its history tells it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from waystage.daemon.decided import decisions
from waystage.store import HistoryRow

AT = datetime(2026, 1, 5, tzinfo=UTC)


def row(seq: int, actor: str, event: dict[str, Any], *records: list[str]) -> HistoryRow:
    return HistoryRow("r-1", seq, AT, actor, event, list(records), f"hash {seq}")


def test_an_approval_stands_behind_what_the_comparison_came_to() -> None:
    found = {"verdict": "promote", "why": "the gain in auc is at least 0.22", "gain": 0.28}
    done = {"kind": "step.done", "state": "compare", "data": found}
    other = {"kind": "step.done", "state": "deploy", "data": {"verdict": 1, "url": "u"}}
    vote = {"kind": "vote", "state": "decide", "name": "approve", "data": {"roles": ["owner"]}}
    told = list(
        decisions(
            [row(1, "engine", done), row(2, "engine", other, ["task", "decide", "opened", "Sure?"]),
             row(3, "otto", vote)],
            "r-1", "credit/2",
        )
    )  # fmt: skip
    assert [(each.by, each.what, each.title, each.comment, each.vote) for each in told] == [
        ("engine", "promote", "found in compare", "the gain in auc is at least 0.22", False),
        ("otto", "approve", "Sure?", "", True),
    ]
