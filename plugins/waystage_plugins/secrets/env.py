"""Secrets from the daemon's environment."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import ClassVar

from waystage.errors import Hopeless
from waystage.plugin import SecretStore


class EnvironmentSecrets(SecretStore):
    """Look secrets up among the environment variables of the daemon.

    - use: notify.example
      with: {token: {secret: env/EXAMPLE_TOKEN}}
    """

    use: ClassVar[str] = "secret.env"

    def resolve(self, name: str, project: Path) -> str:
        """Give the variable's value; an unset or empty one is `Hopeless`."""
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise Hopeless(f"secret env/{name}: is not the name of an environment variable")
        value = os.environ.get(name, "")
        if not value:
            raise Hopeless(f"secret env/{name}: the daemon's environment has no such variable")
        return value
