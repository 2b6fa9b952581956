"""Reaching the project's daemon; reads work without one."""

from __future__ import annotations

import getpass
import json
from pathlib import Path
from typing import Any

import click
import httpx

from waystage.errors import Conflict, Forbidden, NotFound, Unavailable, WaystageError

KINDS: dict[int, type[WaystageError]] = {
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    503: Unavailable,
}


def find_project(given: Path | None) -> Path:
    """Give the project's directory: the one named, or the nearest with a waystage.yaml."""
    if given is not None:
        if not (given / "waystage.yaml").is_file():
            raise NotFound(f"{given} has no waystage.yaml; make a project with `waystage init`")
        return given.resolve()
    here = Path.cwd()
    for place in (here, *here.parents):
        if (place / "waystage.yaml").is_file():
            return place
    raise NotFound("there is no waystage.yaml here or above; make a project with `waystage init`")


class Client:
    """One project's API."""

    def __init__(self, ctx: click.Context) -> None:
        self.root = find_project(ctx.obj["project"])
        self.person = ctx.obj["person"] or getpass.getuser()

    def get(self, path: str, **query: Any) -> Any:
        """Ask the daemon, or read the database when none runs."""
        found = self._daemon()
        given = {name: value for name, value in query.items() if value is not None}
        if found is None:
            return self._offline(path, given)
        return self._send("GET", found, path, params=given)

    @property
    def running(self) -> bool:
        """Whether a daemon answers."""
        return self._daemon() is not None

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """Have the daemon do something."""
        found = self._daemon()
        if found is None:
            raise Unavailable("no daemon runs for this project; start one with `waystage up`")
        return self._send("POST", found, path, json=body)

    def _daemon(self) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = json.loads((self.root / ".waystage/daemon.json").read_text())
            httpx.get(f"{found['url']}/v1/health", timeout=5, trust_env=False)
        except (FileNotFoundError, json.JSONDecodeError, httpx.TransportError):
            return None
        return found

    def _send(self, method: str, daemon: dict[str, Any], path: str, **more: Any) -> Any:
        headers = {"Authorization": f"Bearer {daemon['token']}", "X-Waystage-Person": self.person}
        answer = httpx.request(
            method,
            f"{daemon['url']}/v1/{path}",
            headers=headers,
            timeout=90,
            trust_env=False,
            **more,
        )
        return _checked(answer)

    def _offline(self, path: str, query: dict[str, Any]) -> Any:
        from waystage.cli.offline import read_offline

        return read_offline(self.root, path, query, _checked)


def _checked(answer: httpx.Response) -> Any:
    if answer.status_code == 200:
        return answer.json()
    try:
        message = answer.json()["message"]
    except (json.JSONDecodeError, KeyError, TypeError):
        message = f"the daemon answered HTTP {answer.status_code}"
    raise KINDS.get(answer.status_code, WaystageError)(message)
