"""Talking to SAS Viya's model repository: tokens, pages, versions of objects, errors of one line.

After SAS's public REST API (`/modelRepository`, `/SASLogon/oauth/token`).
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from waystage.clock import wall_seconds
from waystage.errors import Conflict, Hopeless, NotFound, Retryable, WaystageError
from waystage.plugin import Services
from waystage_plugins.repositories.rest import (
    MAX_ANSWER,
    SECONDS,
    basic,
    broken,
    client,
    json_object,
    one_line,
    small,
)
from waystage_plugins.retry_after import refused

if TYPE_CHECKING:
    import httpx

ROOT = "/modelRepository"
TOKENS = "/SASLogon/oauth/token"
MODEL = "application/vnd.sas.models.model+json"
VERSION = "application/vnd.sas.models.model.version+json"
COLLECTION = "application/vnd.sas.collection+json"
PAGE = 100
LIFE = 0.8  # of a token, after which another one is asked for

_tokens: dict[str, tuple[str, float]] = {}  # in memory alone, never written anywhere
_lock = threading.Lock()


class Login(NamedTuple):
    """Who we are: a token as it is, or what SAS Logon gives one for."""

    token: str = ""
    client: str = ""
    client_secret: str = ""
    user: str = ""
    password: str = ""

    @property
    def mark(self) -> str:
        """Tell logins apart without telling their secrets."""
        return hashlib.sha256("\0".join(self).encode()).hexdigest()


class Viya:
    """Requests to the model repository of one SAS Viya."""

    def __init__(self, http: httpx.Client, url: str, login: Login) -> None:
        self._http, self.url, self._login = http, url, login

    def get(self, path: str, kind: str = MODEL) -> tuple[dict[str, Any], str]:
        """Give an object and its ETag; raises `NotFound`."""
        with self._ask("GET", path, accept=kind) as answer:
            return self._object(answer, path), answer.headers.get("ETag", "")

    def every(self, path: str, **params: str) -> Iterator[dict[str, Any]]:
        """Give all entries of a collection, page by page."""
        start = 0
        while True:
            asked = params | {"start": str(start), "limit": str(PAGE)}
            with self._ask("GET", path, accept=COLLECTION, params=asked) as answer:
                told = self._object(answer, path)
            items = told.get("items") or []
            yield from items
            start += len(items)
            # the count may be of more than we may see
            if not items or start >= int(told.get("count", start)):
                return

    def post(self, path: str, body: Mapping[str, Any], kind: str = MODEL) -> dict[str, Any]:
        """Make something; raises `Conflict` when it is there already."""
        content = json.dumps(body).encode()
        with self._ask("POST", path, accept=kind, content=content, type=kind) as answer:
            return self._object(answer, path)

    def put(self, path: str, body: Mapping[str, Any], etag: str) -> None:
        """Change an object that is still as it was read; raises `Conflict` when it is not."""
        content = json.dumps(body).encode()
        with self._ask("PUT", path, content=content, type=MODEL, match=etag):
            pass

    def delete(self, path: str) -> None:
        """Take something away; harmless when it is gone."""
        try:
            with self._ask("DELETE", path):
                pass
        except NotFound:
            return

    def upload(self, path: str, name: str, content: Any) -> None:
        """Put a file among the contents of a model."""
        files = {"files": (name, content, "application/octet-stream")}
        with self._ask("POST", path, files=files):
            pass

    @contextmanager
    def download(self, path: str) -> Iterator[Iterable[bytes]]:
        """Give the bytes of a file piece by piece; raises `NotFound`."""
        with self._ask("GET", path, accept="*/*") as answer:
            yield answer.iter_bytes()

    @contextmanager
    def _ask(
        self, method: str, path: str, *, accept: str = "application/json", type: str = "",
        match: str = "", **more: Any,
    ) -> Iterator[httpx.Response]:  # fmt: skip
        import httpx

        headers = {"Accept": accept}
        headers |= {"Content-Type": type} if type else {}
        headers |= {"If-Match": match} if match else {}
        answer = self._send(method, ROOT + path, headers, more)
        try:
            if answer.status_code == 401 and not self._login.token:
                answer.close()  # the token ended before its time, or was taken back
                self._forget()
                answer = self._send(method, ROOT + path, headers, more)
            if not 200 <= answer.status_code < 300:
                raise self._refusal(answer, path)
            yield answer
        except httpx.HTTPError as error:  # while the body was read
            raise broken(f"SAS Viya {self.url}", error) from None
        finally:
            answer.close()

    def _send(
        self, method: str, path: str, headers: dict[str, str], more: dict[str, Any]
    ) -> httpx.Response:
        import httpx

        told = headers | {"Authorization": f"Bearer {self._token()}"}
        for _, content, _ in (more.get("files") or {}).values():
            content.seek(0)
        try:
            request = self._http.build_request(
                method, self.url + path, headers=told, timeout=httpx.Timeout(**SECONDS), **more
            )
            return self._http.send(request, stream=True, follow_redirects=False)
        except httpx.HTTPError as error:
            raise broken(f"SAS Viya {self.url}", error) from None

    def _token(self) -> str:
        if self._login.token:
            return self._login.token
        name = f"{self.url} {self._login.mark}"
        with _lock:
            text, until = _tokens.get(name, ("", 0.0))
        if not text or wall_seconds() >= until:
            text, seconds = self._given()
            with _lock:
                _tokens[name] = (text, wall_seconds() + LIFE * seconds)
        return text

    def _forget(self) -> None:
        with _lock:
            _tokens.pop(f"{self.url} {self._login.mark}", None)

    def _given(self) -> tuple[str, float]:
        """Have SAS Logon give a token, and the seconds that it lives."""
        import httpx

        it = self._login
        asked = {"grant_type": "client_credentials"}
        if it.user:
            asked = {"grant_type": "password", "username": it.user, "password": it.password}
        # the client that SAS's own tools use has no secret
        who = basic(it.client or "sas.ec", it.client_secret)
        headers = {"Accept": "application/json", "Authorization": who}
        try:
            answer = self._http.post(
                self.url + TOKENS, data=asked, headers=headers, follow_redirects=False
            )
        except httpx.HTTPError as error:
            raise broken(f"SAS Viya {self.url}", error) from None
        if answer.status_code in (400, 401, 403):
            named = f"user {it.user!r}" if it.user else f"client {it.client!r}"
            raise Hopeless(f"SAS Viya {self.url}: SAS Logon does not let {named} in")
        try:
            told = answer.json()
            return str(told["access_token"]), float(told.get("expires_in", 300))
        except (ValueError, KeyError, TypeError):
            raise Retryable(
                f"SAS Viya {self.url}: SAS Logon gives no token: it answers {answer.status_code}"
            ) from None

    def _refusal(self, answer: httpx.Response, path: str) -> WaystageError:
        status = answer.status_code
        try:
            told = json.loads(small(answer.iter_bytes(), MAX_ANSWER, "an error"))
            text = one_line(str(told.get("message", "")))
        except (ValueError, AttributeError, WaystageError):
            text = ""
        line = f"SAS Viya {self.url}: {path}: {text or f'it answers {status}'}"
        if status == 401:
            return Hopeless(f"SAS Viya {self.url}: it does not take this token (401)")
        if status == 403:
            return Hopeless(f"SAS Viya {self.url}: {path}: this account may not do this (403)")
        if status in (409, 412):
            return Conflict(line)
        if status == 404:
            return NotFound(line)
        return refused(answer, line)

    def _object(self, answer: httpx.Response, path: str) -> dict[str, Any]:
        raw = small(answer.iter_bytes(), MAX_ANSWER, f"SAS Viya {self.url}: its answer")
        return json_object(raw, f"SAS Viya {self.url}: {path} answers no JSON; is this SAS Viya?")


@contextmanager
def connected(ctx: Services, url: str, ca: str, login: Login) -> Iterator[Viya]:
    """Give a server to ask; `ca` is a PEM file with who signed its certificate, or empty."""
    with client(ctx, ca) as http:
        yield Viya(http, url, login)
