"""Shipped lifecycles on a real daemon, with real model servers and jobs; the clock is turned."""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from at_work import AtWork

DAY = timedelta(days=1)


def faster(project: dict[str, Any]) -> None:
    project["services"]["credit-risk"]["params"] |= {
        "window": "P14D", "label_delay": "P0D", "trial_requests": 20, "psi": 9,
        "latency": 1000}  # fmt: skip


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AtWork]:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    found = AtWork(tmp_path / "project", monkeypatch, change=faster)
    yield found
    found.stop()


@pytest.fixture
def champion(work: AtWork) -> Callable[[], str]:
    """Bring version 1, which knows little, into production; give its run."""

    def bringing() -> str:
        work.model("1", weight=0.05)
        run = work.begin("rest-promotion", "1")
        work.decide(run, "otto", "go")
        work.comes_to(run, "serving")
        return run

    return bringing


def challenge(work: AtWork, key: str) -> str:
    """Let version 2 win by evidence and two people; give its run, at the beginning of its trial."""
    run = work.begin("champion-challenger", "2", key)
    work.comes_to(run, "look_again")
    assert work.ask(900, labels=True) == "credit/1"
    work.turn(7 * DAY)
    work.until(lambda: bool(work.daemon.store.tasks(run=run)), run, "decide")
    compared = work.body(run)["steps"]["compare"]
    assert (compared["verdict"], compared["champion"]) == ("promote", "credit/1")
    assert compared["rows"] == 900
    task = work.decide(run, "vera", "approve")
    assert compared["data"] in task.body["text"]
    assert work.where()["PROD"] == "credit/1", "one of two has said yes"
    work.decide(run, "otto", "approve")
    work.comes_to(run, "trial.watching")
    assert work.ask(10) == "credit/2"
    return run


@pytest.mark.slow
def test_a_challenger_fails_its_trial_and_another_one_holds(
    work: AtWork, champion: Callable[[], str]
) -> None:
    old = champion()
    work.model("2", weight=2.0)
    first = challenge(work, "first")
    behind = [p for p in work.daemon.store.placements() if p.role == "previous"]
    assert {(p.snapshot, p.stage) for p in behind} == {
        ("credit/1", "DEV"), ("credit/1", "UAT"), ("credit/1", "PROD")}  # fmt: skip
    for _ in range(3):  # nobody asks it any more, from the second day on
        work.turn(DAY)
        if work.row(first).status == "ended":
            break
    work.ends(first, "rolled_back")
    assert work.ask(10) == "credit/1"
    assert work.row(old).status == "open"
    assert set(work.where().values()) == {"credit/1"}

    second = work.begin("champion-challenger", "2", "second")
    work.comes_to(second, "look_again")
    work.ask(900, labels=True)
    work.turn(7 * DAY)
    work.until(lambda: bool(work.daemon.store.tasks(run=second)), second, "decide")
    for person in ("victor", "otto"):
        work.decide(second, person, "approve")
    work.comes_to(second, "trial.watching")
    for _ in range(14):
        assert work.ask(5) == "credit/2"
        work.turn(DAY)
    work.comes_to(second, "serving")
    work.ends(old, "done")
    assert set(work.where().values()) == {"credit/2"}
    assert {p.snapshot for p in work.daemon.store.placements()} == {"credit/2"}
    assert work.ask(10) == "credit/2"


FORM = {"use_is_as_approved": True, "changes": "none", "overrides": "none"}


@pytest.mark.slow
def test_a_review_retires_a_model_with_notice_and_every_run_of_it_ends(
    work: AtWork, champion: Callable[[], str]
) -> None:
    serving = champion()
    review = work.begin("annual-review", "1")
    work.ask(500, labels=True)
    work.turn(330 * DAY)
    work.decide(review, "otto", "submit", **FORM)
    measured = work.body(review)["monitors"]
    assert (measured["ks"]["verdict"], measured["volume"]["verdict"]) == ("breach", "warn")
    evidence = work.body(review)["steps"]["evidence"]
    task = work.decide(review, "vera", "retire", severity="high", findings="it knows nothing",
                       conditions="none")  # fmt: skip
    assert evidence["digest"] in task.body["text"]
    work.decide(review, "hanna", "confirm")
    work.comes_to(review, "retiring")

    (child,) = work.daemon.store.children(review)
    work.decide(child.id, "otto", "go", reason="it knows nothing", replacement="people decide")
    work.comes_to(child.id, "notice.first")
    work.turn(23 * DAY)
    work.comes_to(child.id, "notice.last")
    work.turn(5 * DAY)
    work.ask(3)  # two days before its end somebody still asks
    work.turn(2 * DAY)
    work.comes_to(child.id, "wait")
    assert work.where()["PROD"] == "credit/1"
    work.turn(7 * DAY)
    task = work.decide(child.id, "otto", "sign")
    assert work.daemon.store.placements() == [], "it is taken out of every stage"
    left = [row.stage for row in reversed(work.daemon.store.placements(history=True))]
    assert set(left) == {"DEV", "SIT", "UAT", "PROD"}
    order = [line.split()[1] for line in work.said(child.id) if line.startswith("moved take_out.")]
    stages = list(dict.fromkeys(place.split(".")[1] for place in order))
    assert stages == ["PROD", "UAT", "SIT", "DEV"]

    archive = work.body(child.id)["steps"]["archive"]
    assert archive["digest"] in task.body["text"]
    with tarfile.open(work.root / archive["archive"]) as found:
        assert sorted(found.getnames()) == ["evidence.json", "model/model.onnx"]
    work.ends(child.id, "done")
    work.ends(serving, "done")
    work.ends(review, "retired")
