"""Stopping a line, waiting for it and overriding it, through API and command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from waystage.cli.main import run as waystage

OUTER = """
lifecycle: outer
services: ["*"]
initial: inner
states:
  inner:
    call: {lifecycle: inner}
    next: {done: closed, rejected: closed}
  closed: {final: true}
"""
INNER = """
lifecycle: inner
services: ["*"]
initial: out
states:
  out:
    stage: DEV
    steps: [{use: runtime.undeploy}, {use: repository.set_champion}]
    next: {done: closed, refused: rejected}
  closed: {final: true}
  rejected: {final: true, outcome: rejected}
"""


@pytest.fixture
def api(project: Path, new_api: Callable[..., Any]) -> Any:
    (project / "lifecycles" / "outer.yaml").write_text(OUTER)
    (project / "lifecycles" / "inner.yaml").write_text(INNER)
    return new_api(project)


def test_a_stopped_line_is_waited_for_seen_and_opened(
    api: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    root = ["--project", str(api.root), "--as", "otto"]
    assert api.post("stages/DEV/stop", "vera", {"reason": "smoke"}).status_code == 403
    assert waystage([*root, "stop-the-line", "DEV", "--reason", "smoke"]) == 0
    run = api.open("outer")
    api.until(lambda: api.get(f"runs/{run}")["children"])
    child = api.get(f"runs/{run}")["children"][0]["id"]
    api.until(lambda: api.get(f"runs/{child}")["waits"])
    assert api.get(f"runs/{child}")["parent"] == {"run": run, "state": "inner"}
    assert api.get("stops")[0]["reason"] == "smoke"
    capfd.readouterr()
    assert waystage([*root, "show", child]) == 0
    told = capfd.readouterr().out
    assert f"called by {run} in inner" in told
    assert "waits for DEV until it is opened (otto stopped the line: smoke)" in told
    assert "@window" not in told
    assert waystage([*root, "show", run]) == 0
    assert f"called    {child}: inner, out" in capfd.readouterr().out
    assert waystage([*root, "list"]) == 0
    assert "waits for" in capfd.readouterr().out
    assert waystage([*root, "open-the-line", "DEV"]) == 0
    assert "1 state asked again" in capfd.readouterr().out
    api.until(lambda: api.get(f"runs/{run}")["status"] == "ended")


def test_a_person_overrides_a_stopped_line_for_one_run(
    api: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    root = ["--project", str(api.root), "--as", "otto"]
    assert waystage([*root, "stop-the-line", "DEV", "--reason", "smoke"]) == 0
    run = api.open("inner")
    api.until(lambda: api.get(f"runs/{run}")["waits"])
    assert waystage([*root, "override", run, "--reason", "it must be"]) == 0
    api.until(lambda: api.get(f"runs/{run}")["status"] == "ended")
    assert waystage([*root, "override", run, "--reason", "it must be"]) == 1
    assert "waits for no window" in capfd.readouterr().err
    assert waystage([*root, "stop-the-line", "DEVV", "--reason", "smoke"]) == 1
    assert "there is no stage 'DEVV'" in capfd.readouterr().err


def test_a_key_of_a_child_run_is_refused_to_everyone_else(api: Any) -> None:
    body = {"lifecycle": "inner", "service": "credit-risk", "model": "credit", "version": "1"}
    assert api.post("runs", "otto", body | {"key": "child/x-1/1"}).status_code == 409
