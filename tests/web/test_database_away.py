"""While the database is away, every route says so in one line, and none breaks."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from postgres_server import NoServer, PostgresServer
from tests.web.conftest import Api, make_project, on_database
from tests.web.test_routes import ACTS


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """A server of the test's own, to be ended and started."""
    try:
        found = PostgresServer()
    except NoServer as error:
        pytest.skip(str(error))
    yield found
    found.remove()


def test_every_route_says_that_the_database_is_away(server: PostgresServer, tmp_path: Path) -> None:
    api = Api(on_database(make_project(tmp_path / "project"), server.database()))
    try:
        run, task = api.task()
        _, incident = api.incident()
        names = {"run": run, "task": task, "incident": incident, "kind": "retry", "stage": "DEV",
                 "lifecycle": "asking", "placement": 1, "monitor": "requests",
                 "service": "credit-risk"}  # fmt: skip
        token = api.own_token("otto")
        server.stop(signal.SIGQUIT)
        for method, route in routes(api):
            owns = ask(api, api.token, method, route, names)
            assert owns.status_code < 500 or owns.status_code == 503, f"{route}: {owns.text}"
            answer = ask(api, token, method, route, names)
            if route == "/v1/health":
                assert answer.status_code == 200, "the daemon lives"
                continue
            assert answer.status_code == 503, f"{method} {route}: {answer.text}"
            if answer.headers["content-type"] == "application/json" and route != "/v1/ready":
                assert answer.json()["code"] == "E-UNAVAILABLE"
                assert "\n" not in answer.json()["message"]
        owner = api.post("migrations", "otto", {"lifecycle": "asking"})
        assert (owner.status_code, owner.json()["code"]) == (503, "E-UNAVAILABLE")
        server.start()
        api.until(lambda: api.http.get("/v1/ready").status_code == 200)
        assert api.with_token(token, "GET", "runs").status_code == 200
    finally:
        api.stop()


def routes(api: Api) -> list[tuple[str, str]]:
    """Give every route but those of a daemon that lives without its database."""
    return [(method, route.path) for route in api.web._server.config.app.routes
            for method in route.methods - {"HEAD"} if route.path.startswith("/v1")]  # fmt: skip


def ask(api: Api, token: str, method: str, route: str, names: dict[str, Any]) -> httpx.Response:
    """Ask with a person's own token, which is looked up in the database too."""
    path = route.format(**names)
    headers = {"Authorization": f"Bearer {token}"}
    body = ACTS[route][1] if route in ACTS and method == "POST" else None
    query = {"service": "credit-risk"} if route.endswith("/runtimes") else {}
    filled = body and {k: v.format(**names) if isinstance(v, str) else v for k, v in body.items()}
    return api.http.request(method, path, headers=headers, json=filled, params=query)
