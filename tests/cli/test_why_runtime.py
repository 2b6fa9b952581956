"""`waystage why-runtime`: the choice that deploying makes, and its reasons."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from waystage.cli.main import run as waystage
from waystage.daemon.choice import explain
from waystage.daemon.connections import Connections
from waystage.errors import Hopeless
from waystage.registry import load_catalog
from waystage.spec.load import load_project

STAGE = """
stage: LAB
runtimes:
  - {name: wide, use: local.serving, mode: online, services: ["*"]}
  - {name: fraud, use: local.serving, mode: online, services: ["cc-*", cc-fraud], prefer: true}
  - {name: twin-a, use: local.process, mode: batch, services: ["twin*"]}
  - {name: twin-b, use: local.process, mode: batch, services: [twins, one]}
  - {name: both-a, use: local.process, mode: batch, services: [both], prefer: true}
  - {name: both-b, use: local.process, mode: batch, services: [both], prefer: true}
"""
BATCH = """
stage: NIGHT
runtimes:
  - {name: nightly, use: local.process, mode: batch, services: [one]}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("WAYSTAGE_AS", "WAYSTAGE_TOKEN", "WAYSTAGE_URL"):
        monkeypatch.delenv(name, raising=False)
    assert waystage(["init", str(tmp_path / "project")]) == 0
    for name, text in (("LAB", STAGE), ("NIGHT", BATCH)):
        (tmp_path / "project" / "stages" / f"{name}.yaml").write_text(text)
    return tmp_path / "project"


CASES = [
    ("LAB", "one", "online", "wide", "it alone is for one (services: *)"),
    ("LAB", "one", "batch", "twin-b", "it alone is for one (services: one)"),
    ("LAB", "cc-fraud", "online", "fraud", "of wide, fraud it alone says prefer: true"),
    ("LAB", "twins", "batch", None, "twin-a, twin-b are all for twins; say prefer: true at one"),
    ("LAB", "both", "batch", None, "both-a and both-b both say prefer: true; leave it at one"),
    ("LAB", "zzz", "batch", None, "none of twin-a, twin-b, both-a, both-b is for zzz"),
    ("NIGHT", "one", "online", None, "the stage has none"),
]


@pytest.mark.parametrize(("stage", "service", "mode", "runtime", "why"), CASES)
def test_the_reason_is_given_for_each_mode(
    project: Path, stage: str, service: str, mode: str, runtime: str | None, why: str
) -> None:
    found = explain(load_project(project), service, stage)
    chosen: dict[str, Any] = next(each for each in found["modes"] if each["mode"] == mode)
    assert (chosen["runtime"], chosen["why"]) == (runtime, why)


@pytest.mark.parametrize("stage", ["LAB", "NIGHT"])
@pytest.mark.parametrize("service", ["one", "cc-fraud", "twins", "both", "zzz"])
@pytest.mark.parametrize("mode", ["online", "batch", None])
def test_what_is_said_is_what_deploying_chooses(
    project: Path, stage: str, service: str, mode: Any
) -> None:
    files = load_project(project)
    found = explain(files, service, stage)
    said = next((each["runtime"] for each in found["modes"] if each["mode"] == mode), found["any"])
    connections = Connections(files, load_catalog(), None, project)  # type: ignore[arg-type]  # no runtime is called
    try:
        chosen = connections.runtime(service, stage, mode).name
    except Hopeless:
        chosen = None
    assert said == chosen


def test_the_verb_shows_candidates_and_choice(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    capfd.readouterr()
    base = ["--project", str(project), "why-runtime"]
    assert waystage([*base, "cc-fraud", "LAB"]) == 0
    told = capfd.readouterr().out
    assert "waystage.yaml lists no service 'cc-fraud'" in told
    assert "online  fraud: of wide, fraud it alone says prefer: true" in told
    assert "batch   no runtime: none of" in told
    assert "any     fraud: steps that ask for no mode" in told
    assert waystage([*base, "credit-risk", "LAB", "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert (found["known"], found["any"]) == (True, "wide")
    assert waystage([*base, "credit-risk", "LABB"]) == 1
    assert "there is no stage 'LABB'; did you mean LAB?" in capfd.readouterr().err
