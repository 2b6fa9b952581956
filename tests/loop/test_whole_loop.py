"""The shipped lifecycle on real processes, with the real daemon killed in the middle of it."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from waystage.cli.demo.screen import Screen
from waystage.cli.demo.story import Story, _endpoint, _first_model
from waystage.cli.demo.world import World

pytest.importorskip("skl2onnx", reason="the extra `demo` is not installed")


@pytest.fixture
def world(tmp_path: Path, database_url: str) -> Iterator[World]:
    found = World(tmp_path / "project")
    found.make_project()
    shared = database_url.startswith("postgresql")
    if shared:
        project, kept = found.root / "waystage.yaml", "sqlite:///waystage.db"
        assert kept in project.read_text(), "one line says where the state is kept"
        project.write_text(project.read_text().replace(kept, database_url))
    yield found
    found.stop()
    assert (found.root / "waystage.db").exists() != shared


def kill_and_restart(world: World) -> None:
    """SIGKILL the daemon, as a power cut of the machine's plug would, and start another."""
    assert world._daemon is not None
    os.kill(world._daemon.pid, signal.SIGKILL)
    world._daemon.wait(timeout=120)
    (world.root / ".waystage/daemon.json").unlink(missing_ok=True)
    world.start_daemon()


@pytest.mark.slow
def test_a_model_reaches_production_though_the_daemon_is_killed_on_the_way(world: World) -> None:
    world.start_daemon()
    story = Story(Screen(), world)
    run = _first_model(story)
    story.run_in(run, "approve")
    story.decide("vera", "approve", "image_tag=1.0.0")
    kill_and_restart(world)  # somewhere in building or deploying
    for stage in ("DEV", "SIT", "UAT"):
        story.run_in(run, f"promote.{stage}.soak")
        kill_and_restart(world)  # while a timer waits
        world.turn("PT1H")
    story.run_in(run, "release")
    story.decide("otto", "go")
    kill_and_restart(world)
    story.run_in(run, "production.maturing")
    moves = [
        r for row in world.api(f"runs/{run}/history") for r in row["records"] if r[0] == "moved"
    ]
    assert len(moves) == len({tuple(move) for move in moves}), "no transition happened twice"

    rows = world.api("placements", service="credit-risk")
    assert {(row["stage"], row["mode"]) for row in rows} == {
        ("DEV", "online"), ("SIT", "batch"), ("UAT", "online"), ("PROD", "online")}  # fmt: skip
    manifest_row = rows[0]["body"]["snapshot"]["example"][0]
    answer = world.http.post(f"{_endpoint(world)}:predict", json={"instances": [manifest_row]})
    assert 0 <= answer.json()["predictions"][0]["score"] <= 1

    kill_the_server(world)
    messages = world.root / "messages.jsonl"
    world.until(lambda: "PROD: credit-risk has drifted" in told(messages), "nobody is told")
    world.until(lambda: "is well again" in told(messages), "the dead server is not started again")
    assert state_in(world, "PROD") == "ok"
    answer = world.http.post(f"{_endpoint(world)}:predict", json={"instances": [manifest_row]})
    assert answer.status_code == 200, "at the address that it had"


def kill_the_server(world: World) -> None:
    """Kill the process that serves in PROD, and wait until it is gone."""
    rows = world.api("placements", service="credit-risk")
    ref = next(row["body"]["deployed"]["handle"] for row in rows if row["stage"] == "PROD")
    pid = json.loads((Path(ref["directory"]) / "process.json").read_text())["pid"]
    os.kill(pid, signal.SIGKILL)


def state_in(world: World, stage: str) -> str:
    rows = world.api("placements", service="credit-risk")
    return next(str(row["state"]) for row in rows if row["stage"] == stage)


def told(messages: Path) -> str:
    return messages.read_text() if messages.exists() else ""
