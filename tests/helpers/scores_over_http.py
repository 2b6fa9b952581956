"""What tests of scores and labels over HTTP send, and where it arrives."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from waystage.plugin import ScoringLog, Slice

NOW = datetime.now(UTC)
ALL = Slice("credit-risk", "PROD", NOW - timedelta(days=9), NOW + timedelta(days=9), None, None)
ROW = {"request_id": "r1", "service": "credit-risk", "stage": "PROD", "snapshot": "credit/1"}


def send(api: Any, token: str, *rows: dict[str, Any]) -> Any:
    """Send rows as one batch; give the answer."""
    return api.with_token(token, "POST", "scores", json={"rows": list(rows)})


def log_of(api: Any) -> ScoringLog:
    """Give the scoring log that the daemon writes to."""
    found: ScoringLog = api.daemon.connections.scoring_log()
    return found
