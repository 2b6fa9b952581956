"""Every route of the API and every kind of caller: nobody gets in who does not belong."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.web.conftest import all_rows

from waystage.store import rare
from waystage.store.codec import micros
from waystage.store.schema import metadata
from waystage.store.tokens import keep_token
from waystage.web.tokens import digest_of

STRANGERS = {
    "no token": {},
    "an empty token": {"Authorization": "Bearer"},
    "a wrong token": {"Authorization": "Bearer ws_wrong"},
    "another scheme": {"Authorization": "Basic b3R0bzpvdHRv"},
    "a revoked token": {"Authorization": "Bearer revoked"},
    "an expired token": {"Authorization": "Bearer expired"},
    "the token of someone who was removed": {"Authorization": "Bearer removed"},
    "the hash of a good token": {"Authorization": f"Bearer {digest_of('otto')}"},
}
# nils has no role, dana one without rights, vera decides, clara operates, otto overrides too;
# `owner` is the user whose daemon it is, in the own name
INSIDERS = ("nils", "dana", "vera", "clara", "otto", "owner")
ANYONE = set(INSIDERS)
OPERATE, OVERRIDE = {"clara", "otto"}, {"otto"}

OPEN = {"/v1/health", "/v1/ready"}

# what a POST says, and who may; a route that is not here fails the test
ACTS: dict[str, tuple[set[str], dict[str, Any]]] = {
    "/v1/runs": (
        OPERATE,
        {"lifecycle": "asking", "service": "credit-risk", "model": "credit", "version": "1"},
    ),
    "/v1/tasks/{task}/claim": ({"vera"}, {}),
    "/v1/tasks/{task}/release": ({"vera"}, {}),
    "/v1/tasks/{task}/delegate": ({"vera", "otto"}, {"person": "vera"}),
    "/v1/tasks/{task}/complete": ({"vera"}, {"outcome": "approve"}),
    "/v1/signals": (OPERATE, {"name": "x", "run": "{run}"}),
    "/v1/incidents/{incident}/{kind}": (OPERATE, {"reason": "because"}),
    "/v1/repairs": (OPERATE, {"kind": "retry", "all_of": {}, "reason": "better"}),
    "/v1/runs/{run}/pause": (OPERATE, {"reason": "because"}),
    "/v1/runs/{run}/resume": (OPERATE, {}),
    "/v1/lifecycles/{lifecycle}/pause": (OPERATE, {"reason": "because"}),
    "/v1/lifecycles/{lifecycle}/resume": (OPERATE, {}),
    "/v1/placements/{placement}/restore": (OPERATE, {"reason": "because"}),
    "/v1/monitors/{monitor}/measure": (OPERATE, {"service": "{service}"}),
    "/v1/purges": (OVERRIDE, {"ended_before": "2020-01-01T00:00Z"}),
    "/v1/purges/vacuum": (OVERRIDE, {}),
    "/v1/scores": (OPERATE | {"owner"}, {"rows": []}),
    "/v1/labels": (OPERATE | {"owner"}, {"labels": []}),
    "/v1/tokens": ({"owner"}, {"person": "dana"}),
    "/v1/tokens/revoke": ({"owner"}, {"person": "victor"}),
    "/v1/clock": (OPERATE, {"by": "PT1S"}),
    "/v1/stages/{stage}/stop": (OPERATE, {"reason": "smoke"}),
    "/v1/stages/{stage}/open": (OVERRIDE, {}),
    "/v1/runs/{run}/override": (OVERRIDE, {"reason": "because"}),
    "/v1/files/reload": (OPERATE, {}),
    "/v1/migrations": (OPERATE, {"lifecycle": "asking", "reason": "better", "apply": True}),
}


class Doors:
    """A daemon with something to act on, and a token for every kind of caller."""

    def __init__(self, api: Any) -> None:
        self.api = api
        run, task = api.task()
        _, incident = api.incident()
        self.names = {"run": run, "task": task, "incident": incident, "kind": "retry",
                      "stage": "DEV", "lifecycle": "asking",
                      "monitor": "requests", "service": "credit-risk",
                      "placement": self._placed()}  # fmt: skip
        self.tokens = {"owner": api.token}
        for person in INSIDERS[:-1]:
            self.tokens[person] = api.own_token(person)
        self._keep("expired", "otto", -1)
        self._keep("removed", "rita", +1)
        self._keep("revoked", "rosa", +1)
        assert api.ask("POST", "tokens/revoke", "", json={"person": "rosa"}).json()["revoked"] == 1

    def knock(self, method: str, route: str, headers: dict[str, str]) -> httpx.Response:
        path = route.format(**self.names)
        if method == "GET":
            asks = route.endswith(("/runtimes", "/measure"))
            query = {"service": "credit-risk"} if asks else {}
            return self.api.http.get(path, headers=headers, params=query)
        body = {k: self.fill(v) for k, v in ACTS[route][1].items()}
        return self.api.http.request(method, path, headers=headers, json=body)

    def fill(self, value: Any) -> Any:
        return value.format(**self.names) if isinstance(value, str) else value

    def bearer(self, who: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens[who]}"}

    def routes(self) -> list[tuple[str, str]]:
        found = [(method, route.path) for route in self.api.web._server.config.app.routes
                 for method in route.methods - {"HEAD"}]  # fmt: skip
        assert len(found) >= 25
        return found

    def state(self, *besides: str) -> list[str]:
        """Give the rows of the database, without those of some tables."""
        # what the watch of the repository keeps, and daemons of each other
        besides = (*besides, "cursors", "snapshots", "daemons", "turns")
        self.api.until(lambda: self.api.get("health")["busy"] == 0 and not self.unsent())
        return all_rows(self.api.daemon.store, *besides)

    def unsent(self) -> int:
        """Count the messages that are on their way."""
        rows = all_rows(self.api.daemon.store, *(metadata.tables.keys() - {"outbox"}))
        return sum(row.endswith(", None, '')") for row in rows)

    def _placed(self) -> int:
        """Put an entry into the inventory, of which nothing differs."""
        row = {"service": "credit-risk", "stage": "DEV", "runtime": "nightly", "mode": "batch",
               "role": "champion", "snapshot": "credit/1", "digest": "", "run": 1,
               "since": 0}  # fmt: skip
        engine = self.api.daemon.engine
        engine.act(lambda tx: tx.batch.rest.extend(rare.place(row, {}))).result(20)
        return int(self.api.daemon.store.placements()[0].id)

    def _keep(self, token: str, person: str, days: int) -> None:
        until = micros(datetime.now(UTC)) + days * 86_400_000_000
        engine = self.api.daemon.engine
        engine.act(lambda tx: keep_token(tx.connection, digest_of(token), person, until)).result(20)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def doors(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, new_standing: Any
) -> Iterator[Doors]:
    root: Path = tmp_path_factory.mktemp("doors") / "project"
    url = "sqlite:///waystage.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("shared_postgres").database()
    found = new_standing(root, {
        "database: sqlite:///waystage.db": f"database: {url}",
        "people:\n": "people:\n  rosa: {roles: [validator]}\n  nils: {}\n"
                     "  clara: {roles: [clerk]}\n",
        "roles:\n": "roles:\n  clerk: [operate]\n",
    })  # fmt: skip
    yield Doors(found)
    found.stop()


@pytest.mark.parametrize("stranger", STRANGERS)
def test_a_stranger_gets_in_nowhere(doors: Doors, stranger: str) -> None:
    before = doors.state()
    for method, route in doors.routes():
        answer = doors.knock(method, route, STRANGERS[stranger])
        if route in OPEN:
            assert answer.status_code == 200
            continue
        assert answer.status_code == 401, f"{method} {route}: {answer.text}"
        assert answer.json()["code"] == "E-TOKEN"
    assert doors.state() == before


@pytest.mark.parametrize("who", INSIDERS[:-1])
def test_a_token_is_good_for_its_person_alone(doors: Doors, who: str) -> None:
    before = doors.state()
    other = "victor" if who != "victor" else "vera"
    for method, route in doors.routes():
        if route not in OPEN:
            named = doors.bearer(who) | {"X-Waystage-Person": other}
            answer = doors.knock(method, route, named)
            assert answer.status_code == 403, f"{method} {route}: {answer.text}"
            assert f"this token is {who}'s" in answer.text
    assert doors.state() == before


def test_looking_changes_nothing_whoever_looks(doors: Doors) -> None:
    before = doors.state()
    for method, route in doors.routes():
        if method == "GET":
            for who in INSIDERS:
                answer = doors.knock(method, route, doors.bearer(who))
                assert answer.status_code == 200, f"{who} at {route}: {answer.text}"
    assert doors.state() == before


def test_what_acts_is_never_a_get(doors: Doors) -> None:
    looks = {route for method, route in doors.routes() if method == "GET"}
    before = doors.state()
    for method, route in doors.routes():
        if method != "GET" and route not in looks:
            path = route.format(**doors.names)
            answer = doors.api.http.get(path, headers=doors.bearer("otto"))
            assert answer.status_code == 405, f"{route}: {answer.text}"
    assert doors.state() == before


def test_who_has_not_the_right_is_refused_at_every_act_and_who_has_it_is_not(doors: Doors) -> None:
    acts = [route for method, route in doors.routes() if method != "GET"]
    assert set(acts) <= ACTS.keys(), "say in ACTS who may"
    # the order is that of ACTS: a task is claimed before it is released, and answered at last
    for route in sorted(acts, key=list(ACTS).index):
        may, _ = ACTS[route]
        if route.endswith("/release"):
            doors.knock("POST", "/v1/tasks/{task}/claim", doors.bearer("vera"))
        refusals_are_noted = ("history", "runs") if "{task}" in route else ()
        before = doors.state(*refusals_are_noted)
        for who in sorted(ANYONE - may):
            answer = doors.knock("POST", route, doors.bearer(who))
            assert answer.status_code == 403, f"{who} at {route}: {answer.text}"
        assert doors.state(*refusals_are_noted) == before, route
        for who in sorted(may):
            answer = doors.knock("POST", route, doors.bearer(who))
            assert answer.status_code in (200, 409), f"{who} at {route}: {answer.text}"
