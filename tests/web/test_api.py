"""The API refuses what is not allowed, does the rest once, and writes down who did it."""

from __future__ import annotations

import http.client
import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import httpx
import pytest

from waystage.clock import TurnedClock
from waystage.errors import Unavailable
from waystage.web.server import WebServer


def refused(answer: httpx.Response, status: int, text: str) -> None:
    """Hold a refusal against what it should say."""
    assert answer.status_code == status, answer.text
    assert text in answer.json()["message"]
    assert answer.json()["code"].startswith("E-")


@pytest.mark.parametrize("given", [{}, {"Authorization": "Bearer wrong"},
                                   {"Authorization": "Bearer"}])  # fmt: skip
def test_without_the_token_nothing_is_told(standing: Any, given: dict[str, str]) -> None:
    for path in ("/v1/runs", "/v1/tasks", "/openapi.json", "/nowhere"):
        refused(standing.http.get(path, headers=given), 401, "token")
    refused(standing.http.post("/v1/signals", headers=given, json={}), 401, "token")


def test_a_token_that_is_no_ascii_is_only_wrong(standing: Any) -> None:
    answer = standing.http.get("/v1/runs", headers={"Authorization": b"Bearer \xff\xfe"})
    refused(answer, 401, "token")


def test_health_needs_no_token_and_tells_no_secret(standing: Any) -> None:
    answer = standing.http.get("/v1/health")
    assert answer.json()["ok"] is True
    assert standing.token not in answer.text


@pytest.mark.parametrize("path", ["/v1/health", "/v1/ready", "/metrics"])
def test_who_asks_for_the_head_alone_is_told_what_get_tells(standing: Any, path: str) -> None:
    token = {"Authorization": f"Bearer {standing.token}"}
    head, whole = (standing.http.request(verb, path, headers=token) for verb in ("HEAD", "GET"))
    assert (head.status_code, head.text) == (whole.status_code, "")
    assert head.headers["content-type"] == whole.headers["content-type"]
    stranger = standing.http.head(path)
    assert stranger.status_code == (401 if path == "/metrics" else whole.status_code)


def test_only_the_owner_may_read_the_token(standing: Any) -> None:
    mode = (standing.root / ".waystage/daemon.json").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "evil:8470"])
def test_an_unknown_host_is_refused(standing: Any, host: str) -> None:
    refused(standing.ask("GET", "runs", headers={"Host": host}), 421, "unknown host")


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
def test_a_page_of_another_site_is_refused(standing: Any, origin: str) -> None:
    refused(standing.ask("GET", "runs", headers={"Origin": origin}), 403, "other sites")
    answer = standing.ask("POST", "signals", headers={"Origin": origin}, json={"name": "x"})
    refused(answer, 403, "other sites")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_a_body_that_is_no_json_is_refused(standing: Any, kind: str) -> None:
    answer = standing.ask(
        "POST", "signals", headers={"Content-Type": kind}, content=b'{"name": "x"}'
    )
    refused(answer, 415, "JSON")


def test_json_with_a_charset_is_json(standing: Any) -> None:
    kind = {"Content-Type": "application/json; charset=utf-8"}
    answer = standing.ask("POST", "signals", headers=kind, content=b'{"name": "x", "run": "none"}')
    refused(answer, 404, "there is no run 'none'")


def test_a_body_over_one_mebibyte_is_refused(standing: Any) -> None:
    refused(standing.ask("POST", "signals", json={"name": "x" * (1 << 20)}), 413, "1048576 bytes")


def test_a_body_of_unknown_length_is_refused(standing: Any) -> None:
    kind = {"Content-Type": "application/json"}
    answer = standing.ask("POST", "signals", headers=kind, content=iter([b"{}"]))
    refused(answer, 411, "Content-Length")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"name": 1}', b'{"nam": "x"}', b"\xff"])
