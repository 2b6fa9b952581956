"""Registries and bases that change or die while an image is built, for both builders.

What else can go wrong stands in `test_registries` (dying, refusing, lying registries),
`test_registry_logins` (users, tokens, certificates), `test_docker_build` (an engine that stops)
and `test_oci_build` (models without a signature, changed bytes, tags that are taken).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from docker_engine import DockerEngine
from image_builds import PATH, TOKEN, build, failing
from image_registry import USER, ImageRegistry, small_layer
from registry_stand_in import StandIn

from waystage.errors import Hopeless, Retryable
from waystage.plugin import Done
from waystage.testing import FakeContext, run_to_end
from waystage_plugins.images import BuildServingImage
from waystage_plugins.images.engine import Engine


class EndingTokens:
    """Lets in by a token that ends before each of these kinds of request, once."""

    def __init__(self, shelf: StandIn, *ends_before: str) -> None:
        self._shelf, self._ends = shelf, list(ends_before)
        self.given, self._holds = 0, False
        for method in ("GET", "HEAD", "POST", "PATCH", "PUT"):
            shelf.faults[f"{method} /v2/"] = self._ask
        shelf.faults["GET /token"] = self._give

    def _ask(self, handler: Any) -> bool:
        if handler.command in self._ends:
            self._ends.remove(handler.command)
            self._holds = False
        if self._holds and handler.headers["Authorization"] == f"Bearer t{self.given}":
            return False
        handler.body()
        where = f'Bearer realm="{self._shelf.url}/token",service="registry"'
        handler.say(401, headers={"WWW-Authenticate": where})
        return True

    def _give(self, handler: Any) -> bool:
        self.given, self._holds = self.given + 1, True
        handler.say(200, b'{"token": "t%d"}' % self.given)
        return True


def test_a_token_that_ends_in_the_middle_of_a_push_is_fetched_anew(
    stand_in: StandIn, ctx: FakeContext
) -> None:
    tokens = EndingTokens(stand_in, "PATCH", "PUT")
    assert isinstance(run_to_end(build(stand_in, user=USER, token=TOKEN), ctx), Done)
    assert tokens.given >= 3, "it did not end in the middle"
    stand_in.faults.clear()
    assert stand_in.tags(PATH) == ["1"]
    assert stand_in.uploads == {}


def test_a_base_whose_tag_moved_between_two_tries_never_moves_ours(
    stand_in: StandIn, ctx: FakeContext
) -> None:
    """The first try pushed and died before it could say so; meanwhile somebody moved the base."""
    run_to_end(build(stand_in), ctx)
    first = stand_in.manifest(PATH, "1")
    stand_in.put_image("mirror/serving", "2.19.1", small_layer(), ["MOVED=yes"])
    assert "is taken by another image" in failing(build(stand_in), ctx, Hopeless)
    assert stand_in.manifest(PATH, "1") == first


def words(said: Iterable[dict[str, Any]], do: Callable[[], None]) -> Iterator[Any]:
    """Hand on what an engine says of a push; `do` something once both layers are over."""
    over: set[str] = set()
    for word in said:
        status = str(word.get("status", ""))
        if status.startswith(("Pushed", "Layer already", "Mounted")):
            over.add(word["id"])
            if len(over) == 2:
                do()
        yield word


@pytest.fixture
def step(docker_engine: DockerEngine, real_registry: ImageRegistry) -> BuildServingImage:
    """Give a build by the engine, whose base is in the engine and in the registry."""
    name = f"{real_registry.address}/mirror/serving:2.19.1"
    docker_engine.make_base(name)
    assert any(
        "aux" in each for each in docker_engine.client.api.push(name, stream=True, decode=True)
    )
    settings = {"builder": "docker", "engine": docker_engine.host}
    return build(real_registry).model_copy(update=settings)


@pytest.mark.heavy
def test_a_registry_that_dies_while_an_engine_pushes_is_pushed_to_again(
    docker_engine: DockerEngine, real_registry: ImageRegistry, step: BuildServingImage,
    ctx: FakeContext, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    before, listen = docker_engine.kept(), Engine._listen

    def dying(self: Engine, said: Iterable[dict[str, Any]], what: str) -> str:
        return listen(self, words(said, real_registry.stop), what)

    with monkeypatch.context() as death:
        death.setattr(Engine, "_listen", dying)
        failing(step, ctx, Retryable)
    assert docker_engine.kept() == before, "the engine kept something"
    real_registry.start()
    assert isinstance(run_to_end(step, ctx), Done)
    assert real_registry.tags(PATH) == ["1"]
    assert docker_engine.kept() == before


@pytest.mark.heavy
def test_a_quota_that_an_engine_is_told_of_is_handed_on(
    docker_engine: DockerEngine, real_registry: ImageRegistry, step: BuildServingImage,
    ctx: FakeContext, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The words are those of a registry of Harbor; ours knows no quotas."""
    before = docker_engine.kept()
    told = "denied: adding 1.0 MiB of storage resource will exceed the configured upper limit"
    with monkeypatch.context() as over:
        over.setattr(Engine, "push", lambda self, name, login: self._listen(
            [{"status": "Preparing", "id": "x"}, {"error": told}], f"pushing {name}"
        ))  # fmt: skip
        assert told in failing(step, ctx, Hopeless)
    assert docker_engine.kept() == before
    assert real_registry.tags(PATH) == []
    assert isinstance(run_to_end(step, ctx), Done)
