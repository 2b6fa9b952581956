"""Runs that move to a changed text, on a real database, and a daemon whose files change."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from waystage.cli.main import run as waystage
from waystage.daemon import migrating
from waystage.daemon.daemon import Daemon
from waystage.daemon.migrating import Order, migrate
from waystage.errors import Forbidden, Invalid
from waystage.kernel import Event, Run, events
from waystage.kernel.migration import MIGRATED
from waystage.kernel.replay import rebuild
from waystage.planning.fit import fit_of
from waystage.store.codec import micros

TEXT = """
lifecycle: flow
services: ["*"]
initial: soak
states:
  soak: {lease: "{{ service }}", timers: {soaked: {after: P1D}}, signals: [go],
         next: {soaked: late, go: ask}}
  ask:
    task: {title: Sure?, for: [role:validator], quorum: 2, form: {limit: {type: number}}}
    next: {approve: over, reject: over}
  late: {final: true, outcome: late}
  over: {final: true}
"""
RENAMED = TEXT.replace("soak: {", "settle: {").replace("initial: soak", "initial: settle").replace(
    "after: P1D", "after: P2D")  # fmt: skip
MAPPING = "migration: flow\nstates: {soak: settle}\n"


def move(bench: Any, run: str, text: str, mapping: dict[str, str]) -> None:
    """Move one run as the daemon does, with the decision in the same transaction."""
    new = bench.lifecycle(text)
    bench.definitions._compiled[new.hash] = new
    row = bench.store.run(run)

    def act(tx: Any) -> None:
        tx.load([row.no])
        touched = tx.touched[row.no]
        fit = fit_of(touched.definition, new, touched.hot.run, mapping)
        assert fit.migration is not None, fit
        tx.opened.keep(new, micros(tx.now))
        tx.deliver([migrating.Delivery(row.no, fit.migration.event("otto", "renamed"))])

    bench.engine.act(act).result(timeout=120)


def test_a_moved_run_lives_by_the_new_text_and_its_history_says_so(bench: Any) -> None:
    old = bench.lifecycle(TEXT)
    run = bench.open(old)
    other = bench.open(old, "other")  # waits for the lease that the first one holds
    move(bench, run, RENAMED, {"soak": "settle"})
    assert bench.places(run) == ("settle",)
    assert bench.store.run(run).definition == bench.lifecycle(RENAMED).hash
    assert bench.store.timers_of(run) == []  # the lease of the state that it left went on
    bench.turn(timedelta(days=1, hours=1))
    assert bench.store.run(other).outcome == "late"
    assert [timer.state for timer in bench.store.timers_of(run)] == ["settle"]
    bench.turn(timedelta(days=1, hours=12))
    assert bench.places(run) == ("settle",)  # two days by the new text
    bench.turn(timedelta(hours=13))
    assert bench.store.run(run).outcome == "late"
    rebuilt(bench, run)


def rebuilt(bench: Any, run: str) -> None:
    """Hold a run's row against what its history leads to, over all its definitions."""
    rows = bench.store.history(run)
    history = [(Event.from_json(row.event, row.actor), row.at) for row in rows]
    first = bench.definitions.by_hash(history[0][0].data["opened"]["definition"])
    again = rebuild(first, history, bench.definitions.by_hash)
    assert again == Run.from_json(bench.store.run_body(run))
    (moved,) = [row for row in rows if row.event["kind"] == MIGRATED]
    assert moved.actor == "otto"
    assert moved.event["data"]["from"] == first.hash
    assert moved.event["data"]["to"] == again.definition == bench.store.run(run).definition


def test_a_moved_run_is_taken_up_by_the_next_daemon(bench: Any) -> None:
    run = bench.open(bench.lifecycle(TEXT))
    move(bench, run, RENAMED, {"soak": "settle"})
    bench.stop()
    bench.boot()  # it knows no definition but those in the database
    bench.send(run, events.signal("go", {}))
    bench.until(lambda: bench.places(run) == ("ask",))
    rebuilt(bench, run)


def test_votes_that_were_cast_before_a_migration_do_not_count_after_it(bench: Any) -> None:
    run = bench.open(bench.lifecycle(TEXT))
    bench.send(run, events.signal("go", {}))
    entry = bench.store.tasks()[0].entry
    bench.send(run, events.vote("ask", entry, "approve", {}, "vera"))
    before = bench.store.tasks()[0].body
    move(bench, run, TEXT.replace("P1D", "P3D"), {})
    after = bench.store.tasks()[0].body
    assert after["votes"] == []
    assert after["shown"] != before["shown"]
    bench.send(run, events.vote("ask", entry, "approve", {}, "victor"))
    assert bench.places(run) == ("ask",)
    bench.send(run, events.vote("ask", entry, "approve", {}, "vera"))
    assert bench.store.run(run).outcome == "done"
    rebuilt(bench, run)


