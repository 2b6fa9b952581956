"""A real daemon with its API on a real port, for a project with two small lifecycles."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
from sqlalchemy import select

from waystage.cli.main import run as waystage
from waystage.clock import Clock
from waystage.daemon.daemon import Daemon
from waystage.errors import Hopeless
from waystage.plugin import Done, Plugin, Step
from waystage.registry import load_catalog
from waystage.store.schema import metadata
from waystage.web.server import WebServer

ASKING = """
lifecycle: asking
services: ["*"]
monitors:
  requests: {use: volume, window: {length: P1D}, breach: {below: 1}}
initial: approve
states:
  approve:
    task:
      title: "Approve {{ snapshot.name }} {{ snapshot.version }}?"
      for: [role:validator]
      exclude: [author, starter]
      form: {limit: {type: number}}
      outcomes: [approve, reject]
    next: {approve: approved, reject: rejected}
  approved: {final: true, outcome: approved}
  rejected: {final: true, outcome: rejected}
"""
BREAKING = """
lifecycle: breaking
services: ["*"]
initial: work
states:
  work:
    steps: [{use: test.moody}]
    next: {done: worked, refused: worked}
  worked: {final: true}
"""


class Moody(Step):
    """Fail for good until the project has a file `mended`; take as long as it has a file `hold`.

    - use: test.moody
    """

    use: ClassVar[str] = "test.moody"

    def run(self, ctx: Any) -> Done:
        while (ctx.project / "hold").exists():
            time.sleep(0.01)
        if not (ctx.project / "mended").exists():
            raise Hopeless("it cannot be done")
        return Done({})


class Api:
    """A daemon, its API and who asks."""

    def __init__(self, root: Path, clock: Clock | None = None) -> None:
        catalog: dict[str, type[Plugin]] = {**load_catalog(), Moody.use: Moody}
        self.root = root
        self.daemon = Daemon(root, clock=clock, catalog=catalog)
        self.web = WebServer(self.daemon, "127.0.0.1", 0)
        self.daemon.start()
        self.web.start()
        self.token = json.loads((root / ".waystage/daemon.json").read_text())["token"]
        self.http = httpx.Client(base_url=self.web.url, trust_env=False, timeout=60, verify=False)

    def stop(self) -> None:
        self.http.close()
        self.web.stop()
        self.daemon.stop()

    def ask(self, method: str, path: str, person: str = "otto", **more: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token}", "X-Waystage-Person": person}
        return self.http.request(
            method, f"/v1/{path}", headers=headers | more.pop("headers", {}), **more
        )

    def get(self, path: str, **query: Any) -> Any:
        answer = self.ask("GET", path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, person: str, body: dict[str, Any]) -> httpx.Response:
        return self.ask("POST", path, person, json=body)

    def own_token(self, person: str, days: int = 90) -> str:
        """Have the local owner make a token for a person."""
        answer = self.ask("POST", "tokens", "", json={"person": person, "days": days})
        assert answer.status_code == 200, answer.text
        token: str = answer.json()["token"]
        return token

    def with_token(self, token: str, method: str, path: str, **more: Any) -> httpx.Response:
        """Ask with a token alone, naming nobody."""
        headers = {"Authorization": f"Bearer {token}"}
        return self.http.request(method, f"/v1/{path}", headers=headers, **more)

    def open(self, lifecycle: str = "asking", version: str = "1", key: str = "") -> str:
        body = {"lifecycle": lifecycle, "service": "credit-risk", "model": "credit",
                "version": version, "key": key}  # fmt: skip
        answer = self.post("runs", "otto", body)
        assert answer.status_code == 200, answer.text
        run: str = answer.json()["run"]
        return run

    def task(self, **more: str) -> tuple[str, int]:
        """Open a run that asks; give it and its task."""
        run = self.open(**more)
        self.until(lambda: self.get(f"runs/{run}")["tasks"])
        return run, int(self.get(f"runs/{run}")["tasks"][0]["id"])

    def incident(self) -> tuple[str, int]:
        """Open a run that breaks; give it and its incident."""
        run = self.open("breaking")
        self.until(lambda: self.get(f"runs/{run}")["incidents"])
        return run, int(self.get(f"runs/{run}")["incidents"][0]["id"])

    def answer(self, task: int, person: str, outcome: str, **more: Any) -> httpx.Response:
        return self.post(f"tasks/{task}/complete", person, {"outcome": outcome, **more})

    def said(self, run: str, what: str) -> list[list[str]]:
        """Give the records of one kind in the run's history."""
        return [r for row in self.get(f"runs/{run}/history") for r in row["records"]
                if r[0] == what]  # fmt: skip

    def until(self, holds: Callable[[], Any]) -> None:
        end = time.monotonic() + 120
        while not holds():
            assert time.monotonic() < end, "nothing happens any more"
            time.sleep(0.01)


