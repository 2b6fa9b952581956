"""The base of every plugin: a frozen pydantic model whose fields are its YAML."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from collections.abc import Collection

    from waystage.plugin.context import Services


class Plugin(BaseModel):
    """A part that touches the world. Its fields are what `with:` may say.

    `use` is the name in YAML (`family.verb`), `kind` what the engine asks it for. Unknown
    fields are refused. An instance holds configuration alone: everything that changes
    lives in the world or in the answer.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True
    )

    use: ClassVar[str]
    kind: ClassVar[str]

    def diagnose(self, ctx: Services) -> list[str]:
        """Say what around it keeps it from working, changing nothing; an empty list is fine.

        `waystage doctor` asks every connection of a project, and looks its secrets up itself.
        """
        return []

    def forget(self, ctx: Services, runs: Collection[str]) -> None:
        """Take away the files of runs that retention removed; harmless when there are none."""