class House:
    """A project with a daemon, and what tests do with it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.file = root / "lifecycles" / "flow.yaml"
        self.daemon = Daemon(root)
        self.daemon.start()

    def open(self, key: str) -> str:
        return self.daemon.start_run("flow", "credit-risk", "credit", "1", "dana", key)

    def migrate(self, **more: Any) -> dict[str, Any]:
        return migrate(self.daemon, Order("flow", more.pop("person", "otto"), **more))

    def until(self, holds: Callable[[], Any]) -> None:
        end = time.monotonic() + 120
        while not holds():
            assert time.monotonic() < end, "nothing happens any more"
            time.sleep(0.01)

    def messages(self) -> list[str]:
        file = self.root / "messages.jsonl"
        return [json.loads(line)["title"] for line in file.read_text().splitlines()
                ] if file.exists() else []  # fmt: skip


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    root = tmp_path / "project"
    assert waystage(["init", str(root)]) == 0
    for file in (root / "lifecycles").glob("*.yaml"):
        file.unlink()
    (root / "lifecycles" / "flow.yaml").write_text(TEXT)
    place = root / "models" / "credit" / "1"
    place.mkdir(parents=True)
    (place / "model.onnx").write_bytes(b"weights")
    (place / "manifest.yaml").write_text(
        "name: credit\nversion: '1'\nservices: [credit-risk]\nauthor: dana\nformat: onnx\n"
    )
    found = House(root)
    yield found
    found.daemon.stop()


def test_a_changed_file_is_taken_up_for_new_runs_alone(house: House) -> None:
    old = house.open("a")
    before = house.daemon.definitions.by_name("flow").hash
    house.file.write_text(RENAMED)
    house.until(lambda: house.daemon.definitions.by_name("flow").hash != before)
    assert house.daemon.store.run(house.open("b")).places == ("settle",)
    assert house.daemon.store.run(old).places == ("soak",)


def test_a_file_that_does_not_hold_is_not_taken_up_and_that_is_told(house: House) -> None:
    before = house.daemon.definitions.by_name("flow").hash
    house.file.write_text(TEXT.replace("reject: over", "rejct: over"))
    house.until(lambda: house.daemon.changes.refusal)
    assert house.daemon.definitions.by_name("flow").hash == before
    state = house.daemon.changes.state()
    assert state["ok"] is False
    assert any("did you mean" in problem["suggestion"] for problem in state["problems"])
    house.until(lambda: house.messages() == ["Changed files have problems and are not taken up"])
    with pytest.raises(Invalid):
        house.daemon.reload()
    house.file.write_text(TEXT)
    house.until(lambda: not house.daemon.changes.refusal)
    house.until(lambda: house.messages()[1:] == ["The project's files hold again"])


def test_people_are_taken_up_and_what_the_daemon_is_built_on_waits(house: House) -> None:
    file = house.root / "waystage.yaml"
    text = file.read_text().replace("dana: {roles: [scientist]", "dana: {roles: []")
    file.write_text(text.replace("database: sqlite:///waystage.db", "database: sqlite:///b.db"))
    taken = house.daemon.reload()
    assert taken.at_start == ("database",)
    assert house.daemon.files.project.spec.people["dana"].roles == ()
    assert house.daemon.files.project.spec.database == "sqlite:///waystage.db"


def test_migrating_needs_the_right_to_operate_and_a_mapping_that_holds(house: House) -> None:
    house.open("a")
    house.file.write_text(RENAMED)
    house.daemon.reload()
    with pytest.raises(Forbidden):
        house.migrate(person="vera", mapping=MAPPING, apply=True)
    with pytest.raises(Invalid, match=r"mapping:2:10: states\.sok: .* did you mean soak"):
        house.migrate(mapping="migration: flow\nstates: {sok: settle}\n", apply=True)
    assert house.migrate()["runs"][0]["verdict"] == "map"
    dry = house.migrate(mapping=MAPPING)["runs"][0]
    assert (dry["verdict"], dry["moved"]) == ("map", False)


def test_a_migration_that_was_cut_off_goes_on_where_it_stopped(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrating, "AT_ONCE", 2)
    runs = [house.open(key) for key in "abcde"]
    house.file.write_text(RENAMED)
    house.daemon.reload()
    first = house.migrate(mapping=MAPPING, apply=True)
    assert [each["moved"] for each in first["runs"]] == [True, True]
    again = house.migrate(mapping=MAPPING, apply=True)  # as if the first answer was lost
    assert [each["verdict"] for each in again["runs"]] == ["same", "same"]
    after = again["after"]
    while after is not None:
        after = house.migrate(mapping=MAPPING, apply=True, after=after)["after"]
    assert {house.daemon.store.run(run).places for run in runs} == {("settle",)}
    for run in runs:
        moves = [row for row in house.daemon.store.history(run) if row.event["kind"] == MIGRATED]
        assert len(moves) == 1


def test_plan_and_replay_read_the_database_beside_a_daemon_and_without_one(
    house: House, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = house.open("a")
    changed = tmp_path / "changed.yaml"
    changed.write_text(RENAMED)

    def told(*arguments: str) -> Any:
        capfd.readouterr()
        assert waystage(["--project", str(house.root), *arguments, "--json"]) == 0
        return json.loads(capfd.readouterr().out)

    plan = told("plan", str(changed))["plans"][0]
    assert plan["counts"] == {"map": 1}
    assert plan["mapping_needed"] == {"soak": ""}
    house.daemon.stop()
    assert told("plan", str(changed))["plans"][0] == plan
    assert told("plan")["plans"][0]["counts"] == {"same": 1}
    replayed = told("replay", run, "--with", str(changed))
    assert replayed["first"] == 1
    assert replayed["rows"][0]["now"] == ["settle"]
    assert told("replay", run)["first"] is None


def test_before_anything_ran_a_plan_makes_no_database(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "project"
    assert waystage(["init", str(root)]) == 0
    assert waystage(["--project", str(root), "plan"]) == 0
    assert "new, no run has followed it yet" in capfd.readouterr().out
    assert not list(root.glob("*.db*"))
