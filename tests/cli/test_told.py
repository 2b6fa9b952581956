"""What `waystage history` says of a row."""

from __future__ import annotations

from typing import Any

from waystage.cli.runs import last_turn
from waystage.cli.told import told

DIGEST = "sha256:" + "a1" * 32


def row(kind: str, name: str, data: dict[str, Any], *records: list[str]) -> dict[str, Any]:
    return {"event": {"kind": kind, "state": "prebuild", "name": name, "data": data},
            "records": list(records)}  # fmt: skip


def test_a_step_tells_what_it_brought_and_long_values_are_cut() -> None:
    output = {"digest": DIGEST, "ks": 0.3141592653, "path": f"/far/away/{'x' * 30}.tar",
              "files": 1, "notes": ["a"], "url": ""}  # fmt: skip
    lines = list(told(row("step.done", "1", output, ["moved", "prebuild", "done", "approve"])))
    assert lines == [
        f"prebuild: step 2 done: digest={DIGEST[:24]}…, ks=0.314159, path=…{'x' * 22}.tar, files=1",
        "prebuild —done→ approve",
    ]


def test_a_verdict_is_told_with_its_whole_reason() -> None:
    why = "the gain in auc is at least 0, no more than the margin of 0; PSI of both is 0.01"
    found = {"verdict": "keep", "why": why, "rows": 900}
    assert [*told(row("step.done", "compare", found))] == [f"prebuild: step done: keep: {why}"]


def test_a_step_that_failed_tells_why() -> None:
    failed = row("step.failed", "0", {"error": "the disk is full", "hopeless": False})
    assert list(told(failed)) == ["prebuild: step 1 failed: the disk is full"]


def test_a_measurement_is_told_once() -> None:
    measured = ["measured", "assess", "ks", "ok 0.4"]
    assert list(told(row("step.done", "0", {"value": 0.4}, measured))) == [
        "measured assess ks: ok 0.4"
    ]


def test_an_answer_names_person_and_form() -> None:
    vote = row("vote", "approve", {"form": {"tag": "1.0.0"}}, ["vote", "ask", "approve", "vera"])
    assert list(told(vote)) == ["ask: approve, by vera (tag=1.0.0)"]


def test_a_name_is_not_said_twice() -> None:
    said = ["refused", "ask", "dana", "dana may not answer"]
    assert list(told(row("note", "refused", {}, said))) == ["refused ask: dana may not answer"]


def test_what_a_run_ended_by_is_the_last_refusal_or_breach_that_no_person_came_after() -> None:
    refused = row("step.done", "0", {}, ["refused", "prebuild", "model.check", "no signature"])
    breach = row("measured", "ks", {}, ["measured", "assess", "ks", "breach 0.1"], ["lease", "x"])
    fine = row("measured", "ks", {}, ["measured", "assess", "ks", "ok 0.5"])
    vote = row("vote", "go", {}, ["vote", "approve", "go", "otto"])
    assert last_turn([refused, fine]) == ["refused    prebuild: no signature"]
    assert last_turn([refused, breach, fine]) == ["measured   assess: ks breach 0.1"]
    assert last_turn([breach, vote, fine]) == []
