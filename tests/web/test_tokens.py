"""Tokens of people: whose they are, how they end, and what the history says of who acted."""

from __future__ import annotations

import os
import pwd
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from waystage.cli.main import run as waystage
from waystage.clock import TurnedClock

ME = pwd.getpwuid(os.getuid()).pw_name
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


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WAYSTAGE_AS", "WAYSTAGE_TOKEN", "WAYSTAGE_URL"):
        monkeypatch.delenv(name, raising=False)


def refused(answer: httpx.Response, status: int, text: str) -> None:
    """Hold a refusal against what it should say."""
    assert answer.status_code == status, answer.text
    assert text in answer.json()["message"]


def acts(api: Any, run: str, kind: str) -> list[tuple[str, str]]:
    """Give who did this kind of thing to the run, and by which means."""
    rows = api.get(f"runs/{run}/history")
    return [(row["actor"], row["event"].get("via", "")) for row in rows
            if row["event"]["kind"] == kind]  # fmt: skip


def test_the_history_says_by_which_means_someone_acted(api: Any, changed: Any) -> None:
    run, task = api.task()
    vera, otto = api.own_token("vera"), api.own_token("otto")
    api.answer(task, "otto", "approve")  # by the owner's token, refused and noted
    api.with_token(otto, "POST", f"tasks/{task}/claim", json={})
    api.with_token(vera, "POST", f"tasks/{task}/claim", json={})
    api.with_token(otto, "POST", "signals", json={"name": "x", "run": run})
    api.with_token(vera, "POST", f"tasks/{task}/complete", json={"outcome": "approve"})
    assert acts(api, run, "start") == [("otto", "on behalf: local owner")]
    assert acts(api, run, "note") == [
        ("otto", "on behalf: local owner"), ("otto", "own token"), ("vera", "own token"),
    ]  # fmt: skip
    assert acts(api, run, "signal") == [("otto", "own token")]
    assert acts(api, run, "vote") == [("vera", "own token")]


def test_what_the_engine_does_has_no_such_means(api: Any) -> None:
    run, _ = api.incident()
    assert acts(api, run, "step.failed") == [("engine", "")]
    owner = api.own_token("otto")
    incident = api.get(f"runs/{run}")["incidents"][0]["id"]
    api.with_token(owner, "POST", f"incidents/{incident}/abort", json={"reason": "over"})
    assert acts(api, run, "incident.abort") == [("otto", "own token")]


def test_the_owner_in_the_own_name_is_no_one_else(
    project: Path, changed: Any, new_api: Any
) -> None:
    changed(project, {"people:\n": f"people:\n  {ME}: {{roles: [validator]}}\n"})
    api = new_api(project)
    run, task = api.task()
    assert api.ask("POST", f"tasks/{task}/complete", "", json={"outcome": "approve"}).is_success
    assert acts(api, run, "vote") == [(ME, "local owner")]


def test_a_project_may_forbid_acting_for_others(project: Path, changed: Any, new_api: Any) -> None:
    changed(project, {
        "people:\n": f"on_behalf: false\npeople:\n  {ME}: {{roles: [operator]}}\n",
    })  # fmt: skip
    api = new_api(project)
    vera = api.own_token("vera")
    body = {"lifecycle": "asking", "service": "credit-risk", "model": "credit", "version": "1"}
    refused(api.post("runs", "otto", body), 403, f"{ME} does not act as otto")
    refused(api.ask("GET", "tasks", "vera"), 403, "waystage token vera")
    run = api.ask("POST", "runs", "", json=body).json()["run"]
    api.until(lambda: api.with_token(vera, "GET", "tasks").json())
    task = api.with_token(vera, "GET", "tasks").json()[0]["id"]
    answer = api.with_token(vera, "POST", f"tasks/{task}/complete", json={"outcome": "approve"})
    assert answer.status_code == 200
    rows = api.with_token(vera, "GET", f"runs/{run}/history").json()
    assert {row["event"].get("via", "") for row in rows} == {"local owner", "own token"}


def test_a_token_ends_with_its_days(project: Path, new_api: Any) -> None:
    api = new_api(project, TurnedClock(project / "clock.json"))
    short, long = api.own_token("vera", days=1), api.own_token("vera", days=3)
    api.post("clock", "otto", {"by": "PT23H"})
    assert api.with_token(short, "GET", "tasks").status_code == 200
    api.post("clock", "otto", {"by": "PT2H"})
    refused(api.with_token(short, "GET", "tasks"), 401, "has ended")
    assert api.with_token(long, "GET", "tasks").status_code == 200


def test_revoking_ends_all_tokens_of_one_person(api: Any) -> None:
    first, second, other = (api.own_token(who) for who in ("vera", "vera", "victor"))
    answer = api.ask("POST", "tokens/revoke", "", json={"person": "vera"})
    assert answer.json() == {"person": "vera", "revoked": 2}
    for token in (first, second):
        refused(api.with_token(token, "GET", "tasks"), 401, "has ended")
    assert api.with_token(other, "GET", "tasks").status_code == 200
    assert api.with_token(api.own_token("vera"), "GET", "tasks").status_code == 200


def test_who_left_the_project_is_refused(project: Path, changed: Any, new_api: Any) -> None:
    before = new_api(project)
    token = before.own_token("victor")
    assert before.with_token(token, "GET", "tasks").status_code == 200
    changed(project, {"  victor: {roles: [validator], mail: victor@example.org}\n": ""})
    assert before.post("files/reload", "otto", {}).status_code == 200
    refused(before.with_token(token, "GET", "tasks"), 401, "has ended")


