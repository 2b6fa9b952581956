"""The only user of SQLAlchemy and Alembic: runs, work, timers, tasks, history, inventory."""

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError as DatabaseError

from waystage.store.database import rooted
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
from waystage.store.shared import Listener, fault_of
from waystage.store.store import Store

__all__ = [
    "Claim", "Connection", "DatabaseError", "HistoryRow", "IncidentRow", "Listener",
    "MeasurementRow", "PlacementRow", "RunRow", "Store", "TaskRow", "TimerRow", "fault_of",
    "rooted",
]  # fmt: skip
