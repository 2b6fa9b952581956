"""Calls to a Kubernetes API over the official client, with errors for people."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from waystage.errors import Conflict, Hopeless, Retryable, WaystageError
from waystage_plugins.retry_after import asked_rest
from waystage_plugins.runtimes.kubernetes.kinds import ACCOUNT, POD, Kind
from waystage_plugins.runtimes.kubernetes.names import MANAGER, selector

if TYPE_CHECKING:
    from collections.abc import Callable

    from kubernetes.client import ApiClient

Thing = dict[str, Any]
# a 403 that is no matter of rights: it may pass
PASSING = ("exceeded quota", "status unknown for quota", "because it is being terminated")
POLICY = ("admission webhook", "denied the request")  # a 403 of a policy engine's
UNKNOWN_FIELD = "failed to create typed patch object"  # told as if the cluster were at fault
TIMEOUT = (5.0, 30.0)  # seconds to connect, and between two bytes
# RFC 7234, 5.5: a number, who says so, the text, and the date that nobody gives
WARNING = re.compile(r'299 \S+ "((?:[^"\\]|\\.)*)"')
MOST_WARNINGS, LONGEST_WARNING = 20, 500


class NotAllowed(Hopeless):
    """The account has no right to do this."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What the API answered, and how long it wants to be left alone."""

    status: int
    text: str
    after: timedelta | None = None

    @property
    def body(self) -> Thing:
        """The JSON of it; what is none stands under `message`."""
        try:
            read = json.loads(self.text)
        except ValueError:
            read = None
        return read if isinstance(read, dict) else {"message": self.text.strip()[:300]}


class Api:
    """One namespace of a cluster, as one account may see and change it."""

    def __init__(self, client: ApiClient, namespace: str, renew: Callable[[], str] | None) -> None:
        self.client = client
        self.namespace = namespace
        self._renew = renew
        self.warnings: list[str] = []  # what the cluster said of changes, each once
        self.is_new = False  # the namespace was just made: rights in it may be on their way

    @property
    def trusted(self) -> str:
        """The file with the authorities of the cluster; on OpenShift the router's is there too."""
        return str(self.client.configuration.ssl_ca_cert or "")

    def get(self, kind: Kind, name: str) -> Thing | None:
        """Give an object, or None when there is none of that name."""
        return self._json("get", kind, name, missing=True)

    def list(self, kind: Kind, labels: dict[str, str], fields: str = "") -> list[Thing]:
        """Give the objects with these labels, or that match a field selector."""
        query = {"labelSelector": selector(labels)} if labels else {}
        if fields:
            query["fieldSelector"] = fields
        found = self._json("list", kind, query=query) or {}
        return list(found.get("items") or ())

    def apply(self, kind: Kind, manifest: Thing, *, force: bool = False) -> Thing:
        """Make an object so on the server's side; raises `Conflict` naming who has it otherwise."""
        query = {"fieldManager": MANAGER, "force": "true" if force else "false"}
        name = manifest["metadata"]["name"]
        done = self._json("patch", kind, name, query=query, body=manifest)
        return done or {}

    def create(self, kind: Kind, manifest: Thing) -> Thing | None:
        """Make an object, or answer None when its name is taken."""
        query = {"fieldManager": MANAGER}
        return self._json("create", kind, query=query, body=manifest, taken=True)

    def delete(self, kind: Kind, thing: Thing) -> None:
        """Take away this very object with all that hangs on it; harmless when it is gone."""
        meta = thing["metadata"]
        body = {"propagationPolicy": "Background", "preconditions": {"uid": meta["uid"]}}
        self._json("delete", kind, meta["name"], body=body, missing=True)

    def log(self, pod: str, lines: int, *, previous: bool = False, container: str = "") -> str:
        """Give the last lines that a pod printed; empty while there are none.

        Of a pod with several containers the one that is named is asked.
        """
        query = {"tailLines": str(lines)} | ({"previous": "true"} if previous else {})
        query |= {"container": container} if container else {}
        reply = self._send("GET", POD.path(self.namespace, pod, "log"), query, None)
        if reply.status in (400, 404):  # the container has not started, or is gone
            return ""
        if reply.status >= 300:
            raise failure(reply, "get", "pods/log", pod, self.namespace)
        return reply.text

    def token(self, account: str, seconds: int) -> Thing:
        """Ask for a token of a service account that ends by itself."""
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": seconds},
        }
        path = ACCOUNT.path(self.namespace, account, "token")
        reply = self._send("POST", path, {}, body)
        if reply.status >= 300:
            raise failure(reply, "create", "serviceaccounts/token", account, self.namespace)
        return dict(json.loads(reply.text)["status"])

    def ask(self, path: str, body: Thing | None = None) -> Reply:
        """Read what belongs to no namespace, or send something there."""
        return self._send("POST" if body else "GET", path, {}, body)

    def _json(
        self, verb: str, kind: Kind, name: str = "", *, query: Mapping[str, str] | None = None,
        body: Thing | None = None, missing: bool = False, taken: bool = False,
    ) -> Thing | None:  # fmt: skip
        method = {"patch": "PATCH", "create": "POST", "delete": "DELETE"}.get(verb, "GET")
        reply = self._send(method, kind.path(self.namespace, name), query or {}, body)
        if (reply.status == 404 and missing) or (reply.status == 409 and taken):
            return None
        if reply.status >= 300:
            error = failure(reply, verb, kind.plural, name, self.namespace)
            if self.is_new and isinstance(error, NotAllowed):
                raise Retryable(f"{self.namespace} is new, its rights may be on their way: {error}")
            raise error
        return dict(json.loads(reply.text))

    def _send(self, method: str, path: str, query: Mapping[str, str], body: Thing | None) -> Reply:
        reply = self._once(method, path, query, body)
        if reply.status == 401 and self._renew is not None:
            # the token ended before its time, or was taken back: one try with a new one
            self.client.configuration.api_key["BearerToken"] = self._renew()
            reply = self._once(method, path, query, body)
        return reply

    def _once(self, method: str, path: str, query: Mapping[str, str], body: Thing | None) -> Reply:
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        config = self.client.configuration
        kind = "application/apply-patch+yaml" if method == "PATCH" else "application/json"
        headers = {"Accept": "application/json", "User-Agent": MANAGER, "Content-Type": kind}
        if bearer := config.get_api_key_with_prefix("BearerToken", alias="authorization"):
            headers["authorization"] = bearer
        url = f"{config.host}{path}" + (f"?{urlencode(query)}" if query else "")
        text = json.dumps(body) if body is not None and method == "PATCH" else body
        try:
            answer: Any = self.client.call_api(
                method, url, headers, body=text, _request_timeout=TIMEOUT
            )
            told = (answer.read() or b"").decode(errors="replace")
        except (HTTPError, ApiException, OSError) as error:
            why = str(getattr(error, "reason", "") or error)
            raise Retryable(f"the cluster {config.host} does not answer: {why[:300]}") from error
        if method != "GET":
            self._warned(", ".join(answer.headers.getlist("Warning")))
        return Reply(int(answer.status), told, asked_rest(answer.headers))

    def _warned(self, header: str) -> None:
        plain = header.encode("latin-1", "replace").decode(errors="replace")  # it is sent as UTF-8
        for told in WARNING.findall(plain):
            text = re.sub(r"\\(.)", r"\1", told)[:LONGEST_WARNING]
            if text not in self.warnings and len(self.warnings) < MOST_WARNINGS:
                self.warnings.append(text)


