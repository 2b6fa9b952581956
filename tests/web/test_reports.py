"""Measuring by hand, reports and evidence, over a real daemon with requests and outcomes."""

from __future__ import annotations

import json
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from forging import followed, repacked, with_another_definition
from tests.web.conftest import Api, make_project

from waystage.cli.main import run as waystage
from waystage.clock import HandClock
from waystage.daemon.replaying import rejudged_of
from waystage.daemon.reporting import report_of
from waystage.plugin import Label, ScoredRow
from waystage.report.model import Report
from waystage.store import rare
from waystage.store.codec import micros
from waystage.web import reports

DAY = timedelta(days=1)
TODAY = datetime(2026, 5, 4, tzinfo=UTC)
WATCHING = """
lifecycle: watching
services: ["*"]
monitors:
  ks:
    use: performance.ks
    window: {length: P30D}
    minimum: {events: 20, nonevents: 20, label_coverage: 0.5}
    warn: {below: 0.95}
    breach: {below: "{{ params.floor }}", datapoints: 2, of: 3}
params: {floor: {type: number, default: 0.9}}
initial: serving
states:
  serving:
    stage: DEV
    signals: [look]
    next: {look: assess}
  assess:
    stage: DEV
    verify: ks
    next: {ok: serving, warn: serving, breach: bad, insufficient: serving}
  bad: {final: true, outcome: bad}
"""

SLEEPING = WATCHING.replace("watching", "sleeping").replace("  ks:", "  asleep:")
SLEEPING = SLEEPING.replace("verify: ks", "verify: asleep")


class Watched:
    """A daemon, a run of `watching` whose snapshot answers in DEV, and two months of requests."""

    def __init__(self, root: Path) -> None:
        self.clock = HandClock(TODAY + timedelta(hours=9))  # no midnight comes between
        self.api = api = Api(root, self.clock)
        self.run = api.open("watching")
        self.rejected = api.open("asking")
        self.until(lambda: self.api.get(f"runs/{self.rejected}")["tasks"])
        self.today = TODAY
        self._place()
        self._fill()

    def until(self, holds: Callable[[], Any]) -> None:
        """Wait until something holds, as long as a busy machine may take."""
        end = time.monotonic() + 180
        while not holds():
            assert time.monotonic() < end, "nothing happens any more"
            time.sleep(0.01)

    def place(self) -> tuple[str, ...]:
        return tuple(self.api.get(f"runs/{self.run}")["places"])

    def look(self) -> None:
        """Have the run measure by itself."""
        known = len(self.api.get("measurements"))
        self.api.post("signals", "otto", {"name": "look", "run": self.run})
        self.until(lambda: len(self.api.get("measurements")) > known)

    def memory(self) -> Any:
        return (self.api.daemon.store.run_body(self.run) or {}).get("monitors")

    def window(self, start: int, end: int) -> str:
        """Give the window from so many days ago to so many."""
        return f"{(self.today - start * DAY).date()}/{(self.today - end * DAY).date()}"

    def _place(self) -> None:
        body = self.api.daemon.store.run_body(self.run) or {}
        deployed = {"stage": "DEV", "runtime": "dev", "mode": "batch"}
        row = {"service": "credit-risk", "stage": "DEV", "runtime": "dev", "mode": "batch",
               "role": "champion", "snapshot": "credit/1", "digest": body["snapshot"]["digest"],
               "run": 1, "since": micros(self.today - 61 * DAY)}  # fmt: skip
        told = {"snapshot": body["snapshot"], "deployed": deployed}
        engine = self.api.daemon.engine
        engine.act(lambda tx: tx.batch.rest.extend(rare.place(row, told))).result(60)

    def _fill(self) -> None:
        random, rows, labels = Random(3), [], []
        for number in range(600):
            at, score = self.today - 60 * DAY + number * DAY / 10, round(random.random(), 2)
            rows.append(ScoredRow(str(number), at, "credit-risk", "DEV", "credit/1", "champion",
                                  score))  # fmt: skip
            labels.append(Label(str(number), int(random.random() < score), at + DAY))
        log = self.api.daemon.connections.scoring_log()
        log.append(rows)
        log.label(labels)