def test_a_malformed_body_is_told_and_is_no_crash(standing: Any, body: bytes) -> None:
    kind = {"Content-Type": "application/json"}
    answer = standing.ask("POST", "signals", headers=kind, content=body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["code"] == "E-REQUEST"


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"1e999"])
def test_a_number_that_is_none_is_refused_wherever_it_stands(api: Any, number: bytes) -> None:
    run, task = api.task()
    kind = {"Content-Type": "application/json"}
    form = b'{"outcome": "approve", "form": {"limit": %b}}' % number
    payload = b'{"name": "x", "run": "%b", "payload": {"a": [%b]}}' % (run.encode(), number)
    for path, person, body in (
        (f"tasks/{task}/complete", "vera", form),
        ("signals", "otto", payload),
    ):
        answer = api.ask("POST", path, person, headers=kind, content=body)
        refused(answer, 400, "finite")
    assert api.get(f"runs/{run}")["status"] == "open"
    api.get(f"runs/{run}/history")


def test_who_may_not_answer_is_refused_and_the_history_says_so(api: Any) -> None:
    run, task = api.task()
    refused(api.answer(task, "otto", "approve"), 403, "it is for role:validator")
    refused(api.answer(task, "mallory", "approve"), 403, "nobody")
    assert [r[0] for r in api.said(run, "refused")] == ["refused", "refused"]
    rows = [row for row in api.get(f"runs/{run}/history") if row["records"][0][0] == "refused"]
    assert [row["actor"] for row in rows] == ["otto", "mallory"]
    assert "it is for role:validator" in json.dumps(rows[0])
    assert api.get(f"runs/{run}")["status"] == "open"


def test_the_author_of_a_model_does_not_approve_it(api: Any) -> None:
    run, task = api.task(version="2")
    refused(api.answer(task, "vera", "approve"), 403, "four eyes")
    assert api.answer(task, "victor", "approve").status_code == 200
    assert api.get(f"runs/{run}")["outcome"] == "approved"


def test_a_rejection_needs_a_reason(api: Any) -> None:
    run, task = api.task()
    refused(api.answer(task, "vera", "reject"), 400, "needs a comment")
    refused(api.answer(task, "vera", "reject", comment="  "), 400, "needs a comment")
    assert api.answer(task, "vera", "reject", comment="too old").status_code == 200
    assert api.get(f"runs/{run}")["outcome"] == "rejected"
    assert "too old" in json.dumps(api.get(f"runs/{run}/history"))


def test_an_outcome_or_a_field_that_the_task_lacks_is_refused(api: Any) -> None:
    _, task = api.task()
    refused(api.answer(task, "vera", "aprove"), 400, "did you mean 'approve'")
    refused(api.answer(task, "vera", "approve", form={"limt": 1}), 400, "no field 'limt'")
    refused(api.answer(task, "vera", "approve", form={"limit": "1"}), 400, "no number")


def test_the_same_answer_twice_is_harmless(api: Any) -> None:
    run, task = api.task()
    assert "repeated" not in api.answer(task, "vera", "approve").json()
    before = api.get(f"runs/{run}/history")
    again = api.answer(task, "vera", "approve")
    assert (again.status_code, again.json()["repeated"]) == (200, True)
    assert api.get(f"runs/{run}/history") == before


def test_another_answer_is_refused_with_the_first_one(api: Any) -> None:
    run, task = api.task()
    api.answer(task, "vera", "approve")
    for person in ("vera", "victor"):
        answer = api.answer(task, person, "reject", comment="no")
        refused(answer, 409, "vera answered 'approve'")
    assert api.get(f"runs/{run}")["outcome"] == "approved"


def test_who_answers_what_has_changed_meanwhile_looks_again(api: Any) -> None:
    _, task = api.task()
    refused(api.answer(task, "vera", "approve", shown="sha256:old"), 409, "look again")
    shown = api.get("tasks")[0]["body"]["shown"]
    assert api.answer(task, "vera", "approve", shown=shown).status_code == 200


@pytest.mark.parametrize("attempt", range(3))
def test_of_two_answers_at_the_same_moment_one_has_an_effect(api: Any, attempt: int) -> None:
    run, task = api.task()
    together = Barrier(8)

    def answer(number: int) -> tuple[int, str]:
        person, outcome = ("vera", "approve") if number % 2 else ("victor", "reject")
        with httpx.Client(base_url=api.web.url, trust_env=False, timeout=120) as client:
            headers = {"Authorization": f"Bearer {api.token}", "X-Waystage-Person": person}
            body = {"outcome": outcome, "comment": "so"}
            together.wait(timeout=120)
            path = f"/v1/tasks/{task}/complete"
            return client.post(path, headers=headers, json=body).status_code, outcome

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(answer, range(8)))
    assert {status for status, _ in found} == {200, 409}
    won = {outcome for status, outcome in found if status == 200}
    assert len(won) == 1, found
    assert (
        api.get(f"runs/{run}")["outcome"]
        == {"approve": "approved", "reject": "rejected"}[won.pop()]
    )
    assert len(api.said(run, "moved")) == 1
    votes = [row for row in api.get(f"runs/{run}/history") if row["event"].get("kind") == "vote"]
    assert len(votes) <= 1


