"""Reaching a project's daemon, here or elsewhere; reads work without one."""

from __future__ import annotations

import json
import os
from typing import Any
from urllib.parse import urlsplit

import click
import httpx

from waystage.cli.place import find_project
from waystage.errors import Busy, Conflict, Forbidden, NotFound, Unavailable, WaystageError

KINDS: dict[int, type[WaystageError]] = {
    401: Forbidden,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    429: Busy,
    503: Unavailable,
}
LOCAL = frozenset({"127.0.0.1", "localhost", "::1"})
NO_DAEMON = "no daemon runs for this project; start one with `waystage up`"


class Client:
    """The API of the project's daemon, or of the one that WAYSTAGE_URL names."""

    def __init__(self, ctx: click.Context) -> None:
        self.person: str = ctx.obj["person"]
        self.url = os.environ.get("WAYSTAGE_URL", "").rstrip("/")
        self.token = os.environ.get("WAYSTAGE_TOKEN", "")
        self.root = None if self.url else find_project(ctx.obj["project"])
        if self.url:
            _refuse_open_line(self.url)
            if not self.token:
                raise Unavailable(f"{self.url} wants a token: set WAYSTAGE_TOKEN to yours")

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
            raise Unavailable(NO_DAEMON)
        try:
            content = json.dumps(body, allow_nan=False)
        except ValueError as error:
            text = "NaN and Infinity are no values of JSON; nothing was sent"
            raise click.UsageError(text) from error
        kind = {"Content-Type": "application/json"}
        return self._send("POST", found, path, content=content, headers=kind)

    def _daemon(self) -> tuple[str, str] | None:
        """Give address and token of the daemon; None if none runs for the project."""
        if self.root is None:
            return self.url, self.token
        try:
            found = json.loads((self.root / ".waystage/daemon.json").read_text())
            if urlsplit(found["url"]).hostname not in LOCAL:
                raise Unavailable(f"{self.root}/.waystage/daemon.json names another machine")
            httpx.get(f"{found['url']}/v1/health", timeout=5, trust_env=False).json()
        except (FileNotFoundError, json.JSONDecodeError, httpx.TransportError):
            return None
        except PermissionError as error:
            raise Unavailable(
                "the daemon is another user's: set WAYSTAGE_URL to its address and "
                "WAYSTAGE_TOKEN to your token"
            ) from error
        return found["url"], self.token or found["token"]

    def _send(self, method: str, daemon: tuple[str, str], path: str, **more: Any) -> Any:
        url, token = daemon
        headers = {"Authorization": f"Bearer {token}", **more.pop("headers", {})}
        if self.person:
            headers["X-Waystage-Person"] = self.person
        where = f"{url}/v1/{path}"
        try:
            answer = httpx.request(
                method, where, headers=headers, timeout=90, trust_env=False, **more
            )
        except httpx.TransportError as error:
            raise Unavailable(f"no daemon answers at {url}: {error}") from error
        return _checked(answer)

    def _offline(self, path: str, query: dict[str, Any]) -> Any:
        from waystage.cli.offline import read_offline

        assert self.root is not None
        return read_offline(self.root, path, query, _checked)


def _refuse_open_line(url: str) -> None:
    """Raise `Unavailable` if a token would be sent in clear to another machine."""
    try:
        parts = urlsplit(url)
        good = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOCAL)
    except ValueError:  # an address that is none
        good = False
    if not good:
        raise Unavailable(
            f"WAYSTAGE_URL: {url}: a token goes to another machine by https alone; or reach it "
            "by a tunnel (ssh -L 8470:127.0.0.1:8470 HOST) at http://127.0.0.1:8470"
        )


def _checked(answer: httpx.Response) -> Any:
    if answer.status_code == 200:
        return answer.json()
    try:
        message = answer.json()["message"]
    except (json.JSONDecodeError, KeyError, TypeError):
        message = f"the daemon answered HTTP {answer.status_code}"
    raise KINDS.get(answer.status_code, WaystageError)(message)
