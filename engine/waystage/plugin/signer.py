"""The kind of plugin that knows whose signatures of snapshots a project believes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from waystage.plugin.base import Plugin
from waystage.plugin.context import Services
from waystage.plugin.values import Value


class Examined(Value):
    """What a signer's keys say of a signature; `objection` is empty if it holds.

    `mark` stands for the very keys that were looked through: other keys, another mark.
    """

    mark: str = Field(min_length=1, max_length=100)
    objection: str = ""


class Signer(Plugin):
    """Somebody whose signatures of snapshots the project believes, known by public keys alone."""

    kind: ClassVar[str] = "signer"

    @abstractmethod
    def mark(self, ctx: Services) -> str:
        """Give the mark of the keys that are believed now; called often, so only read them.

        Raises `Hopeless` when they cannot be read.
        """

    @abstractmethod
    def examine(self, ctx: Services, files: Mapping[str, str], signature: bytes) -> Examined:
        """Say whether a signature stands for these files (path to `sha256:<hex>`) and no others.

        Whatever is wrong with the signature is an objection; raises `Hopeless` when the keys
        cannot be read.
        """
