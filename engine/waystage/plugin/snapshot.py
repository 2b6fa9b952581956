"""A snapshot: one immutable version of a model, described by its manifest."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from waystage.plugin.values import JsonObject, Value

NAME = r"^[a-z0-9][a-z0-9._-]{0,127}$"
DIGEST = r"^sha256:[0-9a-f]{64}$"


class Column(Value):
    """One named column of a model's input or output."""

    name: str = Field(min_length=1, max_length=200)
    type: Literal["number", "integer", "string", "boolean"] = "number"


class Lineage(Value):
    """Where a snapshot comes from."""

    parent: str | None = None  # `name/version` of the snapshot that it was retrained from
    data: str | None = None  # digest of the training data
    commit: str | None = None
    run: str | None = None  # the run whose step made it


class Snapshot(Value):
    """One immutable version of a model: digest, metadata, tags.

    `files` maps each path, relative to the snapshot's directory with `/` between its parts,
    to `sha256:<hex>`; `digest` is the digest of the tree: sha256 over a line for each file in
    the order of their names' bytes, `<hex>  <path>`, as `sha256sum` prints it.
    """

    name: str = Field(pattern=NAME)
    version: str = Field(pattern=NAME)
    digest: str = Field(pattern=DIGEST)
    services: tuple[str, ...] = ()
    format: str = ""  # `onnx`, `savedmodel`, `mlflow`, …
    author: str = ""
    tags: dict[str, str] = Field(default_factory=dict)
    inputs: tuple[Column, ...] = ()
    outputs: tuple[Column, ...] = ()
    example: tuple[JsonObject, ...] = ()  # rows that a probe may score
    metrics: dict[str, float] = Field(default_factory=dict)
    lineage: Lineage = Lineage()
    files: dict[str, str] = Field(default_factory=dict)
    repository: str = ""  # name of the connection that it came from

    @property
    def id(self) -> str:
        """Name and version as one word: `credit/3`."""
        return f"{self.name}/{self.version}"
