"""A score that is given is in the scoring log; one that cannot be logged is not given."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

import httpx

from waystage.plugin import DeploySpec, JsonObject
from waystage.testing import FakeContext
from waystage.testing.runtime_contracts import wait_until_ready
from waystage_plugins.runtimes import LocalServing

Release = Callable[..., DeploySpec]
ROW: JsonObject = {"income": 1.0, "children": 2, "purpose": "car"}


def serve(ctx: FakeContext, release: Release, path: str) -> tuple[Any, str]:
    log = {"use": "scoring_log.sqlite", "with": {"path": path}}
    handle = LocalServing().apply(ctx, release(scoring_log=log))
    return handle, wait_until_ready(LocalServing(), ctx, handle).endpoints[0].url


def logged(ctx: FakeContext) -> list[str]:
    connection = sqlite3.connect(ctx.project / "scores.db")
    try:
        return sorted(row[0] for row in connection.execute("SELECT request_id FROM scored"))
    finally:
        connection.close()


def score(ctx: FakeContext, url: str, **headers: str) -> httpx.Response:
    return ctx.http.post(f"{url}:predict", json={"instances": [ROW]}, headers=headers)


def test_an_answered_request_is_logged_and_a_probe_is_not(
    ctx: FakeContext, release: Release
) -> None:
    handle, url = serve(ctx, release, "scores.db")
    assert score(ctx, url, **{"X-Request-Id": "loan-1"}).status_code == 200
    assert "score" in LocalServing().predict(ctx, handle, [ROW])[0]
    score(ctx, url, **{"X-Request-Id": "loan-2"})
    assert logged(ctx) == ["loan-1", "loan-2"]


def test_what_cannot_be_logged_is_not_answered(ctx: FakeContext, release: Release) -> None:
    (ctx.project / "scores.db").mkdir()
    handle, url = serve(ctx, release, "scores.db")
    answer = score(ctx, url)
    assert answer.status_code == 503, answer.text
    assert "scoring log" in answer.json()["error"]
    assert "predictions" not in answer.text
    assert LocalServing().predict(ctx, handle, [ROW]), "a probe needs no log"
    (ctx.project / "scores.db").rmdir()
    assert score(ctx, url).status_code == 200
