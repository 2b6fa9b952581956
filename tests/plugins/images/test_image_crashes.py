"""Killed at any line, a build leaves no wrong tag, and the next attempt ends as a calm one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from docker_engine import DockerEngine
from image_registry import ImageRegistry
from registry_stand_in import StandIn

import waystage_plugins.images
from waystage.plugin import Done
from waystage.testing import FakeContext, run_to_end
from waystage.testing.runtime_contracts import killed_at_each_line
from waystage_plugins.images import BuildServingImage
from waystage_plugins.repositories.folder import Folder

LINES = frozenset(map(str, Path(waystage_plugins.images.__file__).parent.glob("*.py")))
PATH = "models/credit-risk"
Release = Callable[..., FakeContext]


def again(ctx: FakeContext) -> FakeContext:
    """Give the context as another process would have it: no open connections."""
    return FakeContext(
        ctx.root, repository=Folder(path="models"), snapshot=ctx.snapshot, run=ctx.run, key=ctx.key
    )


def build(address: str, tag: str, **own: Any) -> BuildServingImage:
    registry = {"host": address, "project": "models", "plain_http": True}
    base = f"{address}/mirror/serving:2.19.1"
    settings = {"base": base, "tag": tag, "registry": registry, **own}
    return BuildServingImage.model_validate(settings)


def test_a_build_without_docker_survives_its_death_at_any_line(
    stand_in: StandIn, ctx: FakeContext
) -> None:
    calm = run_to_end(build(stand_in.address, "calm"), again(ctx))
    assert isinstance(calm, Done)
    digest, tried = calm.output.digest, ["t0"]  # type: ignore[union-attr]  # a model

    def call() -> None:
        run_to_end(build(stand_in.address, tried[-1]), again(ctx))

    for line in killed_at_each_line(call, of=LINES, every=41):
        stand_in.manifests[PATH].pop(digest, None)
        made = stand_in.manifest(PATH, tried[-1])
        assert made is None or made["digest"] == digest, f"a wrong tag after line {line}"
        answer = run_to_end(build(stand_in.address, tried[-1]), again(ctx))
        assert isinstance(answer, Done)
        assert answer.output.digest == digest  # type: ignore[union-attr]  # a model
        assert list(ctx.scratch.iterdir()) == []
        stand_in.blobs.pop(PATH)  # so that the next one has to bring everything
        stand_in.manifests[PATH].clear()
        tried.append(f"t{line}")
    assert len(tried) > 8


@pytest.mark.heavy
def test_a_build_by_an_engine_survives_its_death_at_any_line(
    docker_engine: DockerEngine, real_registry: ImageRegistry, ctx: FakeContext
) -> None:
    base = f"{real_registry.address}/mirror/serving:2.19.1"
    docker_engine.make_base(base)
    assert any("aux" in w for w in docker_engine.client.api.push(base, stream=True, decode=True))
    own = {"builder": "docker", "engine": docker_engine.host}
    before, tried, digests = docker_engine.kept(), ["t0"], set()

    def call() -> None:
        run_to_end(build(real_registry.address, tried[-1], **own), again(ctx))

    for line in killed_at_each_line(call, of=LINES, every=41):
        answer = run_to_end(build(real_registry.address, tried[-1], **own), again(ctx))
        assert isinstance(answer, Done)
        digests.add(answer.output.digest)  # type: ignore[union-attr]  # a model
        assert (real_registry.manifest(PATH, tried[-1]) or {})["digest"] in digests
        assert docker_engine.kept() == before, f"something is left after line {line}"
        tried.append(f"t{line}")
    assert len(digests) == 1
    assert len(tried) > 4
