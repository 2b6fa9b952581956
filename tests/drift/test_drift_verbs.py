"""`waystage drift`, `where`, `show`, `doctor`, the API and the figures tell of a drift."""

from __future__ import annotations

import asyncio
import json
from functools import partial

import httpx
import pytest

from waystage.cli.main import run as waystage
from waystage.daemon.daemon import Daemon
from waystage.web.app import create_app


@pytest.fixture
def work(drifting):
    """A deployment that somebody scaled, and that a stage only reports."""
    found = drifting(on_drift="report")
    found.run = found.begin()
    found.change(replicas=5, by="kubectl-edit")
    found.look()
    return found


@pytest.fixture
def said(work, capsys, monkeypatch):
    catalog = work.daemon.catalog
    monkeypatch.setattr("waystage.cli.offline.Daemon", partial(Daemon, catalog=catalog))
    monkeypatch.setattr("waystage.daemon.doctor.load_catalog", lambda allowed: catalog)

    def say(*words: str) -> tuple[int, str]:
        capsys.readouterr()
        code = waystage(["--project", str(work.root), *words])
        return code, capsys.readouterr().out

    return say


def api(work):
    """Give what asks the API, as otto does on the daemon's machine."""
    app = create_app(work.daemon, "t0ken")
    headers = {"Authorization": "Bearer t0ken", "X-Waystage-Person": "otto"}

    async def send(method: str, path: str, **more):
        transport = httpx.ASGITransport(app=app)
        there = "http://127.0.0.1:8470"
        async with httpx.AsyncClient(transport=transport, base_url=there) as client:
            return await client.request(method, path, headers=headers, **more)

    return lambda *given, **more: asyncio.run(send(*given, **more))


def test_requests_that_wait_are_shown_beside_the_state(work, said, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    work.change(replicas=1, lag=0)
    work.look()
    assert ", lag 0" in said("where", "credit-risk")[1]
    work.change(lag=1207, phase="degraded", message="1207 requests wait")
    work.look()
    assert "degraded, lag 1207: 1207 requests wait" in said("where", "credit-risk")[1]
    assert api(work)("GET", "/v1/placements").json()[0]["drift"]["lag"] == 1207
    work.change(lag=None, phase="ready", message="")
    work.look()
    assert "lag" not in said("where", "credit-risk")[1]


def test_the_verb_says_what_who_and_what_follows(work, said):
    code, text = said("drift")
    assert code == 1, "there is something to do"
    lines = text.splitlines()
    assert lines[0].endswith("credit-risk: credit/1 (champion) in PROD/files")
    assert lines[1].strip() == (
        "drifted since 2026-03-02 12:00 UTC: replicas: 5, not 1, by kubectl-edit")  # fmt: skip
    assert lines[2].strip() == "on_drift: report: it is left as it is"
    code, text = said("drift", "--json")
    assert (code, json.loads(text)[0]["drift"]["differs"][0]["found"]) == (1, "5")
    work.change(replicas=1)
    work.look()
    assert said("drift", "credit-risk") == (
        0, "Everything of credit-risk that was looked at runs as it was deployed.\n")  # fmt: skip


def test_where_and_show_tell_it_too(work, said):
    told = " ".join(said("where", "credit-risk")[1].split())
    assert "drifted: replicas:" in told
    told = said("show", work.run)[1]
    assert "drifted    in PROD/files since 2026-03-02 12:00 UTC: replicas: 5, not 1" in told


def test_the_doctor_tells_it(work, said):
    code, text = said("doctor", "--json")
    (found,) = [each for each in json.loads(text)["found"] if each["area"] == "inventory"]
    assert (code, found["level"], found["cure"]) == (1, "wrong", "waystage drift")
    assert found["said"] == "credit-risk: credit/1 in PROD is drifted"


def test_it_is_restored_by_the_api_in_a_person_s_name(work):
    ask = api(work)
    (row,) = ask("GET", "/v1/drift").json()
    path = f"/v1/placements/{row['id']}/restore"
    assert ask("POST", path, json={"reason": ""}).status_code == 409
    assert ask("POST", path, json={"reason": "by mistake"}).json()["placement"] == row["id"]
    (row,) = ask("GET", "/v1/drift").json()
    assert row["doing"].startswith("it is made as it was at")
    work.look(2)
    assert ask("GET", "/v1/drift").json() == []
    figures = ask("GET", "/metrics").text
    assert 'waystage_deployments{stage="PROD",state="ok"} 1.0' in figures
    assert "otto" in [actor for name, actor, _ in work.signals(work.run)
                      if name == "runtime.restoring"]  # fmt: skip
