"""Auditing: whatever is changed, removed, moved or cut off in a history is found and named."""

from __future__ import annotations

import json
import random
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, insert, select, update

from waystage.daemon.auditing import Audit
from waystage.errors import NotFound
from waystage.kernel import events
from waystage.store import schema as t
from waystage.store.audit import GENESIS, Finding, unmoved
from waystage.store.codec import chained, dump, load, micros
from waystage.store.export import Export, Exported
from waystage.store.heads import AuditUnfit, HeadsFile, write_heads

WORKING = """
lifecycle: working
services: [s]
data: {count: {type: integer, default: 0}}
initial: first
states:
  first:
    steps: [{use: test.act, with: {do: one}}, {use: test.act, with: {do: two}}]
    next: {done: second, refused: over}
  second:
    timers: {later: {after: PT1H}}
    next: {later: {to: asked, set: {count: "{{ data.count + 1 }}"}}}
  asked:
    task: {title: "Go on?", for: [vera], outcomes: [yes_go, no_go]}
    next: {yes_go: first, no_go: over}
  over: {final: true}
"""
VOTE = {"roles": [], "form": {}, "comment": "because", "shown": ""}


class Audited:
    """A database with some history, and ways to tamper with it that leave nothing behind."""

    def __init__(self, bench: Any) -> None:
        self.bench, self.store = bench, bench.store
        definition = bench.lifecycle(WORKING)
        self.runs = [bench.open(definition, f"k{number}") for number in range(6)]
        bench.settle()
        bench.turn(timedelta(hours=2))
        for run in self.runs[:4]:
            for task in self.store.tasks(run=run):
                outcome = "no_go" if run == self.runs[0] else "yes_go"
                bench.send(run, events.vote("asked", task.entry, outcome, VOTE, "vera"))
        bench.settle()
        bench.turn(timedelta(hours=2))

    def audit(self, connection: Any, heads: Path | None = None, run: str = "") -> list[Finding]:
        kept = HeadsFile(heads) if heads else None
        return list(Audit(connection, self.bench.definitions, kept, run).findings())

    def heads(self, path: Path) -> Path:
        with unmoved(self.store.engine) as connection:
            write_heads(connection, path, {"project": "p"})
        return path

    @contextmanager
    def tampering(self) -> Iterator[Any]:
        with self.store.engine.connect() as connection:
            yield connection
            connection.rollback()

    def rows(self, connection: Any) -> list[Any]:
        return list(
            connection.execute(select(t.history).order_by(t.history.c.run, t.history.c.seq))
        )

    def name(self, connection: Any, no: int) -> str:
        return str(connection.execute(select(t.runs.c.id).where(t.runs.c.no == no)).scalar())


@pytest.fixture
def audited(bench: Any) -> Audited:
    return Audited(bench)


def test_nothing_is_found_in_a_sound_database(audited: Audited, tmp_path: Path) -> None:
    heads = audited.heads(tmp_path / "heads")
    with unmoved(audited.store.engine) as connection:
        audit = Audit(connection, audited.bench.definitions, HeadsFile(heads))
        assert list(audit.findings()) == []
    assert (audit.runs, audit.unheld) == (6, 0)
    assert audit.rows == sum(len(audited.store.history(run)) for run in audited.runs) > 30


def _at(row: Any) -> Any:
    return (t.history.c.run == row.run) & (t.history.c.seq == row.seq)


def _flipped(value: Any, dice: random.Random) -> Any:
    if isinstance(value, int):
        return value ^ (1 << dice.randrange(20))
    if isinstance(value, str):
        at = dice.randrange(len(value))
        return value[:at] + chr(ord(value[at]) ^ 1) + value[at + 1 :]
    data = bytearray(value)
    data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
    return bytes(data)


def _flip(connection: Any, rows: list[Any], dice: random.Random) -> tuple[int, set[int]]:
    row, name = dice.choice(rows), dice.choice(("at", "actor", "body", "hash"))
    connection.execute(update(t.history).where(_at(row)).values(
        {name: _flipped(getattr(row, name), dice)}))  # fmt: skip
    return row.run, {row.seq}


def _remove(connection: Any, rows: list[Any], dice: random.Random) -> tuple[int, set[int]]:
    row = dice.choice(rows)
    connection.execute(delete(t.history).where(_at(row)))
    return row.run, {row.seq}


def _cut_off(connection: Any, rows: list[Any], dice: random.Random) -> tuple[int, set[int]]:
    row = dice.choice(rows)
    h = t.history.c
    connection.execute(delete(t.history).where(h.run == row.run, h.seq >= row.seq))
    return row.run, {row.seq}


def _swap(connection: Any, rows: list[Any], dice: random.Random) -> tuple[int, set[int]]:
    one = dice.choice(rows)
    other = dice.choice([row for row in rows if row.hash != one.hash])
    for here, there in ((one, other), (other, one)):
        values = {name: getattr(there, name) for name in ("at", "actor", "body", "hash")}
        connection.execute(update(t.history).where(_at(here)).values(values))
    return one.run, {one.seq}