def test_a_claim_keeps_others_off_until_it_is_released(api: Any) -> None:
    run, task = api.task()
    refused(api.post(f"tasks/{task}/claim", "otto", {}), 403, "it is for role:validator")
    assert api.post(f"tasks/{task}/claim", "vera", {}).json()["claimed_by"] == "vera"
    refused(api.post(f"tasks/{task}/claim", "victor", {}), 409, "claimed by vera")
    refused(api.answer(task, "victor", "approve"), 409, "claimed by vera")
    refused(
        api.post(f"tasks/{task}/release", "victor", {}),
        403,
        "claimed by vera, who alone may release",
    )
    assert api.post(f"tasks/{task}/release", "vera", {}).status_code == 200
    assert api.answer(task, "victor", "approve").status_code == 200
    assert api.get(f"runs/{run}")["outcome"] == "approved"


@pytest.mark.parametrize("act", ["complete", "claim", "release"])
def test_an_unknown_task_is_not_found(standing: Any, act: str) -> None:
    body = {"outcome": "approve"} if act == "complete" else {}
    refused(standing.post(f"tasks/999/{act}", "vera", body), 404, "there is no task 999")


@pytest.mark.parametrize("path", ["runs/none", "runs/none/lifecycle"])
def test_an_unknown_run_is_not_found(standing: Any, path: str) -> None:
    refused(standing.ask("GET", path), 404, "there is no run 'none'")


def test_a_run_is_opened_only_by_who_may_operate(standing: Any) -> None:
    body = {"lifecycle": "asking", "service": "credit-risk", "model": "credit", "version": "1"}
    for person in ("vera", "mallory"):
        refused(standing.post("runs", person, body), 403, "may not operate")
    refused(
        standing.post("runs", "otto", body | {"lifecycle": "askin"}), 404, "no lifecycle 'askin'"
    )
    refused(standing.post("runs", "otto", body | {"version": "9"}), 404, "9")
    assert standing.get("runs") == []


def test_the_same_key_opens_one_run(api: Any) -> None:
    assert api.open(key="april") == api.open(key="april")
    assert len(api.get("runs")) == 1
    assert api.open(key="may") != api.open(key="april")


@pytest.mark.parametrize("kind", ["retry", "skip", "goto", "set", "abort"])
def test_an_incident_is_mended_only_by_who_may_operate(api: Any, kind: str) -> None:
    run, incident = api.incident()
    body = {"reason": "because", "to": "worked"}
    refused(api.post(f"incidents/{incident}/{kind}", "vera", body), 403, "role:operator")
    assert api.get(f"runs/{run}")["status"] == "open"
    assert len(api.get("incidents")) == 1


def test_a_retry_goes_on_when_the_cause_is_gone(api: Any) -> None:
    run, incident = api.incident()
    (api.root / "mended").touch()
    assert api.post(f"incidents/{incident}/retry", "otto", {}).status_code == 200
    api.until(lambda: api.get(f"runs/{run}")["status"] != "open")
    assert api.get("incidents") == []
    refused(api.post(f"incidents/{incident}/retry", "otto", {}), 409, "closed")


def test_a_retry_whose_cause_is_still_there_is_an_incident_again(api: Any) -> None:
    run, incident = api.incident()
    api.post(f"incidents/{incident}/retry", "otto", {})
    api.until(lambda: len(api.said(run, "incident")) > 1)
    assert api.get(f"runs/{run}")["status"] == "open"
    newest = api.get("incidents")[-1]["id"]
    (api.root / "mended").touch()
    assert api.post(f"incidents/{newest}/retry", "otto", {}).status_code == 200
    api.until(lambda: api.get(f"runs/{run}")["status"] != "open")
    assert api.get("incidents") == []


