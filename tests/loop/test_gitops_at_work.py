"""Promotion by Git on a real daemon, a real repository, and a stand-in of Argo CD."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from argo_server import TOKEN, App, ArgoServer, ended
from at_work import AtWork

STAGES = ("DEV", "SIT", "UAT", "PROD")
HOUR = timedelta(hours=1)
VALUES = "# the model that the chart serves\nmodel:\n  name: credit\n  version: '0'\n  digest: ''\n"


def git(*words: str, cwd: Path) -> str:
    who = ("-c", "user.name=Pat", "-c", "user.email=pat@example.org")
    done = subprocess.run(
        ["git", *who, *words], cwd=cwd, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    bare, person = tmp_path / "deployments.git", tmp_path / "person"
    git("init", "-q", "--bare", "-b", "main", str(bare), cwd=tmp_path)
    git("clone", "-q", str(bare), str(person), cwd=tmp_path)
    git("checkout", "-q", "-b", "main", cwd=person)
    for stage in STAGES:
        place = person / "credit-risk" / stage / "values.yaml"
        place.parent.mkdir(parents=True)
        place.write_text(VALUES)
    git("add", "-A", cwd=person)
    git("commit", "-q", "-m", "first", cwd=person)
    git("push", "-q", "origin", "main", cwd=person)
    return bare


@pytest.fixture
def argo() -> Iterator[ArgoServer]:
    server = ArgoServer()
    server.apps = {f"credit-risk-{stage.lower()}": App() for stage in STAGES}
    yield server
    server.stop()


@pytest.fixture
def work(
    tmp_path: Path, bare: Path, argo: ArgoServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[AtWork]:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    monkeypatch.setenv("GIT_TOKEN", "not asked for by a path")
    monkeypatch.setenv("ARGOCD_TOKEN", TOKEN)

    def addresses(project: dict[str, Any]) -> None:
        given = {"repository": str(bare), "argocd": argo.url}
        project["services"]["credit-risk"]["params"] |= given

    found = AtWork(
        tmp_path / "project", monkeypatch, "--with", "gitops-promotion", change=addresses
    )
    found.model("1", weight=1.0)
    yield found
    found.stop()


def versions(bare: Path) -> dict[str, str]:
    """Give what each stage's file says in the repository."""
    texts = {s: git("show", f"main:credit-risk/{s}/values.yaml", cwd=bare) for s in STAGES}
    return {s: text.split("version: ")[1].split("\n")[0].strip("'\"") for s, text in texts.items()}


def promoted(work: AtWork) -> str:
    """Bring the model to the question of its release; give the run."""
    run = work.begin("gitops-promotion", "1")
    for stage in STAGES[:3]:
        work.comes_to(run, f"promote.{stage}.soak")
        work.turn(HOUR)
    work.comes_to(run, "release")
    return run


@pytest.mark.slow
def test_a_model_goes_by_commits_and_production_is_merged_as_it_was_approved(
    work: AtWork, bare: Path, argo: ArgoServer
) -> None:
    run = promoted(work)
    assert versions(bare) == {"DEV": "1", "SIT": "1", "UAT": "1", "PROD": "0"}
    proposal = work.body(run)["steps"]["proposal"]
    assert git("rev-parse", proposal["branch"], cwd=bare) == proposal["commit"]
    task = work.decide(run, "otto", "go")
    assert proposal["commit"] in task.body["text"]
    work.comes_to(run, "trial.watching")
    assert set(versions(bare).values()) == {"1"}
    head = git("rev-parse", "main", cwd=bare)
    assert [name for name, _ in argo.synced] == [f"credit-risk-{s.lower()}" for s in STAGES]
    assert argo.synced[-1][1] == head
    for _ in range(7):
        work.turn(4 * HOUR)
        if "serving" in work.places(run):
            break
    work.comes_to(run, "serving")
    assert len(argo.synced) == 4, "looking at the health syncs nothing"


@pytest.mark.slow
def test_what_falls_ill_after_its_release_is_reverted_in_every_stage(
    work: AtWork, bare: Path, argo: ArgoServer
) -> None:
    run = promoted(work)
    work.decide(run, "otto", "go")
    work.comes_to(run, "trial.watching")
    argo.apps["credit-risk-prod"].health = "Degraded"
    argo.plan = [ended(health="Healthy")]  # with the version before it is well again
    work.clock.turn(4 * HOUR)
    work.daemon.engine.turned()
    work.comes_to(run, "trial.look")
    work.signal("rollback.wanted", run)  # a person does not wait for the patience of the step
    work.ends(run, "rejected")
    assert set(versions(bare).values()) == {"0"}
    subjects = git("log", "--format=%s", "-4", "main", cwd=bare).splitlines()
    assert subjects == [f"credit-risk: back from credit 1 in {s}" for s in
                        ("DEV", "SIT", "UAT", "PROD")]  # fmt: skip
    restored = [name for name, _ in argo.synced[4:]]
    assert restored == [f"credit-risk-{s}" for s in ("prod", "uat", "sit", "dev")]
    assert "rolled back" in (work.root / "messages.jsonl").read_text()


@pytest.mark.slow
def test_a_stage_that_does_not_become_healthy_stops_the_promotion(
    work: AtWork, bare: Path, argo: ArgoServer
) -> None:
    argo.apps["credit-risk-dev"].then = [{}, ended("Failed", "quota exceeded")]
    run = work.begin("gitops-promotion", "1")
    work.ends(run, "rejected")
    assert any("quota exceeded" in line for line in work.said(run))
    assert set(versions(bare).values()) == {"0"}
    assert git("rev-list", "--count", "main", cwd=bare) == "3"  # the first, the change, its revert