def failure(reply: Reply, verb: str, what: str, name: str, namespace: str) -> WaystageError:
    """Make the error that an answer of the API stands for."""
    status, told = reply.status, str(reply.body.get("message") or "no message")[:500]
    causes = _conflicts(reply.body)
    named = f"{what} {name}".strip() + f" in {namespace}"
    if status == 401:
        return Retryable(f"the cluster does not take the token (401): {told}")
    if status == 403 and all(words in told for words in POLICY):
        return Hopeless(f"a policy of the cluster keeps from {verb} {named}: {told}")
    if status == 403 and not any(words in told for words in PASSING):
        return NotAllowed(
            f"this account may not {verb} {named}: {told}; there is no such namespace, or it "
            f"lacks the Role of docs/how-to/openshift.md"
        )
    if status == 409 and causes:
        fields = ", ".join(f"{each.get('field')} ({each.get('message')})" for each in causes)
        return Conflict(
            f"{named}: somebody else has taken {fields}; undo that, or say take_over: true "
            f"in the runtime's settings"
        )
    if status in (400, 404, 405, 415, 422) or UNKNOWN_FIELD in told:
        return Hopeless(f"the cluster refuses to {verb} {named}: {told}")
    rest = (
        f"; it asks to be left alone for {reply.after.total_seconds():.0f} s" if reply.after else ""
    )
    return Retryable(f"{verb} {named}: HTTP {status}: {told}{rest}", after=reply.after)


def _conflicts(body: Thing) -> list[Thing]:
    causes = (body.get("details") or {}).get("causes") or []
    return [each for each in causes if each.get("reason") == "FieldManagerConflict"]
