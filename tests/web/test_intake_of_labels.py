"""Labels and true values over HTTP, by the client, from files: what is taken, what is refused."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from scores_over_http import ALL, NOW, ROW, log_of, send

from waystage.cli.main import run as waystage
from waystage.client import ScoringClient


def test_labels_of_a_file_are_told(
    api: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(api.root)
    Path("outcomes.csv").write_text(
        "request_id,event,at\n" + "".join(f"r{n},{n % 2},2026-01-05\n" for n in range(4500))
    )
    assert waystage(["labels", "import", "outcomes.csv"]) == 0
    assert "4500 of 4500 labels were new." in capsys.readouterr().out
    assert waystage(["labels", "outcomes.csv"]) == 0  # as it was written before
    assert "0 of 4500 labels were new." in capsys.readouterr().out
    assert waystage(["labels", "import", "nowhere.csv"]) == 1
    assert "there is no file nowhere.csv" in capsys.readouterr().err


def test_true_values_of_a_regression_are_told_as_labels_are(
    api: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(api.root)
    token = api.ask("POST", "tokens", "", json={"service": "credit-risk"}).json()["token"]
    rows = [ROW | {"request_id": f"house-{n}", "score": 100.0 + n} for n in range(3)]
    assert send(api, token, *rows).status_code == 200
    Path("sold.csv").write_text("request_id,value,at\nhouse-0,101.5,2026-01-05\n")
    assert waystage(["labels", "import", "sold.csv"]) == 0
    assert "1 of 1 labels were new." in capsys.readouterr().out
    told = {"request_id": "house-1", "value": 99, "at": NOW.isoformat()}
    answer = api.with_token(token, "POST", "labels", json={"labels": [told]})
    assert (answer.status_code, answer.json()) == (200, {"changed": 1})
    found = list(log_of(api).valued(ALL))
    assert sorted(found, key=str) == [(100.0, 101.5), (101.0, 99.0), (102.0, None)]
    for wrong in ({"event": 1}, {"value": None}, {"value": "NaN"}):
        answer = api.with_token(token, "POST", "labels", json={"labels": [told | wrong]})
        assert answer.status_code == 400, wrong
    assert (
        "either event"
        in api.with_token(token, "POST", "labels", json={"labels": [told | {"value": None}]}).text
    )
    Path("both.csv").write_text("request_id,value,event,at\nhouse-0,101.5,1,2026-01-05\n")
    assert waystage(["labels", "import", "both.csv"]) == 1
    assert "has event and value; tell them in two files" in capsys.readouterr().err


FAR = "2999-01-01T00:00:00+00:00"


def test_a_label_from_a_wrong_year_is_refused_by_name_and_takes_nobodys_place(
    standing: Any, service: str
) -> None:
    assert send(standing, service, ROW | {"request_id": "of-now", "score": 0.5}).status_code == 200
    told = {"request_id": "of-now", "event": 1, "at": NOW.isoformat()}
    wrong = [told | {"event": 0, "at": FAR}, told | {"event": 0, "at": "1970-01-01"},
             {"request_id": "a value", "value": 2.0, "at": FAR}]  # fmt: skip
    answer = standing.with_token(service, "POST", "labels", json={"labels": [told, *wrong]})
    assert (answer.status_code, answer.json()["code"]) == (400, "E-REQUEST")
    said = answer.json()["message"].split("; ")
    assert [each.split(" is not between")[0] for each in said] == [
        f"labels.1.at: request of-now: {FAR}",
        "labels.2.at: request of-now: 1970-01-01T00:00:00+00:00",
        f"labels.3.at: request a value: {FAR}",
    ]
    assert all("not between 2000 and a day after now (20" in each for each in said)
    soon = told | {"at": (NOW + timedelta(hours=20)).isoformat()}  # a clock may go wrong
    answer = standing.with_token(service, "POST", "labels", json={"labels": [soon]})
    assert (answer.status_code, answer.json()) == (200, {"changed": 1})
    many = [told | {"at": FAR}] * 50
    answer = standing.with_token(service, "POST", "labels", json={"labels": many})
    assert "labels.19.at" in answer.text
    assert "labels.20.at" not in answer.text
    assert "labels: 30 more of these times are wrong, too" in answer.json()["message"]


def test_a_client_hears_which_label_has_a_wrong_time_and_the_others_are_taken(
    standing: Any, service: str
) -> None:
    refused: list[tuple[str, str]] = []
    with ScoringClient(
        standing.web.url, service, service="credit-risk", stage="PROD",
        refused=lambda row, why: refused.append((row["request_id"], why)),
    ) as client:  # fmt: skip
        for name, at in (("good", NOW), ("far", datetime.fromisoformat(FAR)), ("fine", NOW)):
            client.score(0.5, {}, snapshot="credit/1", request_id=f"client-{name}")
            client.label(f"client-{name}", 1, at)
    ((name, why),) = refused
    assert name == "client-far"
    assert "request client-far: 2999-01-01T00:00:00+00:00 is not between" in why
    kept = {row[0]: row[4] for row in log_of(standing).rows(ALL)}
    assert [kept[f"client-{name}"] for name in ("good", "far", "fine")] == [1, None, 1]


def test_bad_labels_of_a_file_are_named_by_their_lines(
    api: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(api.root)
    good = [f"r{n},1,2026-01-05" for n in range(2001)]
    lines = [
        "request_id,event,at",
        *good,
        f"far,1,{FAR}",
        "fraud,yes,2026-01-05",
        "last,0,2026-01-05",
    ]
    Path("outcomes.csv").write_text("\n".join(lines))
    assert waystage(["labels", "import", "outcomes.csv"]) == 1
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith(
        "outcomes.csv: line 2002 to 2005 were refused, the 2000 labels before it were taken; mend"
    )
    assert said[1].startswith("  line 2004: event: ")
    Path("outcomes.csv").write_text("\n".join(lines[:1] + lines[-3:-2]))
    assert waystage(["labels", "import", "outcomes.csv"]) == 1
    said = capsys.readouterr().err.splitlines()
    assert "line 2 to 2 were refused, no label was taken" in said[0]
    assert said[1].startswith(f"  line 2: at: request far: {FAR} is not between 2000 and a day")
