"""Argo CD's REST API: one application, what it should run, and how it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from waystage.errors import Hopeless, Retryable
from waystage_plugins.retry_after import may_pass, refused

if TYPE_CHECKING:
    import httpx

    from waystage.plugin import Services

BUSY = "another operation is already in progress"
KEY = "waystage-key"  # the `info` of an operation by which it is found again


@dataclass(frozen=True)
class Application:
    """An application as the API tells of it."""

    body: dict[str, Any]

    @property
    def automated(self) -> bool:
        """Whether Argo CD syncs it by itself."""
        said = (self.body.get("spec", {}).get("syncPolicy") or {}).get("automated")
        return isinstance(said, dict) and said.get("enabled", True) is not False

    @property
    def operation(self) -> dict[str, Any]:
        """The newest operation, under way or ended."""
        return self._status("operationState")

    @property
    def key(self) -> str:
        """By which step the newest operation was asked for; empty if by somebody else."""
        infos = (self.operation.get("operation") or {}).get("info") or []
        return next((str(each.get("value")) for each in infos if each.get("name") == KEY), "")

    @property
    def revisions(self) -> set[str]:
        """The commits that it was brought to, as far as it is known."""
        found = [self.operation.get("syncResult") or {}, *(self.body.get("status", {})
                 .get("history") or [])]  # fmt: skip
        return {str(each["revision"]) for each in found if each.get("revision")}

    @property
    def compared(self) -> str:
        """The commit that it was compared with at last."""
        return str(self._status("sync").get("revision", ""))

    @property
    def synced(self) -> str:
        """`Synced`, `OutOfSync` or `Unknown`."""
        return str(self._status("sync").get("status", "Unknown"))

    @property
    def health(self) -> str:
        """`Healthy`, `Progressing`, `Degraded`, `Suspended`, `Missing` or `Unknown`."""
        return str(self._status("health").get("status", "Unknown"))

    @property
    def why(self) -> str:
        """Say in one line what is not well: resources, conditions, the operation's message."""
        status = self.body.get("status", {})
        parts = [
            f"{each.get('kind')} {each.get('name')} is {each['health'].get('status')}: "
            f"{each['health'].get('message') or 'no reason given'}"
            for each in status.get("resources") or []
            if (each.get("health") or {}).get("status") in ("Degraded", "Missing", "Unknown")
        ]
        parts += [str(each.get("message")) for each in status.get("conditions") or []]
        parts += [str(self.operation["message"])] if self.operation.get("message") else []
        return " ".join("; ".join(parts[:5]).split())[:1000] or "Argo CD gives no reason"

    def _status(self, name: str) -> dict[str, Any]:
        found = (self.body.get("status") or {}).get(name)
        return found if isinstance(found, dict) else {}


@dataclass(frozen=True)
class Argo:
    """One application of one Argo CD server, reached with a token."""

    ctx: Services
    server: str
    application: str
    token: str
    namespace: str = ""

    def look(self, *, refresh: bool) -> Application:
        """Ask how the application is; `refresh` lets Argo CD look at Git first."""
        query = self._query() | ({"refresh": "normal"} if refresh else {})
        return Application(self._call("GET", "", params=query))

    def sync(self, revision: str, key: str, *, prune: bool) -> bool:
        """Ask to bring it to a commit; False when another operation is under way."""
        body = {"revision": revision, "prune": prune, "infos": [{"name": KEY, "value": key}]}
        if self.namespace:
            body["appNamespace"] = self.namespace
        return bool(self._call("POST", "/sync", json=body))

    def _query(self) -> dict[str, str]:
        return {"appNamespace": self.namespace} if self.namespace else {}

    def _call(self, method: str, rest: str, **more: Any) -> dict[str, Any]:
        import httpx

        name = quote(self.application, safe="")
        url = f"{self.server.rstrip('/')}/api/v1/applications/{name}{rest}"
        headers = {"Authorization": f"Bearer {self.token}"}
        try:
            answer = self.ctx.http.request(method, url, headers=headers, **more)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol):
            raise Hopeless(f"{self.server!r} is no address of an Argo CD server") from None
        except httpx.TransportError as error:
            raise Retryable(f"Argo CD at {self.server} does not answer: {error}") from None
        return self._judged(answer)

    def _judged(self, answer: httpx.Response) -> dict[str, Any]:
        try:
            body = answer.json()
        except ValueError:
            body = {}
        body = body if isinstance(body, dict) else {}
        if answer.status_code == 200 and body:
            return body
        said = str(body.get("message") or body.get("error") or f"status {answer.status_code}")
        what = f"Argo CD, application {self.application}: {said}"
        if BUSY in said:
            return {}
        if may_pass(answer.status_code):
            raise refused(answer, what)
        if answer.status_code == 403:
            what += "; the token may not, or there is no such application"
        if answer.status_code in (200, 301, 302, 307, 308):
            what = f"{self.server} does not answer as an Argo CD server does (no JSON object)"
        raise Hopeless(what)
