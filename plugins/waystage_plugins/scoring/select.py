"""The SQL that reads slices of the scoring log."""

from __future__ import annotations

from waystage.plugin import Slice
from waystage_plugins.scoring.encode import microseconds

# NULL (no score, NaN) becomes infinity, no label 2: neither is in the statistics, both are counted
TOLD = """
SELECT snapshot, COALESCE(score, 9e999), COALESCE(event, 2)
FROM ({rows}) r LEFT JOIN label l ON l.request_id = r.request_id
"""
COUNTED = """
SELECT COUNT(*), COUNT(event) FROM ({rows}) r LEFT JOIN label l ON l.request_id = r.request_id
"""
STREAMED = """
SELECT r.request_id, r.at, score, inputs, event
FROM ({rows}) r {outer} JOIN label l ON l.request_id = r.request_id ORDER BY r.at, r.request_id
"""
LATENCIES = "SELECT latency_ms FROM ({rows}) r WHERE latency_ms IS NOT NULL"
NEWEST = "SELECT MAX(at) FROM ({rows}) r"
NEWEST_LABEL = """
SELECT MAX(l.at) FROM ({rows}) r JOIN label l ON l.request_id = r.request_id
"""
VALUED = """
SELECT score, value FROM ({rows}) r LEFT JOIN outcome o ON o.request_id = r.request_id
"""
VALUED_ROWS = """
SELECT r.request_id, r.at, score, inputs, value
FROM ({rows}) r JOIN outcome o ON o.request_id = r.request_id ORDER BY r.at, r.request_id
"""


def query(template: str, which: Slice, *, labelled: bool = False) -> tuple[str, dict[str, object]]:
    """Give one of the statements above for a slice, and its parameters.

    A request id is one row. Within one role the table sees to that; over several roles
    the first answer stands for the request.
    """
    texts = ["service = :service", "stage = :stage", "at >= :start", "at < :end"]
    values: dict[str, object] = {
        "service": which.service,
        "stage": which.stage,
        "start": microseconds(which.start, "the window's start"),
        "end": microseconds(which.end, "the window's end"),
    }
    for name, value in (("snapshot", which.snapshot), ("role", which.role)):
        if value is not None:
            texts.append(f"{name} = :{name}")
            values[name] = value
    # SQLite takes the other columns from the row that has the minimum
    first, group = ("at", "") if which.role else ("MIN(at) AS at", " GROUP BY request_id")
    rows = (
        f"SELECT request_id, {first}, snapshot, score, inputs, latency_ms "  # noqa: S608  # made of the constants above alone
        f"FROM scored WHERE {' AND '.join(texts)}{group}"
    )
    return template.format(rows=rows, outer="" if labelled else "LEFT"), values
