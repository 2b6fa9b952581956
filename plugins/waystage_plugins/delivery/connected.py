"""What all steps that write to a Git repository are told: which one, and who they are there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, ClassVar, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, field_validator

from waystage.errors import Hopeless
from waystage.plugin import Context, Secret, Step
from waystage_plugins.delivery.clone import Clone, cloned

COMMIT = r"^[0-9a-f]{40}$"
LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


def _branch(name: str) -> str:
    parts = name.split("/")
    bad = any(not p or p.startswith((".", "-")) or p.endswith((".", ".lock")) for p in parts)
    if bad or ".." in name or "@{" in name:
        raise ValueError(f"{name!r} is no name that Git takes for a branch")
    return name


def _path(path: str) -> str:
    if any(not part or part.startswith(".") for part in path.split("/")):
        raise ValueError(f"{path!r} is no path of a file, from the top of the repository")
    return path


Branch: TypeAlias = Annotated[
    str, Field(max_length=200, pattern=r"^[A-Za-z0-9_@{}./-]+$"), AfterValidator(_branch)
]
RepositoryPath: TypeAlias = Annotated[
    str, Field(max_length=1000, pattern=r"^[^\s\\]+$"), AfterValidator(_path)
]


class GitStep(Step):
    """A step that writes to a Git repository."""

    needs_runtime: ClassVar[Literal["any", "online", "batch"] | None] = None

    repository: str = Field(
        max_length=2000,
        pattern=r"^(https?://|ssh://|file://|/)[^\s]+$",
        description="https://, ssh:// (with the daemon's own keys), or a path",
    )
    token: Secret | None = Field(default=None, description="password or access token for https")
    user: str = Field(default="git", min_length=1, max_length=200)

    @field_validator("repository")
    @classmethod
    def _without_password(cls, url: str) -> str:
        if urlsplit(url).password is not None:
            raise ValueError("has a password in it; give it as token: {secret: …}")
        return url

    @contextmanager
    def clone(self, ctx: Context) -> Iterator[Clone]:
        """Give the daemon's copy of the repository."""
        parts = urlsplit(self.repository)
        token = self.token.reveal(ctx) if self.token else ""
        if token and parts.scheme == "http" and parts.hostname not in LOCAL:
            raise Hopeless(f"{self.repository}: a token is not sent without TLS; use https://")
        with cloned(ctx, self.repository, self.user, token) as found:
            yield found
