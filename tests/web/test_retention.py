"""Retention: runs that ended long ago are exported, removed and never forgotten."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.web.conftest import Api, change_project

from waystage.cli.main import run as waystage
from waystage.clock import HandClock
from waystage.daemon import retention
from waystage.daemon.auditing import Audit
from waystage.daemon.delivery import Delivery
from waystage.daemon.transaction import Transaction
from waystage.errors import Conflict
from waystage.kernel import events
from waystage.people import Caller
from waystage.store.audit import Finding, unmoved
from waystage.store.export import Exported
from waystage.store.heads import HeadsFile, write_heads
from waystage.store.inside import runs_named

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
NAME = "project: project\n"
OTTO = Caller("otto", "own token")
Said = Callable[..., tuple[int, str]]


class Aged:
    """A daemon whose clock is turned by hand, with runs that ended and one that did not."""

    def __init__(self, project: Path) -> None:
        self.clock = HandClock(START)
        rule = "retention: {ended: P30D, export: kept}\n"
        change_project(project, {NAME: NAME + rule})
        self.api = Api(project, self.clock)
        self.daemon = self.api.daemon
        self.ended = [self.answered(f"e{number}") for number in range(4)]
        self.open, _ = self.api.task()

    def answered(self, key: str) -> str:
        run, task = self.api.task(key=key)
        assert self.api.answer(task, "vera", "approve").status_code == 200
        return run

    def purge(self, **more: Any) -> dict[str, Any]:
        order = retention.Order(self.clock.now() - timedelta(days=30), "otto", **more)
        return retention.purge(self.daemon, order, OTTO)

    def findings(self, heads: Path | None = None) -> list[Finding]:
        with unmoved(self.daemon.store.engine) as connection:
            kept = HeadsFile(heads) if heads else None
            return list(Audit(connection, self.daemon.definitions, kept).findings())

    def write(self, text: str, *values: Any) -> None:
        def act(tx: Any) -> None:
            mark = "%s" if self.daemon.store.shared else "?"
            tx.connection.exec_driver_sql(text.replace("?", mark), values)

        self.daemon.engine.act(act).result(timeout=120)

    def runs(self) -> set[str]:
        return {run["id"] for run in self.api.get("runs")}


@pytest.fixture
def aged(project: Path) -> Iterator[Aged]:
    found = Aged(project)
    yield found
    found.api.stop()


def test_runs_that_ended_long_ago_are_exported_and_removed(aged: Aged, tmp_path: Path) -> None:
    heads = tmp_path / "heads"
    with unmoved(aged.daemon.store.engine) as connection:
        write_heads(connection, heads, {})
    assert aged.purge()["runs"] == []
    aged.clock.turn(timedelta(days=40))
    assert aged.purge(dry=True)["runs"] == aged.ended
    assert aged.runs() == {*aged.ended, aged.open}
    told = aged.purge()
    assert (told["runs"], told["kept"], aged.runs()) == (aged.ended, [], {aged.open})
    exported = Exported(Path(told["file"]))
    assert (list(exported.findings()), exported.runs, exported.rows) == ([], 4, told["rows"])
    kinds = [json.loads(line)["kind"] for line in Path(told["file"]).read_text().splitlines()]
    assert kinds.count("row") == 4  # their tasks
    assert (aged.findings(), aged.findings(heads)) == ([], [])


def test_what_tells_of_a_purge_cannot_be_changed_or_taken_away(aged: Aged, tmp_path: Path) -> None:
    aged.clock.turn(timedelta(days=40))
    aged.purge()
    heads = tmp_path / "heads"
    with unmoved(aged.daemon.store.engine) as connection:
        write_heads(connection, heads, {})
    aged.write("UPDATE purged SET by = 'nobody' WHERE id = 2")
    assert "its purge was changed" in str(aged.findings()[0])
    aged.write("UPDATE purged SET by = 'otto' WHERE id = 2")
    assert aged.findings() == []
    aged.write("DELETE FROM purged WHERE id = 4")
    assert aged.findings() == []
    assert "purged runs are gone" in str(aged.findings(heads)[0])


def test_the_rule_of_the_project_is_followed_by_itself(aged: Aged) -> None:
    assert retention.by_rule(aged.daemon) == 0
    aged.clock.turn(timedelta(days=31))
    assert retention.by_rule(aged.daemon) == 4
    assert [file.suffix for file in (aged.api.root / "kept").iterdir()] == [".jsonl"]
    assert aged.runs() == {aged.open}
    assert aged.api.get("tasks", all=True)[0]["run"] == aged.open


def test_a_run_whose_model_still_runs_stays(aged: Aged) -> None:
    no = aged.daemon.store.run(aged.ended[1]).no
    aged.write("INSERT INTO placements VALUES (1, 's', 'PROD', 'r', 'batch', 'champion', 'n/1', "
               "'d', ?, ?, 1, NULL, NULL, '', '', '', NULL, NULL)", no, b"{}")  # fmt: skip
    aged.clock.turn(timedelta(days=40))
    told = aged.purge()
    assert told["kept"] == [{"run": aged.ended[1], "why": "what it deployed still runs"}]
    assert aged.runs() == {aged.ended[1], aged.open}


def test_a_run_that_changed_after_it_was_exported_stays(
    aged: Aged, monkeypatch: pytest.MonkeyPatch
) -> None:
    aged.clock.turn(timedelta(days=40))
    export = retention._export

    def late(tx: Transaction) -> None:
        (row,) = runs_named(tx.connection, aged.ended[0], "")
        tx.deliver([Delivery(row.no, events.signal("late", {}, "otto"))])

    def exported(*given: Any) -> Path:
        path = export(*given)
        aged.daemon.engine.act(late).result(timeout=300)
        return path

    monkeypatch.setattr(retention, "_export", exported)
    assert aged.purge()["runs"] == aged.ended[1:]
    assert aged.ended[0] in aged.runs()


def test_numbers_of_removed_runs_are_not_given_again(aged: Aged) -> None:
    last = aged.answered("last")
    aged.clock.turn(timedelta(days=40))
    aged.purge()
    assert last not in aged.runs()
    assert int(aged.api.open(key="next").rpartition("-")[2]) > int(last.rpartition("-")[2])


def test_files_of_removed_runs_go_and_others_stay(aged: Aged) -> None:
    state = aged.daemon.state
    for run in (aged.ended[0], aged.open):
        (state / "scratch" / run / "x").mkdir(parents=True)
        (state / "jobs" / run).mkdir(parents=True)
        (state / "jobs" / run / "job.json").write_text(json.dumps({"key": f"{run}/1/step"}))
    aged.clock.turn(timedelta(days=40))
    aged.purge()
    assert [path.name for path in (state / "scratch").iterdir()] == [aged.open]
    assert [path.name for path in (state / "jobs").iterdir()] == [aged.open]


def test_many_runs_are_removed_in_parts(aged: Aged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "AT_ONCE", 3)
    monkeypatch.setattr(retention, "IN_ONE", 2)
    aged.clock.turn(timedelta(days=40))
    assert retention.by_rule(aged.daemon) == 4
    assert len(list((aged.api.root / "kept").iterdir())) == 2


def test_an_instant_to_come_and_runs_that_are_open_are_never_removed(aged: Aged) -> None:
    with pytest.raises(Conflict, match="is to come"):
        retention.purge(aged.daemon, retention.Order(START + timedelta(days=1), "otto"), OTTO)
    told = retention.purge(aged.daemon, retention.Order(aged.clock.now(), "otto"), OTTO)
    assert aged.open not in told["runs"]


def test_purge_is_a_verb(aged: Aged, capsys: pytest.CaptureFixture[str]) -> None:
    aged.clock.turn(timedelta(days=40))
    base = ["--project", str(aged.api.root), "--as", "otto", "purge", "--ended-before"]
    capsys.readouterr()
    assert waystage([*base, "2026-04-01", "--dry-run"]) == 0
    assert "4 runs with 8 rows would be removed." in capsys.readouterr().out
    assert waystage([*base, "2026-04-01T00:00Z", "--vacuum"]) == 0
    assert "4 runs with 8 rows are removed." in capsys.readouterr().out
    assert aged.runs() == {aged.open}
    assert aged.findings() == []


def test_a_retention_of_less_than_a_day_is_refused(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change_project(project, {NAME: f"{NAME}retention: {{ended: PT1H}}\n"})
    capsys.readouterr()
    assert waystage(["--project", str(project), "validate"]) == 1
    assert "kept for a day at least" in capsys.readouterr().out