@pytest.fixture
def project(tmp_path: Path, database_url: str) -> Path:
    """Make a project on each kind of database."""
    return on_database(make_project(tmp_path / "project"), database_url)


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """One daemon for all tests that are refused before anything is done."""
    found = Api(make_project(tmp_path_factory.mktemp("standing") / "project"))
    yield found
    found.stop()


@pytest.fixture(scope="session")
def new_standing() -> Callable[[Path, dict[str, str]], Api]:
    """Give what starts a daemon for many tests; some lines of its waystage.yaml are others."""

    def make(root: Path, changed: dict[str, str]) -> Api:
        make_project(root)
        change_project(root, changed)
        return Api(root)

    return make


@pytest.fixture
def changed() -> Callable[[Path, dict[str, str]], None]:
    """Give what replaces lines of a waystage.yaml."""
    return change_project


def on_database(root: Path, url: str) -> Path:
    """Have the project live on PostgreSQL; on SQLite it does already."""
    if url.startswith("postgresql"):
        change_project(root, {"database: sqlite:///waystage.db": f"database: {url}"})
    return root


def all_rows(store: Any, *besides: str) -> list[str]:
    """Give every row as a text, in one order."""
    with store.reading() as connection:
        return sorted(
            f"{table.name} {tuple(row)}"
            for table in metadata.sorted_tables
            if table.name not in besides
            for row in connection.execute(select(table))
        )


def change_project(root: Path, changed: dict[str, str]) -> None:
    """Replace lines of a project's waystage.yaml."""
    file = root / "waystage.yaml"
    text = file.read_text()
    for old, new in changed.items():
        assert old in text
        text = text.replace(old, new)
    file.write_text(text)


def make_project(root: Path) -> Path:
    """Make a project with the verb that people use, and three versions of a model."""
    assert waystage(["init", str(root)]) == 0
    for file in (root / "lifecycles").glob("*.yaml"):
        file.unlink()
    (root / "lifecycles" / "asking.yaml").write_text(ASKING)
    (root / "lifecycles" / "breaking.yaml").write_text(BREAKING)
    for version, author in (("1", "dana"), ("2", "vera"), ("3", "dana")):
        place = root / "models" / "credit" / version
        place.mkdir(parents=True)
        (place / "model.onnx").write_bytes(b"weights")
        (place / "manifest.yaml").write_text(
            f"name: credit\nversion: '{version}'\nservices: [credit-risk]\nauthor: {author}\n"
            "format: onnx\n"
        )
    return root


@pytest.fixture
def api(project: Path) -> Iterator[Api]:
    found = Api(project)
    yield found
    found.stop()


@pytest.fixture
def new_api() -> Iterator[Callable[..., Api]]:
    """Start daemons that the test did not necessarily end."""
    made: list[Api] = []

    def make(root: Path, clock: Clock | None = None) -> Api:
        made.append(Api(root, clock))
        return made[-1]

    yield make
    for each in made:
        each.stop()


@pytest.fixture
def service(standing: Any) -> str:
    """Give a token of the service credit-risk."""
    answer = standing.ask("POST", "tokens", "", json={"service": "credit-risk"})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["token"])
