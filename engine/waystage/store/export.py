"""Histories as JSON lines, with all that their hashes are made of, so that a file proves itself.

A `run` line is followed by its `history` lines; `before` is the hash that the first of them is
chained to. `body` is the row's JSON as a text, because its bytes are what was hashed. The last
line counts all and has the digest of every line before it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import Connection, select

from waystage.store import schema as t
from waystage.store.audit import GENESIS, TEXTS, Chain, Finding, runs_and_rows, text_of
from waystage.store.heads import AuditUnfit

BESIDE = (t.tasks, t.incidents, t.placements, t.measurements)  # what else a run leaves


@dataclass(slots=True)
class Written:
    """How much was written, and what it comes to."""

    runs: int = 0
    rows: int = 0
    digest: Any = field(default_factory=hashlib.sha256)


class Export:
    """Writes an export; what is written is whole only when `close` has returned."""

    def __init__(self, connection: Connection, path: Path) -> None:
        self._connection, self._path = connection, path
        self._beside = path.with_name(path.name + ".new")
        self._file: BinaryIO = self._beside.open("wb")
        self._definitions: set[str] = set()
        self.written = Written()

    def history(self, only: int = 0, since: int = 0) -> None:
        """Write one run or all, from an instant in microseconds on."""
        for _, row, rows in runs_and_rows(self._connection, only, since):
            if row is not None:
                self._run(row, rows)

    def beside(self, no: int) -> None:
        """Write what else the database keeps of a run: tasks, incidents, placements, measurements.

        None of it is chained; where it matters, the history tells it too.
        """
        for table in BESIDE:
            query = select(table).where(table.c.run == no).order_by(table.c.id)
            for row in self._connection.execute(query).mappings():
                values = {name: _plain(value) for name, value in row.items()}
                self._line({"kind": "row", "table": table.name, "values": values})

    def close(self, **told: Any) -> Written:
        """Write the last line and give the file its name."""
        last = {"kind": "end", **told, "runs": self.written.runs, "rows": self.written.rows,
                "digest": f"sha256:{self.written.digest.hexdigest()}"}  # fmt: skip
        self._file.write(_encoded(last))
        self._file.flush()
        os.fsync(self._file.fileno())  # what it holds may be removed next
        self._file.close()
        self._beside.replace(self._path)
        return self.written

    def abandon(self) -> None:
        """Leave nothing behind."""
        self._file.close()
        self._beside.unlink(missing_ok=True)

    def _run(self, row: Any, rows: Iterable[Any]) -> None:
        self._definition(text_of(row.definition))
        head: dict[str, Any] = {name: text_of(getattr(row, name)) for name in TEXTS}
        head |= {"no": row.no, "revision": row.revision, "head": bytes(row.head).hex(),
                 "opened_at": row.opened_at, "changed_at": row.changed_at}  # fmt: skip
        first = True
        for each in rows:
            if first:
                self._line({"kind": "run", **head, **self._start(row.no, each.seq)})
            self._line({"kind": "history", "seq": each.seq, "at": each.at,
                        "actor": text_of(each.actor), "body": _body(text_of(row.id), each),
                        "hash": bytes(each.hash).hex()})  # fmt: skip
            self.written.rows += 1
            first = False
        self.written.runs += not first

    def _start(self, no: int, first: int) -> dict[str, Any]:
        h = t.history.c
        query = select(h.hash).where(h.run == no, h.seq == first - 1)
        before = GENESIS if first == 1 else self._connection.execute(query).scalar()
        return {"first": first, "before": bytes(before or b"").hex()}

    def _definition(self, digest: str) -> None:
        if digest in self._definitions:
            return
        self._definitions.add(digest)
        d = t.definitions.c
        found = self._connection.execute(
            select(d.lifecycle, d.body).where(d.hash == digest)
        ).first()
        if found is not None:
            self._line({"kind": "definition", "hash": digest, "lifecycle": found.lifecycle,
                        "body": json.loads(found.body)})  # fmt: skip

    def _line(self, value: dict[str, Any]) -> None:
        line = _encoded(value)
        self.written.digest.update(line)
        self._file.write(line)


@dataclass
class Exported:
    """An export that is read back and held to its own hashes; the counts grow with `findings`."""

    path: Path
    runs: int = 0
    rows: int = 0

    def findings(self) -> Iterator[Finding]:
        """Give what is not as it was written; raises `AuditUnfit` for a file that is no export."""
        chain: Chain | None = None
        head: dict[str, Any] = {}
        for value in _read(self.path):
            if value["kind"] == "history":
                if chain is None:
                    raise AuditUnfit(f"{self.path}: history without a run before it")
                chain.take(value["seq"], value["at"], value["actor"], value["body"].encode(),
                           bytes.fromhex(value["hash"]))  # fmt: skip
                self.rows += 1
            elif value["kind"] in ("run", "end"):
                if chain is not None:
                    chain.end(head["revision"], bytes.fromhex(head["head"]))
                    yield from chain.findings
                chain, head = None, value
                if value["kind"] == "run":
                    self.runs += 1
                    before = bytes.fromhex(value["before"])
                    chain = Chain(value["id"], before=before, next=value["first"])
        if head.get("kind") != "end":
            yield Finding(str(self.path), 0, "it was cut off: its last line is missing")
        elif (head["runs"], head["rows"]) != (self.runs, self.rows):
            yield Finding(str(self.path), 0, "it does not have as many runs and rows as it says")
        elif head["digest"] != self._digest():
            yield Finding(str(self.path), 0, "a line was changed after it was written")

    def _digest(self) -> str:
        digest, last = hashlib.sha256(), b""
        with self.path.open("rb") as file:
            for line in file:
                digest.update(last)
                last = line
        return f"sha256:{digest.hexdigest()}"


def _read(path: Path) -> Iterator[dict[str, Any]]:
    number = 0
    try:
        with path.open("rb") as file:
            for line in file:
                number += 1
                value = json.loads(line)
                if value["kind"] not in ("run", "history", "definition", "row", "end"):
                    raise ValueError(f"there is no kind {value['kind']!r}")
                yield value
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AuditUnfit(f"{path}: line {number}: no export: {error}") from error


def _body(run: str, row: Any) -> str:
    try:
        return bytes(row.body).decode()
    except UnicodeDecodeError as error:
        text = f"{run}: row {row.seq} was changed and cannot be exported"
        raise AuditUnfit(f"{text}; say waystage audit verify {run}") from error


def _plain(value: Any) -> Any:
    return bytes(value).decode() if isinstance(value, bytes | memoryview) else value


def _encoded(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"
