"""How a daemon calls steps: threads, processes, a cluster, and how many at once."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from waystage.spec.values import OneOrMore, Spec

PluginGlob = Annotated[str, Field(pattern=r"^[a-z*?][a-z0-9_.*?]{0,99}$")]
StageGlob = Annotated[str, Field(pattern=r"^[A-Z*?][A-Z0-9_*?-]{0,30}$")]
NameGlob = Annotated[str, Field(pattern=r"^[a-z0-9*?][a-z0-9*?-]{0,62}$")]
Many = Annotated[int, Field(ge=1, le=10_000)]


class AtOnce(Spec):
    """How many steps may be under way at once, by the names that a pattern matches.

    Each name has its own count, also where one pattern stands for many; the exact name goes
    before a pattern. A step that waits to be called again is under way.
    """

    plugin: dict[PluginGlob, Many] = Field(default={}, description="by plugin: `batch.train: 1`")
    stage: dict[StageGlob, Many] = Field(default={}, description="by stage: `PROD: 2`")
    service: dict[NameGlob, Many] = Field(default={}, description='by service: `"*": 4`')


class DaskCluster(Spec):
    """A Dask cluster that calls steps in place of the daemon."""

    address: str = Field(
        pattern=r"^(tcp|tls|ws|wss|ucx)://[^\s@]+$", max_length=500,
        description="the scheduler: `tcp://HOST:8786`",
    )  # fmt: skip
    for_: Annotated[tuple[PluginGlob, ...], OneOrMore] = Field(
        alias="for", min_length=1, description="the plugins that it calls: names or patterns"
    )
    at_once: Many = Field(default=64, description="how many steps a daemon gives it at once")
    project: str | None = Field(
        default=None, max_length=1000,
        description="the project's directory as its workers see it, if it is another",
    )  # fmt: skip


class Execution(Spec):
    """How a daemon calls steps."""

    threads: int = Field(
        default=8, ge=1, le=1000, description="how many steps are called at once in threads"
    )
    processes: int = Field(
        default=4, ge=1, le=1000,
        description="how many steps are called at once in processes of their own",
    )  # fmt: skip
    isolate: Annotated[tuple[PluginGlob, ...], OneOrMore] = Field(
        default=(), description="plugins that are called in a process of their own: names, patterns"
    )
    memory: int | None = Field(
        default=None,
        ge=64,
        description="how many MiB such a process may take besides what it begins with",
    )
    at_once: AtOnce = Field(default=AtOnce(), description="how many of a kind at once")
    dask: DaskCluster | None = Field(default=None, description="a cluster that calls steps")

    @model_validator(mode="after")
    def _one_place_each(self) -> Execution:
        both = sorted(set(self.isolate) & set(self.dask.for_ if self.dask else ()))
        if both:
            raise ValueError(f"{', '.join(both)} is isolated here and given to Dask; choose one")
        return self
