"""What is asked for that is not there: told in words, and never answered with too much."""

from __future__ import annotations

from typing import Any

import pytest

RUN = {"lifecycle": "asking", "service": "credit-risk", "model": "credit", "version": "1"}


def refused(answer: Any, status: int, *said: str) -> None:
    """Hold a refusal against what it should say."""
    assert answer.status_code == status, answer.text
    for text in said:
        assert text in answer.json()["message"]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("runs?sevrice=x", "sevrice: there is no such parameter; did you mean service?"),
        ("runs?status=opn", "status: must be one of open, ended"),
        ("runs?limit=-1", "limit: must be at least 1, not"),
        ("runs?limit=many", "limit: needs a whole number, not the text 'many'"),
        ("placements?at=noon", "at: needs a time such as"),
        ("stages/PROD/runtimes", "service is missing"),
        ("clock?x=1", "x: there is no such parameter; it takes none"),
    ],
)
def test_a_parameter_that_makes_no_sense_is_told_in_words(
    standing: Any, path: str, said: str
) -> None:
    refused(standing.ask("GET", path), 400, said)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "the body is no JSON: "),
        (b"[]", "the body: needs a mapping of keys to values, not a list"),
        (b"{}", "lifecycle is missing; service is missing"),
        (b'{"lifecycle": 1}', "lifecycle: needs a text, not 1"),
        (b'{"lifecycel": "x"}', "there is no lifecycel here"),
    ],
)
def test_a_body_that_makes_no_sense_is_told_in_words(standing: Any, body: bytes, said: str) -> None:
    kind = {"Content-Type": "application/json"}
    refused(standing.ask("POST", "runs", headers=kind, content=body), 400, said)


@pytest.mark.parametrize("path", ["placements", "measurements", "drift", "runs"])
def test_a_service_that_nobody_knows_is_not_simply_empty(standing: Any, path: str) -> None:
    refused(standing.ask("GET", f"{path}?service=credit-rsk"), 404, "did you mean credit-risk?")
    assert standing.get(path, service="credit-risk") == []


def test_what_is_not_there_is_told_with_where_to_look(standing: Any) -> None:
    refused(standing.ask("GET", "run"), 404, "there is no GET /v1/run", "/openapi.json")
    refused(standing.ask("DELETE", "runs"), 405, "there is no DELETE /v1/runs")
    refused(standing.ask("GET", "runs/none/history"), 404, "there is no run 'none'")


def test_a_run_is_opened_for_a_service_that_somebody_named(api: Any) -> None:
    refused(api.post("runs", "otto", RUN | {"service": "credit-rsk"}), 404, "did you mean")
    (api.root / "models/credit/3/manifest.yaml").write_text(
        "name: credit\nversion: '3'\nservices: [mortgages]\nauthor: dana\nformat: onnx\n"
    )
    answer = api.post("runs", "otto", RUN | {"service": "mortgages", "version": "3"})
    assert answer.status_code == 200, answer.text
    assert len(api.get("runs", service="mortgages")) == 1  # by its run it is known


def test_a_run_is_opened_only_for_a_service_that_the_lifecycle_is_for(api: Any) -> None:
    file = api.root / "lifecycles" / "asking.yaml"
    file.write_text(file.read_text().replace('services: ["*"]', 'services: ["cc-*"]'))
    assert api.post("files/reload", "otto", {}).status_code == 200
    refused(api.post("runs", "otto", RUN), 409, "asking is for cc-*, not for credit-risk")


def test_a_run_that_has_ended_hears_no_signal_and_the_sender_is_told(api: Any) -> None:
    run, task = api.task()
    once = {"name": "hello", "run": run, "key": "said once"}
    assert api.post("signals", "otto", once).status_code == 200
    assert api.answer(task, "vera", "approve").status_code == 200
    refused(api.post("signals", "otto", {"name": "hello", "run": run}), 409, "has ended: approved")
    assert api.post("signals", "otto", once).json()["repeated"] is True
    refused(api.post("signals", "otto", {"name": "hello"}), 409, "say one of them")