def make(root: Path) -> Watched:
    make_project(root)
    (root / "lifecycles" / "breaking.yaml").unlink()  # its plugin is known to the daemon alone
    (root / "lifecycles" / "watching.yaml").write_text(WATCHING)
    (root / "lifecycles" / "sleeping.yaml").write_text(SLEEPING)
    return Watched(root)


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Give one for all that only look at it; its run has measured once."""
    found = make(tmp_path_factory.mktemp("watched") / "project")
    found.look()
    yield found
    found.api.stop()


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Watched]:
    """Give one whose run has not measured yet."""
    found = make(tmp_path / "project")
    yield found
    found.api.stop()


def test_a_look_shows_value_verdict_and_question_and_keeps_nothing(watched: Watched) -> None:
    found = watched.api.get("monitors/ks/measure", service="credit-risk")
    assert found["verdict"] == "breach"  # of this window alone, though the run needs two of three
    assert (found["stage"], found["snapshot"], found["recorded"]) == ("DEV", "credit/1", False)
    body = found["body"]
    assert body["low"] < body["value"] < body["high"]
    assert body["counts"]["rows"] == 300
    assert body["limits"] == {"warn": {"below": 0.95}, "breach": {"below": 0.9}}
    assert body["query"]["digest"].startswith("sha256:")
    assert len(watched.api.get("measurements")) == 1
    other = watched.api.get("monitors/ks/measure", service="credit-risk",
                            window=watched.window(60, 30))  # fmt: skip
    assert other["body"]["query"]["digest"] != body["query"]["digest"]
    assert other["start"] < found["start"]


def test_more_reports_at_once_than_may_be_are_a_429_and_hold_up_nobody(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = watched.api
    begun, go = threading.Semaphore(0), threading.Event()

    def slow(*asked: Any) -> Report:
        begun.release()
        assert go.wait(60)
        return report_of(*asked)

    monkeypatch.setattr(reports, "report_of", slow)
    paths = ["reports/credit-risk", "reports/credit-risk/page"]
    with ThreadPoolExecutor(2) as pool:
        made = [pool.submit(api.ask, "GET", path) for path in paths]
        try:
            assert all(begun.acquire(timeout=300) for _ in paths)
            for path in (*paths, "monitors/ks/measure?service=credit-risk"):
                answer = api.ask("GET", path)
                assert (answer.status_code, answer.json()["code"]) == (429, "E-BUSY"), path
                assert answer.headers["Retry-After"]
            kept = api.post("monitors/ks/measure", "olga", {"service": "credit-risk"})
            assert kept.status_code == 429
            assert len(api.get("measurements")) == 1  # what is cheap is answered all the same
        finally:
            go.set()
        assert [each.result().status_code for each in made] == [200, 200]
    assert api.ask("GET", "reports/nobody").status_code == 404  # which gives its seat back, too
    assert api.ask("GET", "reports/nobody").status_code == 404
    assert api.get(paths[0])["service"] == "credit-risk"


def test_what_was_recorded_by_hand_counts_for_nothing_and_starts_nothing(
    fresh: Watched, capsys: pytest.CaptureFixture[str]
) -> None:
    api = fresh.api
    for _ in range(4):
        fresh.clock.turn(timedelta(seconds=1))
        done = api.post("monitors/ks/measure", "olga", {"service": "credit-risk"})
        assert done.status_code == 200, done.text
        assert done.json()["body"]["by_hand"] == {"by": "olga", "via": "on behalf: local owner"}
    assert fresh.place() == ("serving",)
    assert not fresh.memory()
    fresh.look()
    assert fresh.place() == ("serving",)  # one of three: what was made by hand does not count
    rows = api.get("measurements")
    assert [bool(row["body"].get("by_hand")) for row in rows] == [True] * 4 + [False]
    newest = api.daemon.store.measurements(limit=2)
    assert [row.by_hand for row in newest] == ["olga", ""]  # what is left out is the oldest
    assert rows[-1]["body"]["query"] == rows[0]["body"]["query"]
    assert rows[-1]["body"]["limits"] == rows[0]["body"]["limits"]
    assert rows[-1]["verdict"] == "warn"
    judged = rejudged_of(api.daemon.files, "watching", "ks", None, ("breach.datapoints=1",))
    assert [each.verdict for each in judged] == ["breach"]
    found = api.get("reports/credit-risk")
    assert [each["by_hand"] for each in found["measurements"]] == ["olga", ""]
    fresh.clock.turn(timedelta(seconds=1))
    words = ["--project", str(api.root), "--as", "otto", "measure", "ks", "credit-risk", "--record"]
    assert waystage(words) == 1
    assert "kept     yes, as made by hand by otto" in capsys.readouterr().out
    assert waystage([*words[:2], "measurements", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[-1]["body"]["by_hand"]["by"] == "otto"
    assert waystage([*words[:2], "measurements"]) == 0
    assert "by hand" in " ".join(capsys.readouterr().out.split())


def test_who_may_not_operate_records_nothing(watched: Watched) -> None:
    done = watched.api.post("monitors/ks/measure", "vera", {"service": "credit-risk"})
    assert done.status_code == 403
    assert len(watched.api.get("measurements")) == 1


@pytest.mark.parametrize(
    ("path", "query", "says"),
    [
        ("monitors/psi/measure", {"service": "credit-risk"}, "has no monitor 'psi'; it has ks"),
        ("monitors/ks/measure", {"service": "nothing"}, "there is credit-risk"),
        ("monitors/ks/measure", {"service": "credit-risk", "window": "soon"}, "last-month"),
        ("monitors/ks/measure", {"service": "credit-risk", "version": "9"}, "it had credit/1"),
        ("reports/credit-risk", {"stage": "PROD"}, "was never in PROD; it was in DEV"),
    ],
)
def test_what_cannot_be_asked_is_told_with_what_can(
    watched: Watched, path: str, query: dict[str, str], says: str
) -> None:
    answer = watched.api.ask("GET", path, params=query)
    assert answer.status_code in (400, 404)
    assert says in answer.json()["message"]


def test_a_window_in_the_future_has_no_verdict_and_says_so(watched: Watched) -> None:
    asked = {"service": "credit-risk", "window": watched.window(-2, -9)}
    found = watched.api.get("monitors/ks/measure", **asked)
    assert found["verdict"] == "insufficient"
    assert "lies in the future: here it is 2026-05-04 09:00 UTC" in found["body"]["reason"]


def test_monitors_of_other_open_runs_on_the_snapshot_are_looked_at_and_reported(
    fresh: Watched,
) -> None:
    api, asked = fresh.api, {"service": "credit-risk", "window": fresh.window(30, 0)}
    fresh.look()
    other = api.open("sleeping")
    found = api.get("monitors/asleep/measure", **asked)
    assert (found["run"], found["stage"], found["verdict"]) == (other, "DEV", "breach")
    assert api.get("monitors/ks/measure", **asked)["run"] == fresh.run
    assert names_in_report(api) == ["ks"], "it has measured nothing yet"
    api.post("signals", "otto", {"name": "look", "run": other})
    fresh.until(lambda: names_in_report(api) == ["ks", "asleep"])


def names_in_report(api: Api) -> list[str]:
    shown = Report.model_validate(api.get("reports/credit-risk"))
    return [each.name for each in shown.monitors]


def test_a_report_has_curves_history_and_decisions(watched: Watched) -> None:
    found = Report.model_validate(watched.api.get("reports/credit-risk"))
    sections = {each.id: each for each in found.sections}
    assert sections["roc"].facts["events"] == sections["ks"].facts["events"]
    assert sections["ks"].facts["ks"] == found.measurements[-1].number("value")
    assert found.chosen == "that of the newest measurement"
    assert found.definition.startswith("sha256:")
    assert [each.level for each in found.summary][:2] == ["warn", "warn"]
    started = [each for each in found.decisions if each.what == "started the run"]
    assert [(each.by, each.run) for each in started] == [("otto", watched.run)]
    text = watched.api.ask("GET", "reports/credit-risk/page")
    assert text.headers["content-type"].startswith("text/html")
    assert text.headers["content-security-policy"].startswith("default-src 'none'")
    assert "<svg" in text.text


def test_an_empty_window_is_said(watched: Watched) -> None:
    found = watched.api.get("reports/credit-risk", window="2020")
    assert [each["missing"] != "" for each in found["sections"]] == [True] * len(found["sections"])
    assert found["data"] == ""


def test_the_verbs_write_files_and_say_how_it_stands(
    watched: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    project = ["--project", str(watched.api.root)]
    assert waystage([*project, "measure", "ks", "credit-risk"]) == 1
    told = capsys.readouterr().out
    for word in ("breach", "bootstrap", "notes    coverage 1", "query    sha256:", "kept     no"):
        assert word in told
    assert waystage([*project, "report", "credit-risk"]) == 0
    assert "credit-risk-report.html: credit/1 in DEV" in capsys.readouterr().out
    assert (tmp_path / "credit-risk-report.html").read_text().startswith("<!doctype html>")
    assert waystage([*project, "report", "credit-risk", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["format"] == "waystage-report/1"
    assert waystage([*project, "report", "credit-risk", "-o", "card.md"]) == 0
    assert (tmp_path / "card.md").read_text().startswith("# Model card: credit/1")


@pytest.fixture
def pack(watched: Watched, tmp_path: Path) -> Callable[..., Path]:
    def make(what: str, name: str = "x.zip") -> Path:
        place = tmp_path / name
        words = ["--project", str(watched.api.root), "evidence", what, "--out", str(place)]
        assert waystage(words) == 0
        return place

    return make


def test_a_pack_is_the_same_twice_verifies_and_holds_the_database(
    watched: Watched, pack: Callable[..., Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    first, second = pack("credit-risk"), pack("credit-risk", "y.zip")
    assert first.read_bytes() == second.read_bytes()
    assert waystage(["evidence", "verify", str(first)]) == 0
    assert "every file is as it was packed" in capsys.readouterr().out
    with zipfile.ZipFile(first) as archive:
        archive.extractall(tmp_path / "un")
    project = ["--project", str(watched.api.root)]
    heads = str(tmp_path / "un" / "audit-heads.jsonl")
    assert waystage([*project, "audit", "verify", "--head", heads]) == 0
    history = str(tmp_path / "un" / "history" / f"{watched.run}.jsonl")
    assert waystage(["audit", "verify", "--file", history]) == 0
    alone = followed(tmp_path / "un")
    assert (alone.returncode, alone.stdout) == (0, "1 history: every row is as it was written\n")
    (measured,) = json.loads((tmp_path / "un" / "measurements.json").read_text())
    assert measured["body"]["counts"]["rows"] == 300


def test_a_pack_whose_history_was_changed_is_found_out(
    watched: Watched, pack: Callable[..., Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    name = f"history/{watched.run}.jsonl"

    def another_actor(bodies: dict[str, bytes]) -> None:
        bodies[name] = bodies[name].replace(b'"actor": "otto"', b'"actor": "olga"')

    bodies = repacked(pack(watched.run), tmp_path / "bad.zip", another_actor)
    assert waystage(["evidence", "verify", str(tmp_path / "bad.zip")]) == 1
    told = capsys.readouterr().out
    assert f"{name} was changed" in told
    assert f"{name}: {watched.run}: row 1: it was changed" in told
    with zipfile.ZipFile(tmp_path / "bad.zip") as archive:
        archive.extractall(tmp_path / "bad")
    alone = followed(tmp_path / "bad")
    assert alone.returncode == 1
    assert f"{watched.run}.jsonl: row 1 is not the one that was written as 1" in alone.stdout
    file = tmp_path / "bad" / name
    lines = bodies[name].replace(b'"actor": "olga"', b'"actor": "otto"').splitlines(keepends=True)
    last = max(n for n, line in enumerate(lines) if b'"kind": "history"' in line)
    file.write_bytes(b"".join(line for n, line in enumerate(lines) if n != last))
    assert "its last row is not the head in audit-heads.jsonl" in followed(tmp_path / "bad").stdout
    repacked(pack(watched.run), tmp_path / "bad.zip", with_another_definition)
    assert waystage(["evidence", "verify", str(tmp_path / "bad.zip")]) == 1
    changed, missing = capsys.readouterr().out.splitlines()[-3:-1]
    assert changed.endswith("is no definition that any of the histories names")
    assert missing.endswith("which a history names, is not there")
    with zipfile.ZipFile(tmp_path / "bad.zip") as archive:
        archive.extractall(tmp_path / "other")
    assert followed(tmp_path / "other").stdout.splitlines() == [changed, missing]


def test_a_run_that_never_came_anywhere_has_evidence_too(
    watched: Watched, pack: Callable[..., Path]
) -> None:
    task = watched.api.get(f"runs/{watched.rejected}")["tasks"][0]["id"]
    done = watched.api.answer(task, "vera", "reject", comment="too few data")
    assert done.status_code == 200, done.text
    watched.until(lambda: watched.api.get(f"runs/{watched.rejected}")["status"] == "ended")
    with zipfile.ZipFile(pack(watched.rejected)) as archive:
        names = set(archive.namelist())
        decided = json.loads(archive.read("decisions.json"))
    assert "report.html" not in names
    assert f"history/{watched.rejected}.jsonl" in names
    assert (decided[-1]["what"], decided[-1]["comment"]) == ("reject", "too few data")


def test_there_is_no_evidence_of_nobody(
    watched: Watched, capsys: pytest.CaptureFixture[str]
) -> None:
    assert waystage(["--project", str(watched.api.root), "evidence", "nobody"]) == 1
    assert "there is credit-risk" in capsys.readouterr().err
