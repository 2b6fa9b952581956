"""The only user of SQLAlchemy and Alembic: runs, work, timers, tasks, history, inventory."""

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError as DatabaseError

from waystage.store.database import rooted
from waystage.store.reads import Reader, reading_only
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
from waystage.store.shared import Listener, answering, fault_of
from waystage.store.store import Store

__all__ = [
    "Claim", "Connection", "DatabaseError", "HistoryRow", "IncidentRow", "Listener",
    "MeasurementRow", "PlacementRow", "Reader", "RunRow", "Store", "TaskRow", "TimerRow",
    "answering", "fault_of", "reading_only", "rooted",
]  # fmt: skip
