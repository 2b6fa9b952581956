"""What opens a run by itself, and the parameters that its service gives it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from waystage.cli.main import run as waystage
from waystage.daemon.daemon import Daemon

WATCHING = """
lifecycle: watching
services: ["credit-*"]
start:
  - {on: snapshot.registered, if: 'snapshot.tags.candidate == "champion" && service != "x"'}
params:
  floor: {type: number, default: 1}
  channel: {type: string, default: mlops}
initial: rest
states:
  rest: {signals: [enough], next: {enough: over}}
  over: {final: true}
"""
PROJECT = """
project: p
repositories: [{name: models, use: folder, poll: PT0.05S, with: {path: models}}]
services: {credit-risk: {params: {floor: 3, unknown: 1}}, other: {}}
people: {dana: {roles: [operator]}}
roles: {operator: [operate]}
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    assert waystage(["init", str(tmp_path / "p")]) == 0
    for folder in ("lifecycles", "stages", "lifecycles/blocks"):
        for file in (tmp_path / "p" / folder).glob("*.yaml"):
            file.unlink()
    (tmp_path / "p" / "lifecycles" / "watching.yaml").write_text(WATCHING)
    (tmp_path / "p" / "waystage.yaml").write_text(PROJECT)
    return tmp_path / "p"


@pytest.fixture
def daemon(root: Path) -> Iterator[Daemon]:
    found = Daemon(root)
    yield found
    found.stop()


def register(root: Path, version: str, services: str, tags: str) -> None:
    place = root / "models" / "credit" / version
    place.mkdir(parents=True)
    (place / "model.onnx").write_bytes(version.encode())
    (place / "manifest.yaml").write_text(
        f"name: credit\nversion: '{version}'\nservices: [{services}]\nauthor: dana\n"
        f"format: onnx\ntags: {{{tags}}}\n"
    )


def test_only_what_meets_the_condition_opens_a_run_and_does_so_once(root, daemon):
    register(root, "1", "credit-risk", "candidate: champion")
    register(root, "2", "credit-risk", "candidate: challenger")
    register(root, "3", "credit-risk", "")  # the condition cannot be evaluated
    register(root, "4", "other", "candidate: champion")  # not one of the lifecycle's services
    daemon.start()
    end = time.monotonic() + 120
    while len(daemon.store.snapshots()) < 4 or not daemon.store.runs():
        assert time.monotonic() < end
        time.sleep(0.01)
    time.sleep(0.2)  # a few more looks open nothing more
    assert [run.snapshot for run in daemon.store.runs()] == ["credit/1"]


def test_the_service_s_parameters_come_before_the_defaults_and_keep_their_type(root, daemon):
    register(root, "1", "credit-risk", "")
    daemon.start()
    run = daemon.start_run("watching", "credit-risk", "credit", "1", "dana")
    body = daemon.store.run_body(run)
    assert body is not None
    assert body["params"] == {"floor": 3.0, "channel": "mlops"}
    assert isinstance(body["params"]["floor"], float)
