"""Where inputs and outputs of jobs are kept: object stores and databases."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from waystage.plugin.base import Plugin

if TYPE_CHECKING:
    from waystage.plugin.context import Services


class Storage(Plugin):
    """A place that addresses reach by a connection's name: `s3://NAME/PATH`, `table://NAME/TABLE`.

    `scheme` is what stands before the colon. All errors name the path: `NotFound` when nothing
    is there, `Conflict` when something else is, `Retryable` or `Hopeless` for the rest.
    """

    kind: ClassVar[str] = "storage"
    scheme: ClassVar[str]

    def check(self, path: str) -> str:
        """Say, offline, why the path can never be one of this place; empty if it can."""
        return ""

    @abstractmethod
    def read(self, ctx: Services, path: str, into: Path) -> None:
        """Copy what lies at the path into a new file, all of one moment."""

    @abstractmethod
    def write(self, ctx: Services, source: Path, path: str, *, key: str, replace: bool) -> None:
        """Bring a file there whole or not at all; the same key has it there once.

        Raises `Conflict` when something else is there and `replace` does not allow it.
        """

    @abstractmethod
    def digest(self, ctx: Services, path: str, *, key: str) -> str | None:
        """Give `sha256:<hex>` of what is there now as `write` with this key brought it, or None."""
