"""A canary on a real daemon: real requests, shared by the server; numbers from the scoring log."""

from __future__ import annotations

import json
import re
import socket
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from at_work import AtWork
from prometheus_server import NoPrometheus, RealPrometheus

GUIDE = Path(__file__).parents[2] / "docs" / "how-to" / "canary.md"
HOUR = timedelta(minutes=70)
pytestmark = pytest.mark.skipif(not GUIDE.is_file(), reason="the docs are not beside the tests")


def connected(project: dict[str, Any]) -> None:
    (shown,) = re.findall(r"```yaml\n(connections:.*?)```", GUIDE.read_text(), re.DOTALL)
    project |= yaml.safe_load(shown)
    project["services"]["credit-risk"]["params"] |= {
        "share": 50, "looks": 2, "slower": 10,  # of a machine that does other things, too
    }  # fmt: skip


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AtWork]:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    found = AtWork(tmp_path / "project", monkeypatch, "--with", "canary", change=connected)
    yield found
    found.stop()


def ask(work: AtWork, count: int, to: str = "") -> Counter[bool]:
    """Send requests one by one, as customers do; count who was told a score, and who was not."""
    rows = work.daemon.store.placements(service=work.service)
    url = next(
        row.body["deployed"]["endpoints"][0]["url"] for row in rows
        if (row.stage, row.role) == ("PROD", "champion")
    )  # fmt: skip
    told = Counter[bool]()
    for _ in range(count):
        row = {"income": work.chance.gauss(0, 1), "age": work.chance.gauss(0, 1)}
        answer = work.daemon.connections.http.post(
            f"{url}{to}:predict",
            json={"instances": [row]},
            headers={"X-Request-Id": f"r{work.chance.getrandbits(60)}"},
        )
        assert answer.status_code == 200, answer.text
        told[answer.json()["predictions"][0]["score"] is not None] += 1
    return told


def begun(work: AtWork, version: str) -> str:
    run = work.begin("canary", version)
    work.decide(run, "otto", "go")
    work.comes_to(run, "watch")
    return run


def judged(work: AtWork, run: str) -> dict[str, Any]:
    return dict(work.body(run)["steps"]["judged"])


@pytest.mark.slow
def test_a_canary_without_harm_takes_over_and_one_that_leaves_requests_unscored_is_taken_back(
    work: AtWork,
) -> None:
    work.model("1", weight=0.5)
    old = work.begin("rest-promotion", "1")
    work.decide(old, "otto", "go")
    work.comes_to(old, "serving")
    work.turn(timedelta(days=30))  # no baseline but for the process that holds both

    work.model("2", weight=0.6)
    run = begun(work, "2")
    work.turn(HOUR)
    work.until(lambda: work.body(run)["data"].get("looked") == 1, run, "nobody asked")
    work.comes_to(run, "watch")
    assert judged(work, run)["verdict"] == "inconclusive"
    assert ask(work, 250) == {True: 250}
    work.turn(HOUR)
    work.comes_to(run, "serving")
    found = judged(work, run)
    assert (found["verdict"], found["canary"], found["baseline"]) == (
        "pass",
        "credit/2",
        "credit/1",
    )
    points = found["metrics"]["latency"]
    assert points["canary_points"] + points["baseline_points"] == 250
    assert min(points["canary_points"], points["baseline_points"]) > 80, "a half each, about"
    work.ends(old, "done")
    assert set(work.where().values()) == {"credit/2"}

    work.model("3", weight=0.6, through="Sqrt")  # of half of the incomes there is none
    run = begun(work, "3")
    work.turn(timedelta(minutes=10))  # what was asked before it was warm does not count
    told = ask(work, 200)
    assert min(told.values()) > 20, "half of whom it answered got no score"
    work.turn(HOUR)
    work.ends(run, "taken_back")
    found = judged(work, run)
    assert (found["verdict"], found["metrics"]["unscored"]["verdict"]) == ("fail", "fail")
    unscored = found["metrics"]["unscored"]
    assert round(unscored["effect"] * unscored["canary_points"]) == told[False]
    assert set(work.where().values()) == {"credit/2"}
    assert {row.snapshot for row in work.daemon.store.placements()} == {"credit/2"}
    assert ask(work, 30) == {True: 30}
    messages = [
        json.loads(line) for line in (work.root / "messages.jsonl").read_text().splitlines()
    ]
    (alarm,) = [each for each in messages if each["level"] == "alarm"]
    assert "credit 3 answers nobody any more: fail: unscored: effect +0." in alarm["text"]


METRICS = """\
          prometheus:
            url: http://127.0.0.1:{port}
            allow_private: true
          metrics:
            latency:
              query: 'latency_seconds{{version="$side"}}'
              direction: increase
              tolerate: 9
            unscored:
              query: 'unscored{{version="$side"}}'
              direction: increase
              critical: true
"""


@pytest.mark.slow
@pytest.mark.heavy
@pytest.mark.parametrize(("through", "outcome"), [("Identity", ""), ("Sqrt", "taken_back")])
def test_a_real_prometheus_that_knows_the_requests_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, through: str, outcome: str
) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def asking(project: dict[str, Any]) -> None:
        connected(project)
        file = tmp_path / "project" / "lifecycles" / "canary.yaml"
        text, there = re.subn(
            r" {10}metrics:\n( {12}.*\n)+", METRICS.format(port=port), file.read_text()
        )
        assert there == 1
        file.write_text(text)

    work = AtWork(tmp_path / "project", monkeypatch, "--with", "canary", change=asking)
    server = None
    try:
        work.model("1", weight=0.5)
        old = work.begin("rest-promotion", "1")
        work.decide(old, "otto", "go")
        work.comes_to(old, "serving")
        work.model("2", weight=0.6, through=through)
        run = begun(work, "2")
        samples: dict[str, list[tuple[float, float]]] = {}
        for _ in range(64):  # each minute some requests, as a scrape sees them
            work.turn(timedelta(minutes=1))
            at = work.clock.now().timestamp()
            for role, version in (("champion", "credit/1"), ("challenger", "credit/2")):
                began, told = time.perf_counter(), ask(work, 4, f"/labels/{role}")
                took = (time.perf_counter() - began) / 4
                for name, value in (("latency_seconds", took), ("unscored", told[False] / 4)):
                    samples.setdefault(f'{name}{{version="{version}"}}', []).append((at, value))
        place = tmp_path / "prometheus"
        place.mkdir()
        server = RealPrometheus(place, samples, port)
        work.turn(timedelta(minutes=6))
        if outcome:
            work.ends(run, outcome)
        else:
            work.comes_to(run, "serving")
        found = judged(work, run)
        assert found["verdict"] == ("fail" if outcome else "pass"), found["why"]
        assert found["metrics"]["latency"]["canary_points"] >= 50
        assert work.where()["PROD"] == ("credit/1" if outcome else "credit/2")
    except NoPrometheus as error:
        pytest.skip(str(error))
    finally:
        work.stop()
        if server is not None:
            server.stop()
