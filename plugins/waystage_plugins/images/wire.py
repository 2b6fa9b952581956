"""Talking to a registry: authentication, time limits, and errors of one line.

After the OCI distribution specification and the "token authentication" of the Distribution
project. Nothing that a registry says is believed to be harmless: texts are cut to one line,
answers have a largest size, and credentials go to no other host and never from https to http.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urljoin, urlsplit

from waystage.errors import Hopeless, Retryable, WaystageError
from waystage.plugin import Services
from waystage_plugins.images.login import Login, address
from waystage_plugins.retry_after import refused

if TYPE_CHECKING:
    import httpx

SECONDS = {"connect": 10.0, "read": 120.0, "write": 120.0, "pool": 10.0}
MAX_ANSWER = 8 << 20  # of manifests and configurations; layers are streamed
MAX_REDIRECTS = 4

# `name="value"` or `name=value`, else the name of a scheme
CHALLENGE = re.compile(r'([\w-]+)\s*=\s*(?:"([^"]*)"|([^\s,"]+))|([A-Za-z][\w-]*)')

Body = Callable[[], Iterable[bytes]]


class Wire:
    """Requests to one registry about one repository (`path`), and others it may read from."""

    def __init__(
        self, ctx: Services, http: httpx.Client, host: str, login: Login, scopes: tuple[str, ...]
    ) -> None:
        self._ctx, self._http, self._host, self._login = ctx, http, host, login
        self._scopes = scopes
        self._root = address(host, login)
        self._authorization = ""

    @contextmanager
    def ask(
        self, method: str, path: str, *, headers: dict[str, str] | None = None,
        body: Body | None = None, fine: tuple[int, ...] = (200,), what: str = "",
    ) -> Iterator[httpx.Response]:  # fmt: skip
        """Send a request and give the answer, not read yet, if its status is one of `fine`.

        `path` may be a `Location` of this registry. Raises `Retryable` or `Hopeless` with one
        line that names the registry and `what` was asked for.
        """
        with self._failing(what):
            answer = self._send(method, self._url(path), headers or {}, body)
            if answer.status_code == 401:
                self._authorize(answer, what)
                answer = self._send(method, self._url(path), headers or {}, body)
            if method in ("GET", "HEAD"):
                answer = self._redirected(method, answer, headers or {})
            try:
                if answer.status_code not in fine:
                    raise self._refusal(answer, what)
                yield answer
            finally:
                answer.close()

    def read(self, answer: httpx.Response, what: str) -> bytes:
        """Give the whole of a small answer; raises `Hopeless` when it is none."""
        found = bytearray()
        for chunk in answer.iter_bytes():
            found += chunk
            if len(found) > MAX_ANSWER:
                raise Hopeless(f"registry {self._host}: {what} is larger than {MAX_ANSWER} bytes")
        return bytes(found)

    def _url(self, path: str) -> str:
        found = urlsplit(urljoin(f"{self._root}/", path))
        if _place(found) != _place(urlsplit(self._root)):
            raise Hopeless(f"registry {self._host} sends uploads to another host, {found.netloc}")
        rest = f"?{found.query}" if found.query else ""
        return f"{self._root}{found.path}{rest}"

    def _send(
        self, method: str, url: str, headers: dict[str, str], body: Body | None
    ) -> httpx.Response:
        import httpx

        own = {"Authorization": self._authorization} if self._authorization else {}
        request = self._http.build_request(
            method, url, headers={**headers, **own}, content=body() if body else None,
            timeout=httpx.Timeout(**SECONDS),
        )  # fmt: skip
        answer = self._http.send(request, stream=True, follow_redirects=False)
        if answer.status_code == 401:
            answer.close()
        return answer

    def _redirected(
        self, method: str, answer: httpx.Response, headers: dict[str, str]
    ) -> httpx.Response:
        """Follow to where a registry keeps its bytes, without telling others who we are."""
        import httpx

        for _ in range(MAX_REDIRECTS):
            if answer.status_code not in (301, 302, 303, 307, 308):
                break
            answer.close()
            url = urljoin(str(answer.url), answer.headers.get("Location", ""))
            if not url.startswith("https://") and not self._login.plain_http:
                raise Hopeless(f"registry {self._host} redirects to an address without https")
            if url.startswith(f"{self._root}/"):
                answer = self._send(method, url, headers, None)
                continue
            request = self._http.build_request(
                method, url, headers=headers, timeout=httpx.Timeout(**SECONDS)
            )
            answer = self._http.send(request, stream=True, follow_redirects=False)
        return answer

    def _authorize(self, answer: httpx.Response, what: str) -> None:
        asked = _challenges(answer.headers.get_list("WWW-Authenticate"))
        known = self._login.credentials(self._ctx)
        if "bearer" in asked:
            self._authorization = f"Bearer {self._token(asked['bearer'], known, what)}"
        elif known and self._authorization.startswith("Bearer "):
            # OpenShift's registry says so of a token that it knows and that has no such right
            raise self._forbidden(what, known)
        elif known and "basic" in asked and not self._authorization:
            self._authorization = _basic(known)
        else:
            raise self._unknown(known, what)

    def _token(self, asked: dict[str, str], known: tuple[str, str] | None, what: str) -> str:
        import httpx

        realm = self._realm(asked.get("realm", ""))
        scopes = list(dict.fromkeys([*filter(None, [asked.get("scope", "")]), *self._scopes]))
        named = {"service": asked["service"]} if asked.get("service") else {}
        # the realm may have a query of its own
        url = httpx.URL(realm).copy_merge_params({**named, "scope": scopes})
        answer = self._http.get(
            url, follow_redirects=False, timeout=httpx.Timeout(**SECONDS),
            headers={"Authorization": _basic(known)} if known else {},
        )  # fmt: skip
        if answer.status_code in (401, 403):
            raise self._unknown(known, what)
        if answer.status_code != 200:
            raise self._refusal(answer, f"{what}: a token")
        try:
            told = answer.json()
            return str(told.get("token") or told["access_token"])
        except (ValueError, KeyError, AttributeError):
            raise Hopeless(f"registry {self._host}: its token server gives no token") from None

    def _realm(self, realm: str) -> str:
        found = urlsplit(realm)
        plain = self._login.plain_http and found.scheme == "http"
        if not found.hostname or (found.scheme != "https" and not plain):
            raise Hopeless(f"registry {self._host} names a token server without https")
        return realm

    def _unknown(self, known: tuple[str, str] | None, what: str) -> WaystageError:
        if known is None:
            return Hopeless(f"registry {self._host}: {what}: it wants a user and a token")
        return Hopeless(
            f"registry {self._host}: {what}: user {known[0]!r} is not let in with this token"
        )

    def _refusal(self, answer: httpx.Response, what: str) -> WaystageError:
        status, known = answer.status_code, self._login.credentials(self._ctx)
        # a token that was given and does not do is one for less than this
        if status == 401 and not (known and self._authorization.startswith("Bearer ")):
            return self._unknown(known, what)
        said = self._said(answer) if status != 401 else ""
        if status in (401, 403):
            return self._forbidden(what, known, said)
        text = f"registry {self._host}: {what}: it answers {status}{said}"
        return refused(answer, text)

    def _forbidden(self, what: str, known: tuple[str, str] | None, said: str = "") -> WaystageError:
        who = f"user {known[0]!r}" if known else "nobody"
        return Hopeless(f"registry {self._host}: {what}: {who} may not do this{said}")

    def _said(self, answer: httpx.Response) -> str:
        """Give the first error of an answer as one short line."""
        import json

        try:
            told = json.loads(self.read(answer, "an error"))["errors"][0]
            text = f"{told.get('code', '')}: {told.get('message', '')}"
        except (ValueError, LookupError, AttributeError, TypeError):
            return ""
        plain = "".join(each if each.isprintable() else " " for each in text)
        return f" ({' '.join(plain.split())[:200]})"

    @contextmanager
    def _failing(self, what: str) -> Iterator[None]:
        import httpx

        try:
            yield
        except httpx.InvalidURL:
            raise Hopeless(f"registry {self._host}: {what}: it gives a bad address") from None
        except httpx.HTTPError as error:
            if "CERTIFICATE" in str(error).upper():
                raise Hopeless(
                    f"registry {self._host}: its certificate is not trusted; name the file with "
                    f"its signer by ca:"
                ) from None
            told = " ".join(str(error).split())[:120] or type(error).__name__
            raise Retryable(
                f"registry {self._host}: {what}: the connection failed: {told}"
            ) from None


def _basic(known: tuple[str, str]) -> str:
    return "Basic " + base64.b64encode(":".join(known).encode()).decode()


def _challenges(headers: Iterable[str]) -> dict[str, dict[str, str]]:
    """Read how a registry wants to be asked, by scheme; several may stand in one line."""
    found: dict[str, dict[str, str]] = {}
    asked: dict[str, str] = {}
    for name, quoted, bare, scheme in CHALLENGE.findall(", ".join(headers)):
        if scheme:
            asked = found.setdefault(scheme.lower(), {})
        else:
            asked[name.lower()] = quoted or bare
    return found


def _place(url: SplitResult) -> str:
    """Give host and port, without a port that is the usual one."""
    return url.netloc.lower().removesuffix(":443").removesuffix(":80")


def pull_scope(path: str) -> str:
    """Name the right to read a repository."""
    return f"repository:{path}:pull"


def push_scope(path: str) -> str:
    """Name the right to read a repository and to write to it."""
    return f"repository:{path}:pull,push"
