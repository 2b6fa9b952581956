"""Secrets from HashiCorp Vault or OpenBao, key-value engine version 2."""

from __future__ import annotations

import os
import re
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from waystage.errors import Hopeless, Retryable, WaystageError
from waystage.plugin import SecretStore
from waystage_plugins.retry_after import may_pass, refused

if TYPE_CHECKING:
    import httpx

NAME = re.compile(r"(?P<mount>[\w-]+)/(?P<path>[\w./-]+)#(?P<field>[\w.-]+)", re.ASCII)
SECONDS = 10.0


class VaultSecrets(SecretStore):
    """Read secrets from HashiCorp Vault or OpenBao.

        - use: notify.example
          with: {token: {secret: "vault/kv/okd#token"}}

    The reference is the mount of a key-value engine (version 2), the secret's path, and after
    `#` the field. The daemon's environment says where and as whom, as for Vault's own command
    line: `VAULT_ADDR`, and `VAULT_TOKEN` or the file that `VAULT_TOKEN_FILE` names (as an agent
    keeps it fresh); `VAULT_NAMESPACE` and `VAULT_CACERT` if needed.
    """

    use: ClassVar[str] = "secret.vault"

    def resolve(self, name: str, project: Path) -> str:
        """Give the field's text; a Vault that does not answer is `Retryable`."""
        del project  # it is the environment that says where
        match = NAME.fullmatch(name)
        if match is None or ".." in match["path"].split("/"):
            raise Hopeless(f"secret vault/{name}: is not of the form vault/MOUNT/PATH#FIELD")
        answer = _ask(name, f"{match['mount']}/data/{match['path']}")
        return _field(name, answer, match["field"])


def _ask(name: str, path: str) -> httpx.Response:
    import httpx

    address, ca = _setting(name, "VAULT_ADDR"), os.environ.get("VAULT_CACERT")
    headers = {"X-Vault-Token": _token(name), "X-Vault-Request": "true"}
    if namespace := os.environ.get("VAULT_NAMESPACE"):
        headers["X-Vault-Namespace"] = namespace
    try:
        return httpx.get(
            f"{address.rstrip('/')}/v1/{path}", headers=headers, timeout=SECONDS,
            verify=_trusted(ca), trust_env=False,
        )  # fmt: skip
    except (httpx.InvalidURL, httpx.UnsupportedProtocol):
        raise Hopeless(f"secret vault/{name}: VAULT_ADDR={address!r} is no address") from None
    except (httpx.TransportError, OSError) as error:
        raise Retryable(f"secret vault/{name}: {address}: {error}") from None


def _trusted(ca: str | None) -> ssl.SSLContext | bool:
    return ssl.create_default_context(cafile=ca) if ca else True


def _setting(name: str, variable: str) -> str:
    value = os.environ.get(variable, "")
    if not value:
        raise Hopeless(f"secret vault/{name}: the daemon's environment has no {variable}")
    return value


def _token(name: str) -> str:
    file = os.environ.get("VAULT_TOKEN_FILE")
    if not file:
        return _setting(name, "VAULT_TOKEN")
    try:
        return Path(file).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        raise Hopeless(f"secret vault/{name}: VAULT_TOKEN_FILE={file} cannot be read") from None


def _field(name: str, answer: httpx.Response, field: str) -> str:
    if answer.status_code != 200:
        raise _refusal(name, answer)
    try:
        fields = answer.json()["data"]["data"]
        value = fields[field]
    except (ValueError, TypeError):
        raise Hopeless(f"secret vault/{name}: the answer is none of a key-value engine") from None
    except KeyError:
        raise Hopeless(f"secret vault/{name}: there is no field {field!r}") from None
    if not isinstance(value, str) or not value:
        raise Hopeless(f"secret vault/{name}: the field is no text, or empty")
    return value


def _refusal(name: str, answer: httpx.Response) -> WaystageError:
    status = answer.status_code
    if may_pass(status):
        sealed = "; is it sealed?" if status == 503 else ""
        return refused(answer, f"secret vault/{name}: Vault answers {status}{sealed}")
    why = {
        403: "the token may not read it, or has ended",
        404: "there is no such secret, or its last version is deleted",
    }.get(status, f"Vault answers {status}")
    return Hopeless(f"secret vault/{name}: {why}")