def test_a_skip_needs_a_reason_that_the_history_keeps(api: Any) -> None:
    run, incident = api.incident()
    refused(api.post(f"incidents/{incident}/skip", "otto", {"reason": " "}), 409, "needs a reason")
    done = api.post(f"incidents/{incident}/skip", "otto", {"reason": "done by hand"})
    assert done.status_code == 200
    api.until(lambda: api.get(f"runs/{run}")["status"] != "open")
    assert "done by hand" in json.dumps(api.get(f"runs/{run}/history"))


@pytest.mark.parametrize("where", ["nowhere", ""])
def test_a_run_is_not_sent_to_a_state_that_is_not_there(api: Any, where: str) -> None:
    run, incident = api.incident()
    answer = api.post(f"incidents/{incident}/goto", "otto", {"reason": "x", "to": where})
    assert 400 <= answer.status_code < 500, answer.text
    assert api.get(f"runs/{run}")["status"] == "open"
    assert len(api.get("incidents")) == 1


def test_an_incident_that_is_not_there_or_a_cure_unknown_is_not_found(api: Any) -> None:
    refused(api.post("incidents/999/retry", "otto", {}), 404, "no incident 999")
    _, incident = api.incident()
    refused(api.post(f"incidents/{incident}/mend", "otto", {}), 404, "not 'mend'")


def test_a_signal_is_sent_only_by_who_may_operate(api: Any) -> None:
    run, _ = api.task()
    refused(api.post("signals", "vera", {"name": "x", "run": run}), 403, "may not operate")


def test_the_machines_clock_is_not_turned(standing: Any) -> None:
    refused(standing.post("clock", "otto", {"by": "P1D"}), 409, "machine's clock")
    assert standing.get("clock")["turned"] is False


def test_a_turned_clock_goes_forward_only_for_who_may_operate(project: Path, new_api: Any) -> None:
    found = new_api(project, TurnedClock(project / "clock.json"))
    refused(found.post("clock", "vera", {"by": "P1D"}), 403, "may not operate")
    before = found.get("clock")["now"]
    assert found.post("clock", "otto", {"by": "P1D"}).json()["now"] > before
    for wrong in ("-P1D", "tomorrow", ""):
        answer = found.post("clock", "otto", {"by": wrong})
        assert 400 <= answer.status_code < 500, f"{wrong}: {answer.text}"


def test_labels_tell_how_requests_came_out(standing: Any) -> None:
    at = "2026-03-01T00:00:00Z"
    answer = standing.post(
        "labels", "otto", {"labels": [{"request_id": "a", "event": 1, "at": at}]}
    )
    assert answer.status_code == 200, answer.text
    for wrong in ({"request_id": "a", "event": 2, "at": at}, {"request_id": "a", "event": 1},
                  {"request_id": "x" * 300, "event": 1, "at": at}):  # fmt: skip
        assert standing.post("labels", "otto", {"labels": [wrong]}).status_code == 400


def test_only_this_machine_may_be_listened_on(standing: Any) -> None:
    with pytest.raises(Unavailable, match=r"0\.0\.0\.0 is not this machine alone"):
        WebServer(standing.daemon, "0.0.0.0", 0)  # what must be refused


def test_a_port_in_use_is_told(standing: Any) -> None:
    port = int(standing.web.url.rpartition(":")[2])
    with pytest.raises(Unavailable, match=f"port {port} on 127.0.0.1 cannot be used"):
        WebServer(standing.daemon, "127.0.0.1", port)


def test_a_path_with_odd_bytes_is_no_crash(standing: Any) -> None:
    port = int(standing.web.url.rpartition(":")[2])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for path in ("/v1/runs/%00", "/v1/runs/%ff%fe", "/v1/runs/..%2f..%2fetc%2fpasswd",
                 "/v1/placements?at=yesterday", "/v1/runs?limit=-1"):  # fmt: skip
        connection.request("GET", path, headers=bearer(standing))
        answer = connection.getresponse()
        answer.read()
        assert answer.status < 500, path
    connection.close()


def test_stopping_takes_the_address_away(project: Path, new_api: Any) -> None:
    found = new_api(project)
    assert (project / ".waystage/daemon.json").exists()
    found.stop()
    assert not (project / ".waystage/daemon.json").exists()
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{found.web.url}/v1/health", trust_env=False)


def bearer(api: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {api.token}"}
