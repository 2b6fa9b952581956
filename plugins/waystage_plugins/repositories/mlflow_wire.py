"""Talking to an MLflow tracking server: who we are, time limits, and errors of one line.

After MLflow's REST API 2.0. Nothing that a server says is believed to be harmless: texts are cut
to one line, answers have a largest size, redirects are not followed.
"""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from waystage.errors import Conflict, Hopeless, NotFound, Retryable, WaystageError
from waystage.plugin import JsonObject, Services

if TYPE_CHECKING:
    import httpx

API = "/api/2.0/mlflow"
PROXY = "/api/2.0/mlflow-artifacts/artifacts"
SECONDS = {"connect": 10.0, "read": 120.0, "write": 120.0, "pool": 10.0}
MAX_ANSWER = 64 << 20  # of lists; artifacts are streamed
PAGE = 1000
LATER = frozenset({408, 425, 429})
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
            raise self._broken(error) from None

    def _broken(self, error: httpx.HTTPError) -> WaystageError:
        if "CERTIFICATE" in str(error).upper():
            return Hopeless(
                f"MLflow {self.url}: its certificate is not trusted; name the file with its "
                f"signer by ca:"
            )
        told = one_line(str(error)) or type(error).__name__
        return Retryable(f"MLflow {self.url}: the connection failed: {told}")

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
        return Retryable(message) if status >= 500 or status in LATER else Hopeless(message)

    def _whole(self, answer: httpx.Response) -> bytes:
        return small(answer.iter_bytes(), MAX_ANSWER, f"MLflow {self.url}: its answer")

    def _object(self, raw: bytes, path: str) -> dict[str, Any]:
        try:
            told = json.loads(raw or b"{}")
        except ValueError:
            told = None
        if not isinstance(told, dict):
            raise Hopeless(f"MLflow {self.url}: {path} answers no JSON; is this an MLflow server?")
        return told


@contextmanager
def connected(ctx: Services, url: str, ca: str, authorization: str) -> Iterator[Server]:
    """Give a server to ask; `ca` is a PEM file with who signed its certificate, or empty."""
    if not ca:
        yield Server(ctx.http, url, authorization)
        return
    import httpx

    try:
        trusted = ssl.create_default_context(cafile=str(ctx.project / ca))
    except (OSError, ssl.SSLError):
        raise Hopeless(f"ca: {ca} is no file with certificates (PEM)") from None
    with httpx.Client(verify=trusted, follow_redirects=False, trust_env=False) as own:
        yield Server(own, url, authorization)


def small(chunks: Iterable[bytes], largest: int, what: str) -> bytes:
    """Give bytes as a whole; raises `Hopeless` when they are more than `largest`."""
    found = bytearray()
    for chunk in chunks:
        found += chunk
        if len(found) > largest:
            raise Hopeless(f"{what} is larger than {largest} bytes")
    return bytes(found)


def basic(user: str, password: str) -> str:
    """Write the header of HTTP's basic authentication."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def one_line(text: str) -> str:
    """Give what somebody else wrote as one short line of plain characters."""
    plain = "".join(each if each.isprintable() else " " for each in text)
    return " ".join(plain.split())[:200]
