"""Heads of the hash chains: written to a file that is kept or signed elsewhere, and read back.

A file has one JSON object per line, by run number, and a last line with the digest of all
lines before it, so that a file that was cut off is noticed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, and_, func, select

from waystage.errors import WaystageError
from waystage.store import schema as t
from waystage.store.audit import AT_ONCE, GENESIS, Finding


class AuditUnfit(WaystageError):
    """A file of heads or an export that is not as it was written."""

    code = "E-AUDIT"


@dataclass(frozen=True, slots=True)
class Head:
    """How far a run's history had come, and the hash of its newest row."""

    run: str
    no: int
    rows: int
    head: bytes


def heads(connection: Connection, only: Collection[int] | None = None) -> Iterator[Head]:
    """Give the head of every run, or of some, by number.

    Raises `AuditUnfit` where row and history differ.
    """
    r, h = t.runs.c, t.history.c
    query = (
        select(r.no, r.id, r.revision, r.head, h.hash)
        .join(t.history, and_(h.run == r.no, h.seq == r.revision), isouter=True)
        .order_by(r.no)
    )
    if only is not None:
        query = query.where(r.no.in_(only))
    options = {"yield_per": AT_ONCE, "stream_results": True}
    for row in connection.execute(query, execution_options=options):
        if row.hash is None or bytes(row.hash) != bytes(row.head):
            text = f"{row.id}: the newest history row is not the one that the run's row names"
            raise AuditUnfit(f"{text}; say waystage audit verify {row.id}")
        yield Head(row.id, row.no, row.revision, bytes(row.head))


def purge_head(connection: Connection) -> tuple[int, bytes]:
    """Give how many runs retention removed, and the hash of the newest row that tells of one."""
    count: int = connection.execute(select(func.count()).select_from(t.purged)).scalar_one()
    query = select(t.purged.c.hash).order_by(t.purged.c.id.desc()).limit(1)
    newest = connection.execute(query).scalar()
    return count, GENESIS if newest is None else bytes(newest)


def write_heads(
    connection: Connection, path: Path, told: dict[str, Any], only: Collection[int] | None = None
) -> int:
    """Write the heads of all runs, or of some, and `told` into the last line; answers how many."""
    digest, count = hashlib.sha256(), 0
    beside = path.with_name(path.name + ".new")
    with beside.open("wb") as file:
        for each in heads(connection, only):
            line = _line({"run": each.run, "no": each.no, "rows": each.rows,
                          "head": each.head.hex()})  # fmt: skip
            digest.update(line)
            file.write(line)
            count += 1
        removed, newest = purge_head(connection)
        last = {"heads": count, **told, "purged": {"runs": removed, "hash": newest.hex()},
                "digest": f"sha256:{digest.hexdigest()}"}  # fmt: skip
        file.write(_line(last))
    beside.replace(path)
    return count


class HeadsFile:
    """A file of heads; reading checks it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.last = self._check()

    def __iter__(self) -> Iterator[Head]:
        with self._path.open("rb") as file:
            for line in file:
                found = json.loads(line)
                if "heads" not in found:
                    yield Head(found["run"], found["no"], found["rows"],
                               bytes.fromhex(found["head"]))  # fmt: skip

    def _check(self) -> dict[str, Any]:
        """Give the last line; raises `AuditUnfit` unless it fits all before it."""
        digest, count, last = hashlib.sha256(), 0, b""
        try:
            with self._path.open("rb") as file:
                for line in file:
                    if last:
                        digest.update(last)
                        count += 1
                    last = line
            found: dict[str, Any] = json.loads(last or b"{}")
        except (OSError, ValueError) as error:
            raise AuditUnfit(f"{self._path}: no file of heads: {error}") from error
        if found.get("heads") != count or found.get("digest") != f"sha256:{digest.hexdigest()}":
            raise AuditUnfit(f"{self._path}: it was changed or cut off after it was written")
        return found


def held_to(head: Head, purged: Any) -> Finding | None:
    """Say what is wrong about a run that the file of heads knows and the database does not."""
    if purged is None:
        return Finding(head.run, 0, "the whole run is missing; the head that was kept knows it")
    if purged.rows < head.rows or (purged.rows == head.rows and bytes(purged.head) != head.head):
        return Finding(head.run, 0, "it was purged with another history than the head says")
    return None


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value).encode() + b"\n"
