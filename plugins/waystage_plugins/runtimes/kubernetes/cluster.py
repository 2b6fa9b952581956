"""How a runtime reaches its cluster: address, account, certificates, tokens that end."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from waystage.clock import wall_seconds
from waystage.errors import Hopeless, Retryable, WaystageError
from waystage.plugin import Plugin, Secret, Services
from waystage_plugins.runtimes.kubernetes.api import Api
from waystage_plugins.runtimes.kubernetes.kinds import Kind
from waystage_plugins.runtimes.kubernetes.kubeconfig import checked
from waystage_plugins.runtimes.kubernetes.names import OWNER

if TYPE_CHECKING:
    from kubernetes.client import ApiClient, Configuration

LABEL = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
USER = "number of the user that pods run as; not on OpenShift, which gives one itself"
MISSING = "the Kubernetes client is not installed: pip install 'waystage[kubernetes]'"


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    renew_at: float


_tokens: dict[tuple[str, ...], _Token] = {}  # in memory alone, never written anywhere
_tokens_lock = threading.Lock()


class Cluster(Plugin):
    """The settings that every runtime on Kubernetes has.

    `api` and `token` reach a cluster from outside, `kubeconfig` by a file that starts no
    programs; with none of them the daemon runs in the cluster and is its own service account.
    """

    api: str = Field(default="", pattern=r"^(https://[^\s/?#@]+)?/?$", description="of the cluster")
    token: Secret | None = Field(default=None, description="of a service account")
    ca: str = Field(default="", description="file with the certificate authorities to trust")
    kubeconfig: str = Field(default="", description="instead of api: and token:")
    context: str = Field(default="", description="of the kubeconfig; default: its current one")
    service_account: str = Field(
        default="", pattern=rf"{LABEL}|^$",
        description="work with tokens of this account that are asked for and end by themselves",
    )  # fmt: skip
    token_seconds: int = Field(default=3600, ge=600, le=86400)
    insecure_skip_tls_verify: bool = Field(
        default=False, description="trust any server; never outside of a laboratory"
    )
    owner: str = Field(
        default="waystage", pattern=LABEL, description="label of what this project made"
    )
    take_over: bool = Field(
        default=False, description="take back fields that somebody else has changed"
    )

    @model_validator(mode="after")
    def _one_way(self) -> Cluster:
        if self.api and self.kubeconfig:
            raise ValueError("says either api: or kubeconfig:, not both")
        if bool(self.api) != bool(self.token):
            raise ValueError("api: and token: go together")
        if self.context and not self.kubeconfig:
            raise ValueError("context: is one of the kubeconfig:")
        return self

    @contextmanager
    def connected(self, ctx: Services, namespace: str) -> Iterator[Api]:
        """Open the way to a namespace, and close it afterwards; its warnings are logged then."""
        client, bootstrap = self._client(ctx)
        api = Api(client, namespace, None)
        try:
            if self.service_account:
                known = (client.configuration.host, namespace, self.service_account, bootstrap)
                client.configuration.api_key["BearerToken"] = self._token(api, known, fresh=False)
                api = Api(client, namespace, lambda: self._renewed(ctx, namespace, known))
            yield api
        finally:
            for told in api.warnings:
                ctx.log.warning("the cluster warns of what was changed in %s: %s", namespace, told)
            client.rest_client.pool_manager.clear()

    def account_token(self, ctx: Services, namespace: str) -> str:
        """Give a token of the working account that holds for a while."""
        with self.connected(ctx, namespace) as api:
            return str(api.client.configuration.api_key["BearerToken"]).removeprefix("Bearer ")

    def _renewed(self, ctx: Services, namespace: str, known: tuple[str, ...]) -> str:
        client, _ = self._client(ctx)
        try:
            return self._token(Api(client, namespace, None), known, fresh=True)
        finally:
            client.rest_client.pool_manager.clear()

    def _token(self, api: Api, known: tuple[str, ...], *, fresh: bool) -> str:
        """Give a token of the working account; a new one when a fifth of its life is left."""
        with _tokens_lock:
            token = _tokens.get(known)
        if fresh or token is None or token.renew_at <= wall_seconds():
            # asked for without the lock: a cluster that hangs must not hold up the others
            answer = self._asked(api, token)
            life = _life(answer, self.token_seconds)
            token = _Token(f"Bearer {answer['token']}", wall_seconds() + 0.8 * life)
            with _tokens_lock:
                _tokens[known] = token
        return token.text

    def _asked(self, api: Api, last: _Token | None) -> dict[str, Any]:
        """Ask with the token of the settings, and with the last one when that one has ended."""
        try:
            return api.token(self.service_account, self.token_seconds)
        except Retryable:
            if last is None:
                raise
            api.client.configuration.api_key["BearerToken"] = last.text
            return api.token(self.service_account, self.token_seconds)

    def _client(self, ctx: Services) -> tuple[ApiClient, str]:
        """Give a client, and a hash of the token that it has from the settings."""
        try:
            from kubernetes.client import ApiClient, Configuration
        except ImportError as error:
            raise Hopeless(MISSING) from error
        config = Configuration()
        config.retries = False
        self._fill(ctx, config)
        config.proxy = None  # proxies come from no variable
        config.verify_ssl = not self.insecure_skip_tls_verify
        if self.ca:
            place = ctx.project / self.ca
            if not place.is_file():
                raise Hopeless(f"ca: {place} is no file")
            config.ssl_ca_cert = str(place)
        client = ApiClient(config)
        bearer = config.get_api_key_with_prefix("BearerToken", alias="authorization") or ""
        return client, hashlib.sha256(bearer.encode()).hexdigest()

    def _fill(self, ctx: Services, into: Configuration) -> None:
        from kubernetes import config

        ways: Any = config  # it ships no types

        if self.token is not None:
            into.host = self.api.rstrip("/")
            into.api_key["BearerToken"] = f"Bearer {self.token.reveal(ctx).strip()}"
            return
        try:
            if self.kubeconfig:
                place = ctx.project / Path(self.kubeconfig).expanduser()
                context = checked(place, self.context, trusting=self.insecure_skip_tls_verify)
                ways.load_kube_config(str(place), context, into, persist_config=False)
            else:
                ways.load_incluster_config(client_configuration=into)
        except ways.ConfigException as error:
            raise Hopeless(
                f"{error}; give api: and token:, or kubeconfig:, or run in the cluster"
            ) from error

    def installed(self) -> list[str]:
        """Say what must be installed on this machine before anything can be done; offline."""
        return [] if find_spec("kubernetes") else [MISSING]

    def reached(self, ctx: Services, namespace: str, kind: Kind) -> list[str]:
        """Say why objects of a kind cannot be seen there; empty if they can. Changes nothing."""
        try:
            with self.connected(ctx, namespace) as api:
                api.list(kind, {OWNER: self.owner})
        except WaystageError as error:
            return [str(error)]
        return []


def _life(answer: dict[str, object], wanted: int) -> float:
    """Give the seconds that a token lives by the cluster's word, at most those asked for."""
    try:
        ends = datetime.fromisoformat(str(answer.get("expirationTimestamp")))
    except ValueError:
        return wanted
    left = ends - datetime.fromtimestamp(wall_seconds(), ends.tzinfo)
    return min(max(left, timedelta(seconds=60)).total_seconds(), wanted)