def _renumber(connection: Any, rows: list[Any], dice: random.Random) -> tuple[int, set[int]]:
    row = dice.choice(rows)
    connection.execute(update(t.history).where(_at(row)).values(seq=row.seq + 1000))
    return row.run, {row.seq}


def _insert(connection: Any, rows: list[Any], dice: random.Random) -> tuple[int, set[int]]:
    row = dice.choice(rows)
    last = max(each for each in rows if each.run == row.run)
    more = dict(row._mapping) | {"seq": last.seq + 1}
    more["hash"] = chained(last.hash, more["seq"], row.at, row.actor, row.body)
    connection.execute(insert(t.history).values(more))
    return row.run, {last.seq + 1}


TAMPERINGS = (_flip, _remove, _cut_off, _swap, _renumber, _insert)


def test_a_thousand_tamperings_are_all_found_and_named(audited: Audited) -> None:
    dice = random.Random(20260301)
    with audited.tampering() as connection:
        rows = audited.rows(connection)
        names = {row.run: audited.name(connection, row.run) for row in rows}
        for number in range(1000 if audited.store.engine.dialect.name == "sqlite" else 100):
            point = connection.begin_nested()
            tampering = dice.choice(TAMPERINGS)
            run, where = tampering(connection, rows, dice)
            found = audited.audit(connection)
            said = {each.row for each in found if each.run == names[run]}
            assert where <= said, f"{number}: {tampering.__name__} {names[run]} {where}: {found}"
            point.rollback()
        assert audited.audit(connection) == []


@pytest.mark.parametrize("name", ["id", "lifecycle", "definition", "service", "snapshot", "status",
                                  "outcome", "places", "revision", "head", "opened_at",
                                  "changed_at", "there_since"])  # fmt: skip
def test_a_run_that_is_not_what_its_history_leads_to_is_found(audited: Audited, name: str) -> None:
    dice = random.Random(name)
    with audited.tampering() as connection:
        row = connection.execute(select(t.runs).where(t.runs.c.id == audited.runs[0])).one()
        wrong = {name: _flipped(getattr(row, name) or "x", dice)}
        connection.execute(update(t.runs).where(t.runs.c.no == row.no).values(wrong))
        (found, *_) = audited.audit(connection)
        assert found.run == (wrong["id"] if name == "id" else row.id)


def test_a_value_that_was_slipped_into_a_run_is_named(audited: Audited) -> None:
    with audited.tampering() as connection:
        row = connection.execute(select(t.runs).where(t.runs.c.id == audited.runs[1])).one()
        body = load(row.body) | {"data": {"count": 7}}
        connection.execute(update(t.runs).where(t.runs.c.no == row.no).values(body=dump(body)))
        assert [str(each) for each in audited.audit(connection)] == [
            f"{row.id}: 'data' of its row is not what its history leads to"
        ]


def test_a_run_row_without_history_and_history_without_a_run_row_are_found(
    audited: Audited,
) -> None:
    with audited.tampering() as connection:
        connection.execute(delete(t.runs).where(t.runs.c.id == audited.runs[2]))
        (found,) = audited.audit(connection)
        assert "the run's row is missing" in found.said


def _forged(connection: Any, rows: list[Any]) -> None:
    """Change who voted, and make all hashes anew, as someone does who can write the database."""
    before, run = GENESIS, rows[0].run
    for row in (each for each in rows if each.run == run):
        actor = "victor" if row.actor == "vera" else row.actor
        before = chained(before, row.seq, row.at, actor, row.body)
        connection.execute(update(t.history).where(_at(row)).values(actor=actor, hash=before))
    connection.execute(update(t.runs).where(t.runs.c.no == run).values(head=before))


def test_a_chain_that_was_made_anew_is_found_by_a_head_that_was_kept(
    audited: Audited, tmp_path: Path
) -> None:
    heads = audited.heads(tmp_path / "heads")
    with audited.tampering() as connection:
        _forged(connection, audited.rows(connection))
        assert any("not the one whose hash was kept" in f.said
                   for f in audited.audit(connection, heads))  # fmt: skip


def test_a_run_that_was_removed_without_a_trace_is_found_by_a_head_that_was_kept(
    audited: Audited, tmp_path: Path
) -> None:
    heads = audited.heads(tmp_path / "heads")
    with audited.tampering() as connection:
        for run in (audited.runs[0], audited.runs[-1]):
            no = connection.execute(select(t.runs.c.no).where(t.runs.c.id == run)).scalar()
            connection.execute(delete(t.history).where(t.history.c.run == no))
            connection.execute(delete(t.runs).where(t.runs.c.no == no))
        assert audited.audit(connection) == []  # nothing in the database tells of it
        found = audited.audit(connection, heads)
        assert [each.run for each in found] == [audited.runs[0], audited.runs[-1]]


