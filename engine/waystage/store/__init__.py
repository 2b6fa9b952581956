"""The only user of SQLAlchemy and Alembic: runs, work, timers, tasks, history, inventory."""

from waystage.store.rows import (
    Claim,
    HistoryRow,
    IncidentRow,
    MeasurementRow,
    PlacementRow,
    RunRow,
    TaskRow,
    TimerRow,
)
from waystage.store.store import Store

__all__ = [
    "Claim", "HistoryRow", "IncidentRow", "MeasurementRow", "PlacementRow", "RunRow", "Store",
    "TaskRow", "TimerRow",
]  # fmt: skip
