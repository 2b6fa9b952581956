"""What must be known before runs are opened: their keys, their numbers, who paused what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, Engine

from waystage.store.codec import dump
from waystage.store.driver import asked

# The numbers of purged runs are not given again: SQLite keeps the highest that it ever saw,
# and a sequence of PostgreSQL only goes up. It is drawn from for new keys alone, so that runs
# that were opened later have higher numbers.
SQLITE = """
SELECT 'opened', opened_by, id, '', 0 FROM runs WHERE opened_by IN (SELECT value FROM json_each(?))
UNION ALL SELECT 'highest', '', '', '', seq FROM sqlite_sequence WHERE name = 'runs'
UNION ALL SELECT 'paused', lifecycle, "by", reason, 0 FROM pauses WHERE run = 0 AND ended_at IS NULL
"""
POSTGRESQL = """
WITH opened AS (SELECT opened_by, id FROM runs WHERE opened_by = ANY(%(keys)s::text[]))
SELECT 'opened', opened_by, id, '', 0 FROM opened
UNION ALL SELECT 'number', '', '', '', nextval(pg_get_serial_sequence('runs', 'no'))
FROM generate_series(1, cardinality(%(keys)s::text[]) - (SELECT count(*) FROM opened)::int)
UNION ALL SELECT 'paused', lifecycle, by, reason, 0 FROM pauses WHERE run = 0 AND ended_at IS NULL
"""


@dataclass(slots=True)
class Outlook:
    """Ids of runs by the key that opened them, numbers for new ones, pauses of lifecycles."""

    ids: dict[str, str] = field(default_factory=dict)
    numbers: list[int] = field(default_factory=list)
    pauses: dict[str, tuple[str, str]] = field(default_factory=dict)  # by whom, and why


class Openings:
    """Asks for all of it in one statement."""

    def __init__(self, engine: Engine) -> None:
        self._shared = engine.dialect.name == "postgresql"

    def look(self, connection: Connection, keys: Sequence[str], given: int = 0) -> Outlook:
        """Look for the keys, each of which is told once; numbers are higher than `given`."""
        outlook, highest = Outlook(), given
        for what, name, first, second, number in self._ask(connection, keys):
            if what == "opened":
                outlook.ids[name] = first
            elif what == "paused":
                outlook.pauses[name] = (first, second)
            elif what == "number":
                outlook.numbers.append(number)
            else:
                highest = max(highest, number)
        if not self._shared:
            missing = len(keys) - len(outlook.ids)
            outlook.numbers = [highest + 1 + each for each in range(missing)]
        outlook.numbers.sort()
        return outlook

    def _ask(
        self, connection: Connection, keys: Sequence[str]
    ) -> Sequence[tuple[str, str, str, str, int]]:
        if self._shared:
            return asked(connection, POSTGRESQL, {"keys": list(keys)})
        return asked(connection, SQLITE, (dump(list(keys)).decode(),))