def test_runs_that_went_on_after_the_heads_were_kept_are_sound(
    audited: Audited, tmp_path: Path
) -> None:
    heads = audited.heads(tmp_path / "heads")
    run = audited.runs[1]
    (task,) = audited.store.tasks(run=run)
    audited.bench.send(run, events.vote("asked", task.entry, "yes_go", VOTE, "vera"))
    audited.bench.open(audited.bench.lifecycle(WORKING), "later")
    audited.bench.settle()
    with unmoved(audited.store.engine) as connection:
        audit = Audit(connection, audited.bench.definitions, HeadsFile(heads))
        assert list(audit.findings()) == []
    assert audit.unheld == 1


def test_a_file_of_heads_that_was_changed_or_cut_off_is_refused(
    audited: Audited, tmp_path: Path
) -> None:
    heads = audited.heads(tmp_path / "heads")
    lines = heads.read_text().splitlines(keepends=True)
    for text in ("".join(lines[:-1]), "".join(lines[1:]),
                 heads.read_text().replace('"rows": ', '"rows": 1'), "", "no JSON"):  # fmt: skip
        heads.write_text(text)
        with pytest.raises(AuditUnfit):
            HeadsFile(heads)


def test_one_run_may_be_looked_at_alone(audited: Audited) -> None:
    with audited.tampering() as connection:
        rows = audited.rows(connection)
        bad = audited.name(connection, rows[0].run)
        connection.execute(update(t.history).where(_at(rows[0])).values(actor="nobody"))
        assert audited.audit(connection, run=audited.runs[-1]) == []
        assert [each.row for each in audited.audit(connection, run=bad)] == [1]
        with pytest.raises(NotFound):
            audited.audit(connection, run="s-99")


def export(audited: Audited, path: Path, **more: Any) -> Path:
    with unmoved(audited.store.engine) as connection:
        written = Export(connection, path)
        written.history(**more)
        written.close(project="p")
    return path


def test_an_export_proves_itself(audited: Audited, tmp_path: Path) -> None:
    found = Exported(export(audited, tmp_path / "all.jsonl"))
    assert list(found.findings()) == []
    assert (found.runs, found.rows) == (
        6, sum(len(audited.store.history(run)) for run in audited.runs)
    )  # fmt: skip


def test_an_export_since_an_instant_has_what_came_then_and_proves_itself(
    audited: Audited, tmp_path: Path
) -> None:
    since = micros(audited.bench.clock.now() - timedelta(hours=1))
    part = Exported(export(audited, tmp_path / "part.jsonl", since=since))
    assert list(part.findings()) == []
    late = [row for run in audited.runs for row in audited.store.history(run)
            if micros(row.at) >= since]  # fmt: skip
    assert 0 < part.rows == len(late)


def test_whatever_is_done_to_an_export_is_found(audited: Audited, tmp_path: Path) -> None:
    file = export(audited, tmp_path / "all.jsonl")
    lines, dice = file.read_text().splitlines(), random.Random(7)
    changes: list[Callable[[list[str]], Any]] = [
        lambda some: some.pop(dice.randrange(len(some))),
        lambda some: some.insert(0, some.pop(dice.randrange(1, len(some)))),
        lambda some: some.__delitem__(slice(dice.randrange(1, len(some)), None)),
        lambda some: _in_json(some, dice),
    ]
    for number in range(200):
        some = list(lines)
        changes[number % len(changes)](some)
        file.write_text("\n".join(some) + "\n")
        try:
            found = list(Exported(file).findings())
        except AuditUnfit:
            continue
        assert found, f"change {number}"


def _in_json(lines: list[str], dice: random.Random) -> None:
    number = dice.choice([n for n, line in enumerate(lines) if '"history"' in line])
    row = json.loads(lines[number])
    name = dice.choice(("at", "actor", "body", "hash", "seq"))
    row[name] = _flipped(row[name], dice) if name != "hash" else "00" * 32
    lines[number] = json.dumps(row, ensure_ascii=False)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_hundred_thousand_rows_are_read_within_a_few_megabytes(
    audited: Audited, tmp_path: Path
) -> None:
    with audited.tampering() as connection:
        _multiply(connection, audited.rows(connection), 100_000)
        tracemalloc.start()
        audit = Audit(connection, audited.bench.definitions)
        assert sum("row" in each.said for each in audit.findings()) > 1000  # no run rows for them
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert audit.rows > 100_000
    assert peak < 30e6


def _multiply(connection: Any, rows: list[Any], wanted: int) -> None:
    mine = [dict(row._mapping) for row in rows if row.run == rows[0].run]
    for number in range(10_000, 10_000 + wanted // len(mine) + 1):
        connection.execute(insert(t.history), [row | {"run": number} for row in mine])
