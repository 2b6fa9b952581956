"""Sending rows to a daemon: what each answer means for those who hold them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import httpx

from waystage.errors import Busy, Forbidden, Unavailable, WaystageError

LOCAL = frozenset({"127.0.0.1", "localhost", "::1"})
BODY_LIMIT = 1 << 20  # of the daemon
ROOM = 4096  # in a body, besides its rows
Row = dict[str, Any]


class Undeliverable(WaystageError):
    """The daemon refuses these rows and always will."""

    code = "E-UNDELIVERABLE"


class Sender:
    """One daemon's scoring log, as the holder of a token reaches it."""

    def __init__(
        self, url: str, token: str, *, ca: str | None = None, seconds: float = 30.0
    ) -> None:
        _refuse_open_line(url)
        import ssl

        verify = ssl.create_default_context(cafile=ca) if ca else True
        self.url = url.rstrip("/")
        self._http = httpx.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {token}"}, timeout=seconds,
            trust_env=False, verify=verify,
        )  # fmt: skip

    def close(self) -> None:
        """Let go of the connection."""
        self._http.close()

    def send(self, kind: str, rows: Sequence[Row]) -> None:
        """Return when the daemon keeps the rows (`scores` or `labels`); the same rows may repeat.

        Raises `Undeliverable` when it always will refuse them, `Forbidden` for a token that is
        not good (any more), `Busy` and `Unavailable` when it is to be tried again later.
        """
        named = "rows" if kind == "scores" else "labels"
        content = json.dumps({named: list(rows)}, allow_nan=False).encode()
        headers = {"Content-Type": "application/json"}
        try:
            answer = self._http.post(f"/v1/{kind}", content=content, headers=headers)
        except httpx.TransportError as error:
            raise Unavailable(f"no daemon answers at {self.url}: {error}") from error
        _raise_for(answer)


def send_all(
    sender: Sender, kind: str, rows: Sequence[Row], refused: Callable[[Row, str], None]
) -> None:
    """Send rows in bodies that the daemon takes; tell `refused` of each that it always refuses.

    Raises what `send` raises for all of them; what was sent then may be sent again.
    """
    for part in _parts(rows, refused):
        try:
            sender.send(kind, part)
        except Undeliverable as error:
            if len(part) == 1:
                refused(part[0], str(error))
                continue
            half = len(part) // 2
            send_all(sender, kind, part[:half], refused)
            send_all(sender, kind, part[half:], refused)


def _parts(rows: Sequence[Row], refused: Callable[[Row, str], None]) -> list[list[Row]]:
    parts: list[list[Row]] = [[]]
    room = left = BODY_LIMIT - ROOM
    for row in rows:
        try:
            size = len(json.dumps(row, allow_nan=False)) + 2
        except (ValueError, TypeError) as error:
            refused(row, f"it is no JSON: {error}")
            continue
        if size > room:
            refused(row, f"it has {size} bytes, and a request has room for {room}")
            continue
        if size > left:
            parts.append([])
            left = room
        parts[-1].append(row)
        left -= size
    return [part for part in parts if part]


def _raise_for(answer: httpx.Response) -> None:
    status = answer.status_code
    if status == 200:
        return
    try:
        told = str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        told = f"HTTP {status}"
    if status in (401, 403):
        raise Forbidden(told)
    if status == 429:
        raise Busy(told)
    if status in (400, 413, 422):
        raise Undeliverable(told)
    raise Unavailable(told)


def _refuse_open_line(url: str) -> None:
    try:
        parts = urlsplit(url)
        good = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOCAL)
    except ValueError:  # an address that is none
        good = False
    if not good:
        raise Unavailable(
            f"{url}: a token goes to another machine by https alone, and by http:// to "
            "127.0.0.1, where a tunnel may begin"
        )
