"""A challenger beside the champion on one real server, while somebody asks it all the time."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from at_work import AtWork

from waystage.cli.main import run as waystage
from waystage.daemon.daemon import Daemon
from waystage.plugin import Slice

WEEK, DAY = timedelta(days=7), timedelta(days=1)


def short(project: dict[str, Any]) -> None:
    project["services"]["credit-risk"]["params"] |= {
        "looks": 2, "window": "P14D", "label_delay": "P0D", "rollback_window": 5, "psi": 9,
        "latency": 1000,  # of a machine that does other things, too
        "daily_requests": 1_000_000,  # more than come, so that the second day is a breach
    }  # fmt: skip


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AtWork]:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    found = AtWork(tmp_path / "project", monkeypatch, change=short)
    yield found
    found.stop()


class Caller(threading.Thread):
    """Asks for a score again and again, and counts what it is told."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self._url, self._ending, self.told = url, threading.Event(), Counter[str]()

    def run(self) -> None:
        with httpx.Client(trust_env=False, timeout=60) as client:
            while not self._ending.wait(0.02):
                try:
                    answer = client.post(
                        f"{self._url}:predict",
                        json={"instances": [{"income": 0.5, "age": -0.5}]},
                    )
                    self.told[str(answer.status_code)] += 1
                except httpx.HTTPError as error:
                    self.told[repr(error)] += 1

    def stop(self) -> Counter[str]:
        self._ending.set()
        self.join(60)
        return self.told


def address(work: AtWork) -> str:
    rows = work.daemon.store.placements(service=work.service)
    champion = next(r for r in rows if r.stage == "PROD" and r.role == "champion")
    return str(champion.body["deployed"]["endpoints"][0]["url"])


def loaded(work: AtWork, url: str) -> set[str]:
    """Which versions the server in production holds."""
    seen = work.daemon.connections.http.get(url.split("/v1/")[0] + "/waystage/versions").json()
    return {number for number, each in seen["versions"].items() if each["state"] == "AVAILABLE"}


def rows(work: AtWork, role: str) -> dict[str, Any]:
    now = work.clock.now()
    which = Slice(work.service, "PROD", now - 400 * DAY, now + DAY, role=role)
    return {str(row[0]): row for row in work.daemon.connections.scoring_log().rows(which)}


def answered(work: AtWork, version: str) -> int:
    """How many requests a version answered as champion."""
    now = work.clock.now()
    which = Slice(work.service, "PROD", now - 400 * DAY, now + DAY, version)
    return work.daemon.connections.scoring_log().counts(which)[0]


def compared(work: AtWork, run: str) -> dict[str, Any]:
    return dict(work.body(run)["steps"].get("compare", {}))


def brought(work: AtWork) -> str:
    """Bring version 1, which knows little, into production; give its run."""
    work.model("1", weight=0.05)
    run = work.begin("rest-promotion", "1")
    work.decide(run, "otto", "go")
    work.comes_to(run, "serving")
    return run


@pytest.mark.slow
def test_a_breach_in_the_rollback_window_brings_the_old_champion_back_and_nobody_is_failed(
    work: AtWork, capsys: pytest.CaptureFixture[str]
) -> None:
    old = brought(work)
    work.ask(50)  # before there is anybody to copy them to

    work.model("2", weight=2.0)
    run = work.begin("champion-challenger", "2")
    work.comes_to(run, "look_again")
    url = address(work)
    assert loaded(work, url) == {"1", "2"}
    assert waystage(["--project", str(work.root), "where", work.service]) == 0
    shown = capsys.readouterr().out
    assert f"requests go to {url}\n" in shown
    assert f"the challenger alone answers at {url}/labels/challenger\n" in shown
    assert work.ask(900, labels=True) == "credit/1"
    work.until(lambda: len(rows(work, "challenger")) == 900, run, "copies")
    asked, copied = rows(work, "champion"), rows(work, "challenger")
    assert copied.keys() < asked.keys()
    assert all(copied[name][2] != asked[name][2] for name in copied), "another model's scores"

    work.turn(WEEK)
    work.until(lambda: bool(work.daemon.store.tasks(run=run)), run, "decide")
    found = work.body(run)["steps"]["compare"]
    assert (found["verdict"], found["mode"], found["paired"]) == ("promote", "shadow", True)
    assert (found["rows"], found["coverage"], found["look"], found["looks"]) == (900, 1.0, 1, 2)
    assert found["level"] > 0.99, "of two looks the first is strict"
    assert [rail["name"] for rail in found["guardrails"]] == ["latency", "errors", "psi"]
    assert all(rail["passed"] and rail["told"] in found["why"] for rail in found["guardrails"])

    assert waystage(["--project", str(work.root), "show", run]) == 0
    assert f"compare    promote: {found['why']}" in capsys.readouterr().out

    caller = Caller(url)
    caller.start()
    for person in ("vera", "otto"):
        work.decide(run, person, "approve")
    work.comes_to(run, "trial.watching")
    assert (work.where()["PROD"], work.ask(10)) == ("credit/2", "credit/2")
    work.until(lambda: answered(work, "credit/2") > 10, run, "the caller meets it")
    assert loaded(work, url) == {"1", "2"}, "the old champion stays loaded"
    work.turn(DAY)
    work.comes_to(run, "trial.watching")
    assert loaded(work, url) == {"1", "2"}
    work.turn(DAY)
    work.ends(run, "rolled_back")
    assert waystage(["--project", str(work.root), "show", run]) == 0
    assert "measured   trial.inspect: volume breach " in capsys.readouterr().out
    assert (work.where()["PROD"], work.ask(10)) == ("credit/1", "credit/1")
    assert loaded(work, url) == {"1"}
    before = answered(work, "credit/1")
    work.until(lambda: answered(work, "credit/1") > before)  # the caller meets the old one again
    told = caller.stop()
    assert told.keys() == {"200"}, told
    assert work.row(old).status == "open"


@pytest.mark.slow
def test_a_challenger_that_is_no_better_is_looked_at_as_often_as_declared_and_leaves(
    work: AtWork,
) -> None:
    old = brought(work)
    work.model("2", weight=0.05)
    run = work.begin("champion-challenger", "2")
    found: list[dict[str, Any]] = []
    for look in (1, 2):
        work.comes_to(run, "look_again")
        work.ask(500, labels=True)
        work.until(lambda so_far=500 * look: len(rows(work, "challenger")) == so_far, run, "copies")
        work.daemon.stop()  # what was looked at is in the run's data
        work.daemon = Daemon(work.root, clock=work.clock)
        work.daemon.start()
        work.turn(WEEK)
        work.until(lambda n=look: len(compared(work, run).get("looked", [])) == n)
        found.append(compared(work, run))
    work.ends(run, "declined")
    assert [(each["verdict"], each["gain"], each["low"]) for each in found] == [("keep", 0, 0)] * 2
    assert [(each["look"], each["rows"]) for each in found] == [(1, 500), (2, 1000)]
    assert found[0]["start"] == found[1]["start"], "the window has grown"
    assert found[0]["data"] != found[1]["data"]
    assert found[0]["level"] > found[1]["level"] > 0.95
    assert loaded(work, address(work)) == {"1"}
    assert work.row(old).status == "open"
