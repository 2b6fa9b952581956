"""Secrets from Vault, against a server that answers as Vault's HTTP API is documented to.

Vault itself cannot be installed from a package index. The shapes are those of
https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2 (read secret version).
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from waystage.errors import Hopeless, Retryable
from waystage.testing import check_secret_store
from waystage_plugins.secrets import VaultSecrets

TEXT = "open-sesame-4711"
TOKEN = secrets.token_hex(12)


class Vault(BaseHTTPRequestHandler):
    """Key-value engine `kv` with one secret, `okd`."""

    asked: list[dict[str, str]]
    status = 0

    def do_GET(self) -> None:
        self.asked.append(dict(self.headers))
        if self.status:
            self.answer(self.status, {"errors": ["Vault is sealed"]})
        elif self.headers.get("X-Vault-Token") != TOKEN:
            self.answer(403, {"errors": ["permission denied"]})
        elif self.path != "/v1/kv/data/team/okd":
            self.answer(404, {"errors": []})
        else:
            fields = {"token": TEXT, "number": 7, "empty": ""}
            self.answer(200, {"data": {"data": fields, "metadata": {"version": 3}}})

    def answer(self, status: int, body: dict[str, Any]) -> None:
        self.send_response(status)
        if status == 429:
            self.send_header("Retry-After", "7")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Stay quiet."""


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Vault]]:
    handler = type("Handler", (Vault,), {"asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    monkeypatch.setenv("VAULT_ADDR", f"http://127.0.0.1:{server.server_address[1]}/")
    monkeypatch.setenv("VAULT_TOKEN", TOKEN)
    yield handler
    server.shutdown()
    server.server_close()


def test_a_vault_that_limits_its_rate_is_left_alone_as_long_as_it_asks(vault: type[Vault]) -> None:
    vault.status = 429
    with pytest.raises(Retryable, match=r"answers 429$") as caught:
        VaultSecrets().resolve("kv/team/okd#token", Path())
    assert caught.value.after == timedelta(seconds=7)


def told(name: str, kind: type[Exception]) -> str:
    with pytest.raises(kind) as caught:
        VaultSecrets().resolve(name, Path())
    assert TOKEN not in str(caught.value)
    assert TEXT not in str(caught.value)
    return str(caught.value)


def test_vault_keeps_the_contract(vault: type[Vault], tmp_path: Path) -> None:
    check_secret_store(VaultSecrets(), tmp_path, known="kv/team/okd#token", text=TEXT)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("kv/team/nix#token", "no such secret"),
        ("kv/team/okd#nix", "no field 'nix'"),
        ("kv/team/okd#number", "no text"),
        ("kv/team/okd#empty", "no text"),
        ("kv/team/okd", "MOUNT/PATH#FIELD"),
        ("kv/../sys/seal#token", "MOUNT/PATH#FIELD"),
        ("kv/team/okd?version=1#token", "MOUNT/PATH#FIELD"),
    ],
)
def test_a_reference_that_leads_nowhere_is_told(vault: type[Vault], name: str, why: str) -> None:
    assert why in told(name, Hopeless)


def test_a_wrong_token_is_told(vault: type[Vault], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULT_TOKEN", "other")
    assert "may not read it" in told("kv/team/okd#token", Hopeless)


def test_a_sealed_or_silent_vault_is_asked_again(
    vault: type[Vault], monkeypatch: pytest.MonkeyPatch
) -> None:
    vault.status = 503
    assert "sealed" in told("kv/team/okd#token", Retryable)
    monkeypatch.setenv("VAULT_ADDR", "http://127.0.0.1:9")
    told("kv/team/okd#token", Retryable)


@pytest.mark.parametrize("address", ["", "not an address", "ftp://127.0.0.1"])
def test_an_address_that_is_none_is_told(
    vault: type[Vault], monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("VAULT_ADDR", address)
    assert "VAULT_ADDR" in told("kv/team/okd#token", Hopeless)


def test_an_agents_token_file_is_read_each_time(
    vault: type[Vault], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "token"
    monkeypatch.setenv("VAULT_TOKEN_FILE", str(file))
    assert "cannot be read" in told("kv/team/okd#token", Hopeless)
    file.write_text(f"{TOKEN}\n")
    monkeypatch.setenv("VAULT_NAMESPACE", "risk")
    assert VaultSecrets().resolve("kv/team/okd#token", tmp_path) == TEXT
    assert vault.asked[-1]["X-Vault-Namespace"] == "risk"
