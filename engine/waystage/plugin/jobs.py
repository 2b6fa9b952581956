"""A job of a batch runtime, how far it is, and who still waits for it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, Protocol

from pydantic import Field

from waystage.plugin.values import Value


class Job(Value):
    """One execution. Arguments are a list, never a shell line.

    `inputs` maps names to paths that the job finds as `WAYSTAGE_INPUT_<NAME>`; it writes
    below the directory in `WAYSTAGE_OUTPUT`, and how far it is, a number from 0 to 1, into the
    file in `WAYSTAGE_PROGRESS` if it likes. Environment values hold no secrets.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")
    command: tuple[str, ...] = Field(min_length=1)
    inputs: dict[str, str] = {}
    environment: dict[str, str] = {}


class JobStatus(Value):
    """How far a job is; `message` is one line for a person, the last of its log on failure.

    `progress` is the share that is done, if the job tells it.
    """

    phase: Literal["pending", "running", "succeeded", "failed", "absent"]
    exit_code: int | None = None
    message: str = ""
    progress: float | None = Field(default=None, ge=0, le=1)


class Wanted(Protocol):
    """Which steps are at work: of these keys, or, without any, of all."""

    def __call__(self, of: Collection[str] = ...) -> Collection[str]: ...
