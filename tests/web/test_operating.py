"""Operating many runs by API and command line: incidents in bulk, pausing, auditing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import update
from tests.web.conftest import Api, make_project

from waystage.cli.main import run as waystage
from waystage.store import schema as t

Said = Callable[..., tuple[int, str]]


@pytest.fixture
def api(project: Path) -> Iterator[Api]:
    found = Api(project)
    yield found
    found.stop()


@pytest.fixture
def say(api: Api, capsys: pytest.CaptureFixture[str]) -> Said:
    """Give what calls a verb as otto, and its exit code and words."""

    def call(*words: str, person: str = "otto") -> tuple[int, str]:
        capsys.readouterr()
        code = waystage(["--project", str(api.root), "--as", person, *words])
        found = capsys.readouterr()
        return code, found.out + found.err

    return call


def incidents(api: Api, count: int) -> list[int]:
    """Open runs that break, and give their incidents."""
    for number in range(count):
        api.open("breaking", key=f"b{number}")
    api.until(lambda: len(api.get("incidents")) == count)
    return [each["id"] for each in api.get("incidents")]


def test_incidents_are_counted_first_and_mended_when_it_is_confirmed(api: Api, say: Said) -> None:
    incidents(api, 5)
    which = "kind=failed lifecycle=breaking"
    code, text = say("skip", "--all-of", which, "--reason", "done by hand")
    assert (code, "skip is for 5 incidents; add --yes to do it." in text) == (0, True)
    assert len(api.get("incidents")) == 5
    code, text = say("skip", "--all-of", which, "--reason", "done by hand", "--yes")
    assert (code, text.strip()) == (0, "skip: 5 done, 0 not.")
    assert api.get("incidents") == []
    api.until(lambda: all(run["status"] == "ended" for run in api.get("runs")))
    (row, *_) = api.get("incidents", all=True)
    assert (row["how"], row["closed_by"], row["reason"]) == ("skipped", "otto", "done by hand")
    code, text = say("skip", "--all-of", which, "--reason", "again", "--yes")
    assert text.strip() == "skip: 0 done, 0 not."


def test_more_incidents_than_one_call_takes_are_all_retried(
    api: Api, say: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("waystage.daemon.bulk.AT_ONCE", 2)
    incidents(api, 5)
    (api.root / "mended").touch()
    code, text = say("retry", "--all-of", "all", "--reason", "the file is there", "--yes")
    assert (code, text.strip()) == (0, "retry: 5 done, 0 not.")
    api.until(lambda: all(run["status"] == "ended" for run in api.get("runs")))


def test_what_is_being_tried_again_is_left_to_that(api: Api, say: Said) -> None:
    incidents(api, 2)
    (api.root / "hold").touch()
    (api.root / "mended").touch()
    order = ("retry", "--all-of", "all", "--reason", "the file is there", "--yes", "--json")
    assert say(*order)[0] == 0
    code, text = say(*order)
    (api.root / "hold").unlink()
    told = [(each["done"], each["why"]) for each in json.loads(text)["incidents"]]
    assert (code, told) == (0, [(True, "it is being tried again already")] * 2)
    api.until(lambda: all(run["status"] == "ended" for run in api.get("runs")))


def test_what_is_logged_about_a_run_names_it(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    run, _ = api.incident()
    api.until(lambda: any("is parked" in each.getMessage() and getattr(each, "run", "") == run
                          for each in caplog.records))  # fmt: skip


def test_what_cannot_be_mended_is_told_one_by_one(api: Api, say: Said) -> None:
    incidents(api, 3)
    code, text = say("goto", "nowhere", "--all-of", "all", "--reason", "x", "--yes")
    assert code == 1
    assert "3 × there is no state 'nowhere' to go to; there is work, worked" in text
    assert "    1 (credit-risk-1), 2 (credit-risk-2), 3 (credit-risk-3)\n" in text
    assert "goto: 0 done, 3 not." in text
    code, text = say("goto", "worked", "--all-of", "all", "--reason", "x", "--yes")
    assert (code, text.strip()) == (0, "goto: 3 done, 0 not.")


def test_incidents_are_chosen_by_kind_lifecycle_and_time(api: Api, say: Said) -> None:
    incidents(api, 2)
    assert len(api.get("incidents", kind="failed", since="2020-01-01T00:00")) == 2
    for others in ({"kind": "guard"}, {"lifecycle": "asking"}, {"since": "2100-01-01T00:00Z"},
                   {"service": "other"}, {"state": "elsewhere"}):  # fmt: skip
        assert api.get("incidents", **others) == [], others
    assert "Incidents: none" in say("incidents", "--kind", "guard")[1]
    assert "No open incident is meant." in say(
        "retry", "--all-of", "lifecycle=asking", "--reason", "x")[1]  # fmt: skip


@pytest.mark.parametrize(("words", "says"), [
    (["retry", "--all-of", "all", "--yes"], "needs a reason"),
    (["retry", "--all-of", "colour=red", "--reason", "x"], "say kind=…"),
    (["retry", "--all-of", "", "--reason", "x"], "say kind=…"),
    (["retry", "3", "--all-of", "all", "--reason", "x"], "either an incident's number"),
    (["retry"], "either an incident's number"),
    (["set", "x=1", "--reason", "x"], "say the incident's number first"),
    (["set", "3", "x", "--reason", "x"], "say NAME=VALUE"),
    (["pause", "--reason", "x"], "say either a run"),
    (["audit", "head"], "say where to"),
])  # fmt: skip
def test_what_is_said_wrongly_is_refused(say: Said, words: list[str], says: str) -> None:
    code, text = say(*words)
    assert code == 1
    assert says in text


def test_a_variable_is_set_before_a_retry(api: Api, say: Said) -> None:
    (number,) = incidents(api, 1)
    code, text = say("set", str(number), "limit=3", "--reason", "x")
    assert (code, "limit: is no variable" in text) == (1, True)


def test_a_paused_run_says_so_takes_no_answer_and_goes_on(api: Api, say: Said) -> None:
    run, task = api.task()
    assert say("pause", run, "--reason", "audit first") == (0, f"{run} is paused.\n")
    assert "paused" in say("list")[1]
    shown = say("show", run)[1]
    assert "paused     by otto: audit first" in shown
    assert f"waystage resume {run}" in shown
    refused = api.answer(task, "vera", "approve")
    assert (refused.status_code, "is paused by otto" in refused.text) == (409, True)
    assert api.get("pauses")[0]["run"] == run
    assert say("resume", run)[1] == f"{run} goes on; 0 events had come meanwhile.\n"
    assert api.answer(task, "vera", "approve").status_code == 200
    assert api.said(run, "paused") == [["paused", "", "", "otto: audit first"]]


def test_a_lifecycle_is_paused_and_resumed_by_its_name(api: Api, say: Said) -> None:
    run, _ = api.task()
    assert say("pause", "--lifecycle", "asking", "--reason", "x")[1] == "asking is paused, 1 run.\n"
    other = api.open(key="other")
    assert api.get(f"runs/{other}")["paused"]["by"] == "otto"
    assert api.get(f"runs/{other}")["tasks"] == []
    assert "begins" in say("list")[1]
    assert say("resume", "--lifecycle", "asking")[1] == "asking goes on, 2 runs.\n"
    api.until(lambda: api.get(f"runs/{other}")["tasks"])
    assert api.get(f"runs/{run}")["paused"] is None


def test_an_incident_of_a_paused_run_is_not_mended_unless_the_run_is_ended(
    api: Api, say: Said
) -> None:
    run, number = api.incident()
    say("pause", run, "--reason", "x")
    code, text = say("retry", str(number))
    assert (code, "is paused by otto" in text) == (1, True)
    assert say("abort", str(number), "--reason", "x")[0] == 0
    api.until(lambda: api.get(f"runs/{run}")["status"] == "ended")
    assert api.get("pauses") == []


def test_audit_says_what_is_sound_and_what_is_not_without_the_daemon(
    api: Api, say: Said, tmp_path: Path
) -> None:
    run, _ = api.task()
    heads, export = tmp_path / "heads", tmp_path / "history.jsonl"
    code, text = say("audit", "verify")
    assert (code, "1 run, 1 row: every row is as it was written." in text) == (0, True)
    assert say("audit", "head", "-o", str(heads))[0] == 0
    assert say("audit", "export", "-o", str(export))[0] == 0
    assert say("audit", "verify", "--file", str(export))[0] == 0
    assert say("audit", "verify", run, "--head", str(heads))[0] == 0
    with api.daemon.store.writing() as connection:
        connection.execute(update(t.history).values(actor="nobody"))
    code, text = say("audit", "verify", "--json")
    assert code == 1
    (found,) = json.loads(text)["findings"]
    assert (found["run"], found["row"]) == (run, 1)
    assert "it was changed" in say("audit", "verify", run)[1]


def test_a_project_without_a_database_has_nothing_to_audit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_project(tmp_path / "new")
    assert waystage(["--project", str(root), "audit", "verify"]) == 1
    assert "has no database yet" in capsys.readouterr().err
    assert not list(root.glob("*.db*"))
