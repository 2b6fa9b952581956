"""What a kubeconfig may hold: nothing that runs programs, nothing that trusts anybody."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from waystage.errors import Hopeless


def checked(path: Path, context: str, *, trusting: bool) -> str:
    """Give the name of the context to use; raises `Hopeless` when the file may not be used.

    `trusting` says that the operator allows certificates that nobody checks.
    """
    try:
        read = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise Hopeless(f"kubeconfig {path} cannot be read: {error}") from error
    if not isinstance(read, dict):
        raise Hopeless(f"kubeconfig {path} is no kubeconfig")
    wanted = context or str(read.get("current-context") or "")
    found = _named(read, "contexts", wanted).get("context") or {}
    user = _named(read, "users", str(found.get("user"))).get("user") or {}
    cluster = _named(read, "clusters", str(found.get("cluster"))).get("cluster") or {}
    if not found or not cluster:
        raise Hopeless(f"kubeconfig {path} has no context {wanted!r} with a cluster")
    for key in ("exec", "auth-provider"):
        if key in user:
            raise Hopeless(
                f"kubeconfig {path}: user {found.get('user')} has {key}:, which starts a program "
                f"of its own; use the token of a service account"
            )
    if cluster.get("insecure-skip-tls-verify") and not trusting:
        raise Hopeless(
            f"kubeconfig {path}: cluster {found.get('cluster')} has insecure-skip-tls-verify; "
            f"give its certificate authority, or say insecure_skip_tls_verify: true"
        )
    if not str(cluster.get("server", "")).startswith("https://"):
        raise Hopeless(f"kubeconfig {path}: the server is not reached by https")
    return wanted


def _named(read: dict[str, Any], what: str, name: str) -> dict[str, Any]:
    rows = read.get(what)
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, dict) and row.get("name") == name:
            return row
    return {}
