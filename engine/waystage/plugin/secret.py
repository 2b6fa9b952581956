"""Secrets are references; their text exists only while a plugin uses it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ConfigDict, Field

from waystage.plugin.values import Value

if TYPE_CHECKING:
    from waystage.plugin.context import Services


class Secret(Value):
    """A reference to a secret: `{secret: env/TEAMS_URL}` or `{secret: file/run/secrets/x}`.

    The part before the first slash names the secret store, the rest what it calls the secret.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    reference: str = Field(alias="secret", pattern=r"^[a-z][a-z0-9_]*/.+$", max_length=500)

    def reveal(self, ctx: Services) -> str:
        """Give the text of the secret; keep it in no field, output, message or log."""
        return ctx.secret(self.reference)