def test_only_the_hash_of_a_token_is_kept(api: Any) -> None:
    token = api.own_token("vera")
    assert token.startswith("ws_")
    assert len(token) > 40
    api.with_token(token, "GET", "tasks")
    kept = [path for path in api.root.rglob("*") if path.is_file()]
    assert kept
    assert [p.name for p in kept if token.encode() in p.read_bytes()] == []


def test_a_token_is_made_for_people_of_the_project_alone(api: Any) -> None:
    for body, text in (({"person": "vira"}, "did you mean vera"), ({"person": ""}, "''")):
        refused(api.ask("POST", "tokens", "", json=body), 404, text)
    for days in (0, -1, 3661, 1.5):
        answer = api.ask("POST", "tokens", "", json={"person": "vera", "days": days})
        assert answer.status_code == 400, answer.text


def test_two_tokens_of_one_person_are_one_person_in_a_quorum(project: Path, new_api: Any) -> None:
    (project / "lifecycles" / "both.yaml").write_text(BOTH)
    api = new_api(project)
    run, task = api.task(lifecycle="both")
    path, said = f"tasks/{task}/complete", {"outcome": "approve"}
    for token in (api.own_token("vera"), api.own_token("vera")):
        assert api.with_token(token, "POST", path, json=said).status_code == 200
    assert api.post(path, "vera", said).json()["repeated"] is True
    assert api.get(f"runs/{run}")["status"] == "open"
    assert api.with_token(api.own_token("victor"), "POST", path, json=said).status_code == 200
    assert api.get(f"runs/{run}")["status"] == "ended"


def test_the_verb_makes_and_ends_tokens(api: Any, capfd: pytest.CaptureFixture[str]) -> None:
    base = ["--project", str(api.root)]
    capfd.readouterr()
    assert waystage([*base, "token", "vera", "--days", "7"]) == 0
    told = capfd.readouterr().out
    token = told.split()[0]
    assert "It is vera's until" in told
    assert api.with_token(token, "GET", "tasks").status_code == 200
    assert waystage([*base, "token", "vira"]) == 1
    assert "did you mean vera" in capfd.readouterr().err
    assert waystage([*base, "token", "vera", "--revoke"]) == 0
    assert "vera had 1 good token; now none." in capfd.readouterr().out
    assert api.with_token(token, "GET", "tasks").status_code == 401


def test_a_person_acts_from_elsewhere_by_address_and_token(
    api: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    run, task = api.task()
    monkeypatch.setenv("WAYSTAGE_TOKEN", api.own_token("vera"))
    monkeypatch.setenv("WAYSTAGE_URL", f"{api.web.url}/")
    monkeypatch.chdir(tmp_path)  # no project is here
    capfd.readouterr()
    for words, said in (
        (["--as", "victor", "tasks"], "this token is vera's and does not act as victor"),
        (["token", "vera"], "only who runs the daemon makes and ends tokens"),
        (["--as", "victor", "complete", str(task), "--outcome", "approve"], "vera's"),
    ):
        assert waystage(words) == 1
        assert said in capfd.readouterr().err
    assert waystage(["complete", str(task), "--outcome", "approve"]) == 0
    assert acts(api, run, "vote") == [("vera", "own token")]
    assert waystage(["history", run]) == 0
    assert "own token" in capfd.readouterr().out
    monkeypatch.setenv("WAYSTAGE_TOKEN", "ws_wrong")
    assert waystage(["tasks"]) == 1
    assert "missing, wrong or has ended" in capfd.readouterr().err


def test_a_token_is_used_in_the_projects_directory_too(
    api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, task = api.task()
    monkeypatch.setenv("WAYSTAGE_TOKEN", api.own_token("vera"))
    words = ["--project", str(api.root), "complete", str(task), "--outcome", "approve"]
    assert waystage(words) == 0
    assert acts(api, run, "vote") == [("vera", "own token")]


@pytest.mark.parametrize("url", ["http://elsewhere.example:8470", "ftp://127.0.0.1", "http://[",
                                 "127.0.0.1:8470", "http://127.0.0.1.evil.example"])  # fmt: skip
def test_a_token_goes_to_another_machine_by_https_alone(
    url: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WAYSTAGE_TOKEN", "ws_x")
    monkeypatch.setenv("WAYSTAGE_URL", url)
    assert waystage(["tasks"]) == 1
    assert "by https alone" in capfd.readouterr().err


def test_an_address_without_a_token_and_a_silent_one_are_told(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WAYSTAGE_URL", "http://127.0.0.1:9")
    assert waystage(["tasks"]) == 1
    assert "set WAYSTAGE_TOKEN" in capfd.readouterr().err
    monkeypatch.setenv("WAYSTAGE_TOKEN", "ws_x")
    assert waystage(["tasks"]) == 1
    assert "no daemon answers at http://127.0.0.1:9" in capfd.readouterr().err


def test_a_project_does_not_lead_a_token_to_another_machine(
    project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (project / ".waystage").mkdir(exist_ok=True)
    told = '{"url": "https://evil.example", "token": "x"}'
    (project / ".waystage" / "daemon.json").write_text(told)
    monkeypatch.setenv("WAYSTAGE_TOKEN", "ws_x")
    assert waystage(["--project", str(project), "tasks"]) == 1
    assert "names another machine" in capfd.readouterr().err
    shutil.rmtree(project / ".waystage")


def test_the_environment_does_not_say_who_the_owner_is(
    project: Path, changed: Callable[..., None], new_api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LOGNAME", "USER"):
        monkeypatch.setenv(name, "vera")
    changed(project, {"people:\n": "on_behalf: false\npeople:\n"})
    api = new_api(project)
    refused(api.ask("GET", "tasks", "vera"), 403, f"{ME} does not act as vera")
