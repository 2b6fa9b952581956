"""Handing a task on: who may, to whom, and what it changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from waystage.cli.main import run as waystage

BOTH = """
lifecycle: both
services: ["*"]
initial: approve
states:
  approve:
    task: {title: "Approve?", for: [role:validator], quorum: 2}
    next: {approve: closed, reject: closed}
  closed: {final: true}
"""


def delegate(api: Any, task: int, person: str, to: str) -> httpx.Response:
    """Have a person hand a task to another."""
    answer: httpx.Response = api.post(f"tasks/{task}/delegate", person, {"person": to})
    return answer


def refused(answer: httpx.Response, status: int, text: str) -> None:
    """Hold a refusal against what it should say."""
    assert answer.status_code == status, answer.text
    assert text in answer.json()["message"]


def test_a_delegated_task_is_its_new_holders_alone(api: Any) -> None:
    run, task = api.task()
    assert delegate(api, task, "vera", "victor").json() == {"task": task, "claimed_by": "victor"}
    refused(api.answer(task, "vera", "approve"), 409, "claimed by victor")
    refused(delegate(api, task, "vera", "vera"), 403, "claimed by victor, who alone may delegate")
    assert api.answer(task, "victor", "approve").status_code == 200
    assert api.get(f"runs/{run}")["outcome"] == "approved"
    rows = [
        row for row in api.get(f"runs/{run}/history") if row["event"].get("name") == "delegated"
    ]
    assert [(row["actor"], row["event"]["data"]) for row in rows] == [
        ("vera", {"detail": f"task {task} to victor"})
    ]


@pytest.mark.parametrize(
    ("version", "to", "why"),
    [
        ("1", "dana", "dana may not answer"),
        ("1", "mallory", "'mallory' is nobody"),
        ("1", "otto", "otto may not answer"),
        ("2", "vera", "vera made this snapshot"),
    ],
)
def test_who_could_not_answer_is_given_no_task(api: Any, version: str, to: str, why: str) -> None:
    run, task = api.task(version=version)
    refused(delegate(api, task, "victor", to), 403, f"cannot be delegated to {to}: {why}")
    assert api.get("tasks")[0]["claimed_by"] in ("", None)
    assert why in api.said(run, "refused")[0][3]


def test_who_could_not_answer_hands_nothing_on(api: Any) -> None:
    run, task = api.task()
    refused(delegate(api, task, "dana", "vera"), 403, "dana may not answer")
    refused(delegate(api, task, "mallory", "vera"), 403, "nobody")
    assert [row["actor"] for row in api.get(f"runs/{run}/history")
            if row["event"].get("name") == "refused"] == ["dana", "mallory"]  # fmt: skip


def test_who_may_override_takes_a_task_from_someone_who_is_away(api: Any) -> None:
    run, task = api.task()
    api.post(f"tasks/{task}/claim", "vera", {})
    assert delegate(api, task, "otto", "victor").json()["claimed_by"] == "victor"
    refused(delegate(api, task, "otto", "otto"), 403, "cannot be delegated to otto")
    assert api.answer(task, "victor", "approve").status_code == 200
    assert api.get(f"runs/{run}")["outcome"] == "approved"


def test_who_has_claimed_a_task_hands_it_on(api: Any) -> None:
    _, task = api.task()
    api.post(f"tasks/{task}/claim", "vera", {})
    refused(delegate(api, task, "victor", "victor"), 403, "claimed by vera")
    assert delegate(api, task, "vera", "victor").status_code == 200
    assert delegate(api, task, "victor", "vera").status_code == 200


def test_who_has_answered_is_not_asked_again(project: Path, new_api: Any) -> None:
    (project / "lifecycles" / "both.yaml").write_text(BOTH)
    api = new_api(project)
    run, task = api.task(lifecycle="both")
    api.post(f"tasks/{task}/claim", "vera", {})
    assert api.answer(task, "vera", "approve").status_code == 200
    assert api.get("tasks")[0]["claimed_by"] == ""  # an answer ends the claim: others go on
    refused(delegate(api, task, "victor", "vera"), 409, "who answered 'approve'")
    assert delegate(api, task, "vera", "victor").status_code == 200
    assert api.answer(task, "victor", "approve").status_code == 200
    assert api.get(f"runs/{run}")["status"] == "ended"


def test_a_closed_or_unknown_task_is_not_handed_on(api: Any) -> None:
    _, task = api.task()
    refused(delegate(api, 999, "vera", "victor"), 404, "no task 999")
    api.answer(task, "vera", "approve")
    refused(delegate(api, task, "vera", "victor"), 409, "closed")


def test_the_verb_hands_a_task_on(api: Any, capfd: pytest.CaptureFixture[str]) -> None:
    _, task = api.task()
    base = ["--project", str(api.root), "--as", "vera", "delegate", str(task)]
    capfd.readouterr()
    assert waystage([*base, "victor"]) == 0
    assert capfd.readouterr().out == f"Task {task} is victor's.\n"
    assert waystage([*base, "victor"]) == 1
    assert "claimed by victor" in capfd.readouterr().err
