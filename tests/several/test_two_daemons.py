"""Two daemons on one PostgreSQL: what is said to one is honored by the other at once."""

from __future__ import annotations

import time

import pytest
from side_by_side import acted, make_project, marks, until

from waystage.cli.main import run as waystage

PROMOTED = """
lifecycle: promoted
services: [s]
initial: wait
states:
  wait: {timers: {soon: {after: PT0.2S}}, next: {soon: deploy}}
  deploy:
    stage: PROD
    steps: [{use: side.deploy, id: one}]
    next: end
  end: {final: true}
"""
BREAKS = """
lifecycle: breaks
services: [s]
initial: a
states:
  a: {steps: [{use: side.act, with: {fail: true}}], next: end}
  end: {final: true}
"""
TICKS = """
lifecycle: ticks
services: [s]
initial: a
states:
  a: {timers: {tick: {after: PT0.1S}}, signals: [stop], next: {tick: b, stop: end}}
  b: {steps: [{use: side.act}], next: a}
  end: {final: true}
"""
TEXTS = {"promoted": PROMOTED, "breaks": BREAKS, "ticks": TICKS}
STAGE = "stage: PROD\nruntimes: []\n"


@pytest.fixture
def two(start, tmp_path, postgres_url):
    """Two daemons, each with a checkout of its own."""
    sides = []
    for number in range(2):
        root = make_project(tmp_path / f"checkout{number}", postgres_url, TEXTS)
        (root / "stages").mkdir()
        (root / "stages/prod.yaml").write_text(STAGE)
        sides.append(start(postgres_url, root=root))
    return [side.up() for side in sides]


def places(side, run):
    return side.get(f"runs/{run}")["places"]


@pytest.mark.slow
def test_pauses_stops_and_repairs_hold_for_both(two, effects):
    first, second = two
    _pauses(first, second, effects)
    _stops(first, second)
    _repairs(first, second)


def _pauses(first, second, effects):
    run = first.open("t", "ticks").json()["run"]
    until(lambda: sum(acted(effects).values()) > 3)
    answer = second.ask("POST", f"runs/{run}/pause", reason="look")
    assert answer.status_code == 200, answer.text
    calls = len(marks(effects))
    time.sleep(1.5)  # ticks for fifteen calls, if either daemon went on
    assert len(marks(effects)) - calls <= 2, "but what was being called is finished"
    assert first.get(f"runs/{run}")["paused"]["reason"] == "look"
    assert first.ask("POST", f"runs/{run}/resume").status_code == 200
    until(lambda: len(marks(effects)) > calls + 6)
    assert first.ask("POST", "lifecycles/ticks/pause", reason="all").status_code == 200
    late = second.open("late", "ticks").json()["run"]
    assert second.get(f"runs/{late}")["paused"]["reason"] == "all", "also what is opened since"
    refused = second.ask("POST", f"runs/{late}/pause", reason="again")
    assert refused.status_code == 409
    assert second.ask("POST", "lifecycles/ticks/resume").json()["runs"] == 2
    assert second.ask("POST", "lifecycles/ticks/pause", reason="enough").json()["runs"] == 2


def _stops(first, second):
    assert first.ask("POST", "stages/PROD/stop", reason="smoke").status_code == 200
    runs = [second.open(f"p{n}", "promoted").json()["run"] for n in range(6)]
    until(lambda: all(second.get(f"runs/{run}")["waits"] for run in runs))
    assert {places(first, run)[0] for run in runs} == {"deploy"}
    assert first.ask("POST", f"runs/{runs[0]}/override", reason="must").status_code == 200
    until(lambda: places(second, runs[0]) == ["end"])
    assert {places(second, run)[0] for run in runs[1:]} == {"deploy"}
    opened = second.ask("POST", "stages/PROD/open")
    assert opened.json()["asked"] == 5
    until(lambda: all(places(first, run) == ["end"] for run in runs))


def _repairs(first, second):
    runs = [(first, second)[n % 2].open(f"b{n}", "breaks").json()["run"] for n in range(10)]
    until(lambda: len(first.get("incidents")) == 10)
    chosen = {"kind": "skip", "all_of": {"lifecycle": "breaks"}, "reason": "by hand"}
    seen = second.ask("POST", "repairs", **chosen).json()
    assert (seen["found"], seen["applied"]) == (10, False)
    done = second.ask("POST", "repairs", **chosen, apply=True)
    assert done.status_code == 200, done.text
    until(lambda: all(places(first, run) == ["end"] for run in runs))
    assert first.get("incidents") == []


@pytest.mark.slow
def test_changed_files_are_taken_up_by_each_daemon_from_its_own_checkout(two, effects, capfd):
    first, second = two
    old = second.open("before", "promoted").json()["run"]
    new = PROMOTED.replace("after: PT0.2S", "after: PT0.1S")
    (first.root / "lifecycles/promoted.yaml").write_text(new)
    assert "promoted" in first.ask("POST", "files/reload").json()["said"]
    hashes = [side.get("files")["lifecycles"]["promoted"] for side in two]
    assert hashes[0] != hashes[1], "the other checkout was not changed"
    runs = {side: side.open(f"after{n}", "promoted").json()["run"] for n, side in enumerate(two)}
    assert [second.get(f"runs/{runs[side]}")["definition"] for side in two] == hashes
    until(lambda: all(places(first, run) == ["end"] for run in (old, *runs.values())))
    (second.root / "lifecycles/promoted.yaml").write_text(new)
    until(lambda: second.get("files")["lifecycles"]["promoted"] == hashes[0])
    (first.root / "lifecycles/promoted.yaml").write_text(new.replace("next: end", "next: nowhere"))
    assert first.ask("POST", "files/reload").status_code == 400
    assert first.get("files")["ok"] is False
    assert second.get("files")["ok"] is True

    assert waystage(["--project", str(first.root), "backup", "copy.db"]) == 1
    assert "pg_dump --format=custom" in capfd.readouterr().err
