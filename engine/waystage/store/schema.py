"""The tables. Times are microseconds since 1970 in UTC; JSON is canonical bytes.

A waiting run is a row and nothing else; everything that is due is found by one index.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData()
# SQLite gives out row numbers only for its own INTEGER type
Number = BigInteger().with_variant(Integer, "sqlite")

definitions = Table(
    "definitions", metadata,
    Column("hash", String(64), primary_key=True),
    Column("lifecycle", String(63), nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("at", BigInteger, nullable=False),
)  # fmt: skip

runs = Table(
    "runs", metadata,
    Column("no", Number, primary_key=True, autoincrement=True),
    Column("id", String(100), nullable=False, unique=True),
    Column("opened_by", String(400), nullable=False, unique=True),  # what may open a run only once
    Column("lifecycle", String(63), nullable=False),
    Column("definition", String(64), nullable=False),
    Column("service", String(63), nullable=False),
    Column("snapshot", String(260), nullable=False),
    Column("status", String(10), nullable=False),
    Column("outcome", String(100), nullable=False, default=""),
    Column("places", Text, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("head", LargeBinary, nullable=False),  # hash of the newest history row
    Column("opened_at", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Column("there_since", BigInteger, nullable=False),  # when it came to its places
    Index("runs_of_service", "service", "status"),
    sqlite_autoincrement=True,  # the number of a run that was purged is never given again
    postgresql_with={"fillfactor": 70},  # room for a row's next shape: no index moves
)  # fmt: skip

history = Table(
    "history", metadata,
    Column("run", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("actor", String(100), nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    PrimaryKeyConstraint("run", "seq"),  # beside the rows, which SQLite keeps in order of writing:
)  # fmt: skip                            # what many runs add in one commit lies together

work = Table(
    "work", metadata,
    Column("run", BigInteger, nullable=False),
    Column("slot", String(255), nullable=False),  # the region that the state is in
    Column("body", LargeBinary, nullable=False),  # the order
    Column("due_at", BigInteger, nullable=False),
    Column("owner", String(60)),
    Column("lease_until", BigInteger),  # by the machine's clock, not the lifecycle's
    Column("fence", BigInteger, nullable=False, default=0),
    Column("tries", Integer, nullable=False, default=0),  # calls begun without an answer kept
    Column("memo", LargeBinary),
    PrimaryKeyConstraint("run", "slot"),
    sqlite_with_rowid=False,
)  # fmt: skip
Index(  # on SQLite, where only one daemon works, what is held needs no finding
    "work_due", work.c.due_at, sqlite_where=work.c.owner.is_(None)
)

timers = Table(
    "timers", metadata,
    Column("run", BigInteger, nullable=False),
    Column("state", String(255), nullable=False),
    Column("name", String(100), nullable=False),
    Column("entry", BigInteger, nullable=False),
    Column("due_at", BigInteger, nullable=False),
    Column("spec", LargeBinary),
    PrimaryKeyConstraint("run", "state", "name"),
    sqlite_with_rowid=False,
)  # fmt: skip
Index("timers_due", timers.c.due_at)

tasks = Table(
    "tasks", metadata,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column("run", BigInteger, nullable=False),
    Column("state", String(255), nullable=False),
    Column("entry", BigInteger, nullable=False),
    Column("stage", String(31), nullable=False, default=""),
    Column("status", String(10), nullable=False),  # open, closed, left
    Column("outcome", String(100), nullable=False, default=""),
    Column("closed_by", String(100), nullable=False, default=""),
    Column("claimed_by", String(100), nullable=False, default=""),
    Column("body", LargeBinary, nullable=False),
    Column("opened_at", BigInteger, nullable=False),
    Column("closed_at", BigInteger),
    UniqueConstraint("run", "state", "entry"),
)  # fmt: skip
Index("tasks_open", tasks.c.status, tasks.c.opened_at)

leases = Table(
    "leases", metadata,
    Column("id", Number, primary_key=True, autoincrement=True),  # the order of asking
    Column("name", String(300), nullable=False),
    Column("run", BigInteger, nullable=False),
    Column("state", String(255), nullable=False),
    Column("entry", BigInteger, nullable=False),
    Column("held", Integer, nullable=False, default=0),
    UniqueConstraint("run", "state"),
)  # fmt: skip
Index("leases_by_name", leases.c.name, leases.c.id)
Index(  # one holder, whatever the code does
    "leases_held", leases.c.name, unique=True,
    sqlite_where=leases.c.held == 1, postgresql_where=leases.c.held == 1,
)  # fmt: skip

incidents = Table(
    "incidents", metadata,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column("run", BigInteger, nullable=False),
    Column("state", String(255), nullable=False),
    Column("kind", String(40), nullable=False),
    Column("message", Text, nullable=False),
    Column("opened_at", BigInteger, nullable=False),
    Column("closed_at", BigInteger),
    Column("how", String(40), nullable=False, default=""),
    Column("closed_by", String(100), nullable=False, default=""),
    Column("reason", Text, nullable=False, default=""),
)  # fmt: skip
Index("incidents_of_run", incidents.c.run, incidents.c.closed_at)

inbox = Table(
    "inbox", metadata,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column("run", BigInteger, nullable=False),
    Column("actor", String(100), nullable=False),
    Column("body", LargeBinary, nullable=False),
)  # fmt: skip

outbox = Table(
    "outbox", metadata,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column("key", String(400), nullable=False, unique=True),
    Column("run", String(100), nullable=False, default=""),
    Column("body", LargeBinary, nullable=False),
    Column("due_at", BigInteger, nullable=False),
    Column("tries", Integer, nullable=False, default=0),
    Column("sent_at", BigInteger),
    Column("error", Text, nullable=False, default=""),
)  # fmt: skip
Index("outbox_due", outbox.c.sent_at, outbox.c.due_at)
Index("outbox_of_run", outbox.c.run, outbox.c.sent_at, outbox.c.id)

snapshots = Table(
    "snapshots", metadata,
    Column("repository", String(63), nullable=False),
    Column("name", String(128), nullable=False),
    Column("version", String(128), nullable=False),
    Column("digest", String(71), nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("at", BigInteger, nullable=False),
    PrimaryKeyConstraint("repository", "name", "version"),
)  # fmt: skip

cursors = Table(
    "cursors", metadata,
    Column("repository", String(63), primary_key=True),
    Column("body", LargeBinary, nullable=False),
)  # fmt: skip

placements = Table(
    "placements", metadata,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column("service", String(63), nullable=False),
    Column("stage", String(31), nullable=False),
    Column("runtime", String(63), nullable=False),
    Column("mode", String(10), nullable=False),
    Column("role", String(20), nullable=False),
    Column("snapshot", String(260), nullable=False),
    Column("digest", String(71), nullable=False),
    Column("run", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),  # the fact and the snapshot's manifest
    Column("since", BigInteger, nullable=False),
    Column("until", BigInteger),
    Column("verified_at", BigInteger),
    Column("seen", String(20), nullable=False, default=""),  # the phase at the last look
    Column("seen_why", Text, nullable=False, default=""),
    Column("state", String(10), nullable=False, default=""),  # ok, degraded, drifted, unknown
    Column("state_since", BigInteger),
    Column("drift", LargeBinary),  # what differs, and what was done about it
)  # fmt: skip
Index("placements_now", placements.c.service, placements.c.until)

measurements = Table(
    "measurements", metadata,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column("monitor", String(63), nullable=False),
    Column("use", String(100), nullable=False),
    Column("service", String(63), nullable=False),
    Column("stage", String(31), nullable=False),
    Column("snapshot", String(260), nullable=False),
    Column("start", BigInteger, nullable=False),
    Column("end", BigInteger, nullable=False),
    Column("run", BigInteger, nullable=False),
    # of several of one window the highest stands: the entry that asked; by hand, minus the time
    Column("number", BigInteger, nullable=False),
    Column("verdict", String(20), nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("at", BigInteger, nullable=False),
)  # fmt: skip
Index(
    "measurements_once", measurements.c.run, measurements.c.monitor, measurements.c.service,
    measurements.c.stage, measurements.c.snapshot, measurements.c.start, measurements.c.end,
    measurements.c.number, unique=True,
)  # fmt: skip
Index("measurements_of_service", measurements.c.service, measurements.c.monitor, measurements.c.end)

tokens = Table(
    "tokens", metadata,
    Column("hash", String(64), primary_key=True),
    Column("person", String(100), nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
)  # fmt: skip

signals = Table(
    "signals", metadata,
    Column("key", String(200), primary_key=True),  # as the sender says it
    Column("body", LargeBinary, nullable=False),
    Column("at", BigInteger, nullable=False),
)  # fmt: skip
Index("signals_by_age", signals.c.at)

stops = Table(
    "stops", metadata,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column("stage", String(31), nullable=False),
    Column("by", String(100), nullable=False),
    Column("reason", Text, nullable=False),
    Column("strict", Integer, nullable=False),  # holds for going back too
    Column("since", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Column("ended_by", String(100)),
)  # fmt: skip
Index("stops_now", stops.c.stage, stops.c.ended_at)

signatures = Table(  # signatures of snapshots that were verified
    "signatures", metadata,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column("snapshot", String(260), nullable=False),
    Column("digest", String(71), nullable=False),
    Column("signer", String(63), nullable=False),
    Column("mark", String(100), nullable=False),  # of the keys that the signer had
    Column("run", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
)  # fmt: skip
Index("signatures_of_snapshot", signatures.c.snapshot, signatures.c.signer)

pauses = Table(
    "pauses", metadata,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column("run", BigInteger, nullable=False),  # 0: the lifecycle as a whole
    Column("lifecycle", String(63), nullable=False),
    Column("by", String(100), nullable=False),
    Column("reason", Text, nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Column("ended_by", String(100), nullable=False, default=""),
)  # fmt: skip
Index("pauses_now", pauses.c.ended_at, pauses.c.lifecycle, pauses.c.run)

purged = Table(  # what is left of a run that retention removed, chained like a history
    "purged", metadata,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column("run", BigInteger, nullable=False, unique=True),
    Column("name", String(100), nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("head", LargeBinary, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("by", String(100), nullable=False),
    Column("hash", LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)  # fmt: skip

allowances = Table(  # what services had done of what is counted, also by runs that are gone
    "allowances", metadata,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column("service", String(63), nullable=False),
    Column("name", String(63), nullable=False),
    Column("key", String(400), nullable=False, unique=True),  # of the step
    Column("run", BigInteger, nullable=False),
    Column("state", String(255), nullable=False),
    Column("began", BigInteger, nullable=False),
    Column("ended", BigInteger),
)  # fmt: skip
Index(  # one at a time, whatever the code does
    "allowances_under_way", allowances.c.service, allowances.c.name, unique=True,
    sqlite_where=allowances.c.ended.is_(None), postgresql_where=allowances.c.ended.is_(None),
)  # fmt: skip
Index("allowances_of_run", allowances.c.run)

turns = Table(  # who does what only one daemon should do at a time
    "turns", metadata,
    Column("name", String(63), primary_key=True),
    Column("owner", String(60), nullable=False),
    Column("until", BigInteger, nullable=False),  # by the database's clock
    Column("fence", BigInteger, nullable=False),  # goes up with each holder
)  # fmt: skip

daemons = Table(  # who is at work on this database, and with which version
    "daemons", metadata,
    Column("name", String(60), primary_key=True),
    Column("version", String(40), nullable=False),
    Column("knows", String(32), nullable=False),  # the newest schema that it knows
    Column("place", String(300), nullable=False),  # machine, process and project
    Column("since", BigInteger, nullable=False),  # by the database's clock
    Column("until", BigInteger, nullable=False),  # it is taken to be dead after this
)  # fmt: skip
