"""Talking to an MLflow tracking server: who we are, time limits, and errors of one line.

After MLflow's REST API 2.0.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from waystage.errors import Conflict, Hopeless, NotFound, WaystageError
from waystage.plugin import JsonObject, Services
from waystage_plugins.repositories.rest import (
    MAX_ANSWER,
    SECONDS,
    broken,
    client,
    json_object,
    one_line,
    small,
)
from waystage_plugins.retry_after import refused

if TYPE_CHECKING:
    import httpx

API = "/api/2.0/mlflow"
PROXY = "/api/2.0/mlflow-artifacts/artifacts"
PAGE = 1000
KINDS: dict[str, type[WaystageError]] = {
    "RESOURCE_DOES_NOT_EXIST": NotFound,
    "RESOURCE_ALREADY_EXISTS": Conflict,
}


class Server:
    """Requests to one tracking server."""

    def __init__(self, http: httpx.Client, url: str, authorization: str) -> None:
        self._http, self.url = http, url
        self._headers = {"Authorization": authorization} if authorization else {}

    def get(self, path: str, **params: str | int) -> dict[str, Any]:
        """Ask for something of the API; raises `NotFound` when it is not there."""
        return self._json("GET", f"{API}/{path}", params=params)

    def post(self, path: str, body: JsonObject) -> dict[str, Any]:
        """Change something; raises `Conflict` when it is there already."""
        return self._json("POST", f"{API}/{path}", body=body)

    def every(self, path: str, field: str, **params: str | int) -> Iterator[dict[str, Any]]:
        """Give all entries of a search, page by page."""
        token = ""
        while True:
            more = {"page_token": token} if token else {}
            told = self.get(path, max_results=PAGE, **params, **more)
            yield from told.get(field, [])
            token = str(told.get("next_page_token") or "")
            if not token:
                return

    def listing(self, path: str) -> list[dict[str, Any]]:
        """Give what lies in a directory of artifacts; one that is not there has nothing."""
        found: list[dict[str, Any]] = self._json("GET", PROXY, params={"path": path}).get(
            "files", []
        )
        return found

    @contextmanager
    def download(self, path: str) -> Iterator[Iterable[bytes]]:
        """Give the bytes of an artifact piece by piece; raises `NotFound`."""
        with self._ask("GET", f"{PROXY}/{quote(path)}") as answer:
            yield answer.iter_bytes()

    def upload(self, path: str, content: Iterable[bytes] | bytes) -> None:
        """Put an artifact where it belongs, in the place of what was there."""
        with self._ask("PUT", f"{PROXY}/{quote(path)}", content=content):
            pass

    def _json(
        self, method: str, path: str, *, params: dict[str, str | int] | None = None,
        body: JsonObject | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        with self._ask(method, path, params=params, json=body) as answer:
            return self._object(self._whole(answer), path)

    @contextmanager
    def _ask(self, method: str, path: str, **more: Any) -> Iterator[httpx.Response]:
        import httpx

        try:
            request = self._http.build_request(
                method, self.url + path, headers=self._headers,
                timeout=httpx.Timeout(**SECONDS), **more,
            )  # fmt: skip
            answer = self._http.send(request, stream=True, follow_redirects=False)
            try:
                if answer.status_code != 200:
                    raise self._refusal(answer, path)
                yield answer
            finally:
                answer.close()
        except httpx.HTTPError as error:
            raise broken(f"MLflow {self.url}", error) from None

    def _refusal(self, answer: httpx.Response, path: str) -> WaystageError:
        status, what = answer.status_code, path.removeprefix("/api/2.0/")
        if status == 401:
            told = "this token or password" if self._headers else "requests without a token"
            return Hopeless(f"MLflow {self.url}: it does not take {told} (401)")
        try:
            said = json.loads(self._whole(answer))
            code, text = str(said.get("error_code", "")), one_line(str(said.get("message", "")))
        except (ValueError, AttributeError):
            code, text = "", ""
        if status == 403:
            return Hopeless(f"MLflow {self.url}: {what}: this user may not do this (403)")
        message = f"MLflow {self.url}: {what}: {text or f'it answers {status}'}"
        if code in KINDS:
            return KINDS[code](message)
        return refused(answer, message)

    def _whole(self, answer: httpx.Response) -> bytes:
        return small(answer.iter_bytes(), MAX_ANSWER, f"MLflow {self.url}: its answer")

    def _object(self, raw: bytes, path: str) -> dict[str, Any]:
        no = f"MLflow {self.url}: {path} answers no JSON; is this an MLflow server?"
        return json_object(raw, no)


@contextmanager
def connected(ctx: Services, url: str, ca: str, authorization: str) -> Iterator[Server]:
    """Give a server to ask; `ca` is a PEM file with who signed its certificate, or empty."""
    with client(ctx, ca) as http:
        yield Server(http, url, authorization)
