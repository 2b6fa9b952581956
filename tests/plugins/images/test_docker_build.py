"""Images built and pushed by a real Docker engine, whose base is a stand-in with a shell."""

from __future__ import annotations

import gc
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from docker_engine import DockerEngine
from image_registry import PASSWORD, USER, ImageRegistry, small_layer
from saved_models import saved_model
from token_server import TokenServer

from waystage.errors import Hopeless, Retryable
from waystage.plugin import Done
from waystage.testing import FakeContext, check_step, run_to_end
from waystage_plugins.images import BuildServingImage, PushImage
from waystage_plugins.images.engine import Engine, engine

pytestmark = pytest.mark.heavy
Release = Callable[..., FakeContext]
PATH = "models/credit-risk"
# the SDK leaves the socket of a connection that failed to the collector
LEFT_OPEN = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def collect() -> None:
    """Have the collector find such sockets now, where they are expected."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
def base(docker_engine: DockerEngine, real_registry: ImageRegistry) -> str:
    """Give the name of a base image that engine and registry have."""
    name = f"{real_registry.address}/mirror/serving:2.19.1"
    docker_engine.make_base(name)
    said = list(docker_engine.client.api.push(name, stream=True, decode=True))
    assert any("aux" in word for word in said), said
    return name


def build(docker_engine: DockerEngine, base: str, **own: Any) -> BuildServingImage:
    host = base.partition("/")[0]
    settings: dict[str, Any] = {
        "base": base, "tag": "1.0.3", "builder": "docker", "engine": docker_engine.host,
        "registry": {"host": host, "project": "models", "plain_http": True},
    }  # fmt: skip
    return BuildServingImage.model_validate(settings | own)


def built(step: BuildServingImage, ctx: FakeContext) -> BuildServingImage.Output:
    answer = run_to_end(step, ctx)
    assert isinstance(answer, Done), answer
    assert isinstance(answer.output, BuildServingImage.Output)
    return answer.output


def test_an_engine_builds_and_pushes_and_keeps_nothing(
    docker_engine: DockerEngine, real_registry: ImageRegistry, base: str, ctx: FakeContext
) -> None:
    before = docker_engine.kept()

    def world() -> object:
        return real_registry.manifest(PATH, "1.0.3"), docker_engine.images()

    answer = check_step(build(docker_engine, base), ctx, world=world)
    assert isinstance(answer, Done)
    told = answer.output
    assert isinstance(told, BuildServingImage.Output)
    made = real_registry.manifest(PATH, "1.0.3")
    assert made
    assert told.image == f"{real_registry.address}/{PATH}@{made['digest']}"
    assert told.id == made["config"]["digest"]
    assert docker_engine.kept() == before


def test_both_builders_give_the_same_image(
    docker_engine: DockerEngine, base: str, release: Release
) -> None:
    ours = built(build(docker_engine, base, builder="oci", tag="oci"), release())
    theirs = built(build(docker_engine, base), release(root="elsewhere"))
    assert theirs.id == ours.id
    assert theirs.base == ours.base
    again = built(build(docker_engine, base, tag="again"), release(root="once more"))
    assert again.digest == theirs.digest
    # what one has pushed the other takes for what it is: the same image
    found = built(build(docker_engine, base, tag="oci"), release(root="third"))
    assert found.digest == ours.digest


@pytest.mark.parametrize("builder", ["docker", "oci"])
def test_containers_of_the_image_have_the_model(
    docker_engine: DockerEngine, base: str, ctx: FakeContext, builder: str
) -> None:
    told = built(build(docker_engine, base, builder=builder), ctx)
    docker_engine.client.images.pull(told.image)
    container = docker_engine.client.containers.run(
        told.image, ["sh", "-c", "cat $MODEL_BASE_PATH/$MODEL_NAME/1/variables/variables.index"],
        detach=True, network_mode="none",
    )  # fmt: skip
    try:  # what follows a log while its container ends may miss its end
        assert container.wait(timeout=300)["StatusCode"] == 0
        assert container.logs() == b"weights"
    finally:
        container.remove(force=True)
    docker_engine.client.images.remove(told.image)


def test_without_a_registry_the_image_stays_in_the_engine(
    docker_engine: DockerEngine, real_registry: ImageRegistry, base: str, ctx: FakeContext
) -> None:
    told = built(build(docker_engine, base, registry=None, tag="kept"), ctx)
    assert told.image == told.id
    assert told.tag == "credit-risk:kept"
    assert docker_engine.images()[told.id] == ["credit-risk:kept"]
    push = PushImage.model_validate({
        "image": told.image, "tag": "pushed", "engine": docker_engine.host,
        "registry": {"host": real_registry.address, "project": "models", "plain_http": True},
    })  # fmt: skip
    answer = check_step(push, ctx, world=docker_engine.images)
    assert isinstance(answer, Done)
    made = real_registry.manifest(PATH, "pushed")
    assert made
    assert answer.output.digest == made["digest"]  # type: ignore[union-attr]  # a model
    assert docker_engine.images()[told.id] == ["credit-risk:kept"]
    docker_engine.client.images.remove(told.tag)


def test_a_name_that_another_image_of_the_engine_has_is_not_moved(
    docker_engine: DockerEngine, base: str, release: Release
) -> None:
    docker_engine.client.images.get(base).tag("credit-risk", "taken")
    before = docker_engine.kept()
    with pytest.raises(Hopeless, match=r"another image by the name credit-risk:taken"):
        run_to_end(build(docker_engine, base, registry=None, tag="taken"), release())
    assert docker_engine.kept() == before
    docker_engine.client.images.remove("credit-risk:taken", noprune=True)


def test_a_tag_that_another_image_has_is_not_pushed_over(
    docker_engine: DockerEngine, real_registry: ImageRegistry, base: str, release: Release
) -> None:
    one = built(build(docker_engine, base), release())
    before = docker_engine.kept()
    other = release({"saved_model.pb": saved_model(), "variables/x": b"other"}, root="another")
    with pytest.raises(Hopeless, match=r"is taken by another image"):
        run_to_end(build(docker_engine, base), other)
    made = real_registry.manifest(PATH, "1.0.3")
    assert made
    assert made["digest"] == one.digest
    assert docker_engine.kept() == before


def test_an_engine_without_layers_in_common_is_given_the_base_too(
    docker_engine: DockerEngine, base: str, ctx: FakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Engines that keep images in containerd refuse an archive without the base's layers."""
    taken, loads = Engine._take, []

    def picky(self: Engine, place: Any) -> None:
        loads.append(place.stat().st_size)
        if len(loads) == 1:
            raise Hopeless("loading the image: layer known not found")
        taken(self, place)

    monkeypatch.setattr(Engine, "_take", picky)
    told = built(build(docker_engine, base), ctx)
    assert loads[1] > loads[0] + 1_000_000
    assert told.digest.startswith("sha256:")


def test_a_base_is_pulled_and_a_missing_one_is_told(
    docker_engine: DockerEngine, base: str, ctx: FakeContext
) -> None:
    docker_engine.client.images.remove(base)
    assert built(build(docker_engine, base), ctx).base
    assert docker_engine.client.images.get(base)
    missing = base.replace("2.19.1", "9")
    with pytest.raises(Hopeless, match=r"pulling \S+serving:9: .*manifest unknown"):
        run_to_end(build(docker_engine, missing), ctx)


def test_a_wrong_password_is_told_in_one_line_and_leaves_nothing(
    docker_engine: DockerEngine, base: str, ctx: FakeContext, tmp_path: Any
) -> None:
    guarded = ImageRegistry(tmp_path / "guarded", htpasswd=True)
    login = {"host": guarded.address, "plain_http": True, "user": USER,
             "token": {"secret": "env/REGISTRY_TOKEN"}}  # fmt: skip
    before = docker_engine.kept()
    try:
        ctx.secrets["env/REGISTRY_TOKEN"] = "wrong"
        with pytest.raises(Hopeless, match="user 'builder' is not let in") as caught:
            run_to_end(build(docker_engine, base, registry=login), ctx)
        assert "\n" not in str(caught.value)
        assert guarded.tags("credit-risk") == []
        ctx.secrets["env/REGISTRY_TOKEN"] = PASSWORD
        told = built(build(docker_engine, base, registry=login), ctx)
        assert told.digest == (guarded.manifest("credit-risk", "1.0.3") or {})["digest"]
    finally:
        guarded.stop()
    assert docker_engine.kept() == before


def test_a_registry_with_bearer_tokens_is_pulled_from_and_pushed_to(
    docker_engine: DockerEngine, ctx: FakeContext, tmp_path: Path, tokens: TokenServer
) -> None:
    filled = ImageRegistry(tmp_path / "open")
    digest = filled.put_image("mirror/serving", "2.19.1", small_layer(), ["ON=tokens"])
    filled.stop()
    shutil.move(tmp_path / "open" / "data", tmp_path / "with-tokens" / "data")
    shelf = ImageRegistry(tmp_path / "with-tokens", tokens=tokens)
    login = {"host": shelf.address, "project": "models", "plain_http": True, "user": USER,
             "token": {"secret": "env/REGISTRY_TOKEN"}}  # fmt: skip
    base = f"{shelf.address}/mirror/serving:2.19.1@{digest}"
    try:
        told = built(build(docker_engine, base, registry=login), ctx)
        assert told.base == digest
        ours = built(build(docker_engine, base, registry=login, builder="oci"), ctx)
        assert ours == told
        pushed = [right for access in tokens.issued.values() for right in access
                  if right["name"] == PATH and "push" in right["actions"]]  # fmt: skip
        assert pushed
        docker_engine.client.images.remove(f"{shelf.address}/mirror/serving@{digest}")
    finally:
        shelf.stop()


def test_what_the_engine_says_in_its_stream_is_an_error(
    docker_engine: DockerEngine, real_registry: ImageRegistry, base: str, tmp_path: Any
) -> None:
    guarded = ImageRegistry(tmp_path / "guarded", htpasswd=True)
    name = f"{guarded.address}/x:1"
    try:
        with engine(docker_engine.host) as found:
            found.tag(docker_engine.client.images.get(base).id, name)
            with pytest.raises(Hopeless, match=r"pushing .*: .*no basic auth credentials"):
                found.push(name, None)
            guarded.stop()
            with pytest.raises(Retryable, match=r"pushing .*: .*connection refused"):
                found.push(name, None)
            found.untag(name)
    finally:
        guarded.stop()


@LEFT_OPEN
def test_an_engine_that_is_not_there_is_told(ctx: FakeContext, base: str) -> None:
    step = BuildServingImage.model_validate({
        "base": base, "tag": "1", "builder": "docker", "engine": "unix:///nowhere/docker.sock",
    })  # fmt: skip
    with pytest.raises(Retryable, match="the Docker engine does not answer") as caught:
        run_to_end(step, ctx)
    assert "\n" not in str(caught.value)
    del caught
    collect()


def test_what_a_crash_left_in_the_engine_is_taken_away_by_the_next_attempt(
    docker_engine: DockerEngine, base: str, ctx: FakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = docker_engine.kept()
    step = build(docker_engine, base)
    with monkeypatch.context() as crash:
        crash.setattr(Engine, "untag", lambda self, name: None)  # killed before it cleans up
        crash.setattr(Engine, "push", lambda self, name, login: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run_to_end(step, ctx)
    left = [name for names in docker_engine.images().values() for name in names]
    assert any(name.startswith("waystage.local/") for name in left)
    built(step, ctx)
    assert docker_engine.kept() == before


@LEFT_OPEN
def test_an_engine_is_not_waited_for_when_the_run_has_left(
    docker_engine: DockerEngine, base: str, ctx: FakeContext
) -> None:
    before = docker_engine.kept()
    ctx.cancelled = True
    with pytest.raises(Retryable, match="the run no longer waits for this image") as caught:
        run_to_end(build(docker_engine, base), ctx)
    del caught
    collect()
    assert docker_engine.kept() == before


@LEFT_OPEN
def test_an_engine_that_dies_between_loading_and_pushing_is_used_again_when_it_is_back(
    docker_engine: DockerEngine, base: str, ctx: FakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, push = docker_engine.kept(), Engine.push

    def dying(self: Engine, name: str, login: tuple[str, str] | None) -> str:
        docker_engine.stop()
        return push(self, name, login)

    with monkeypatch.context() as death:
        death.setattr(Engine, "push", dying)
        with pytest.raises(Retryable, match="the Docker engine does not answer") as caught:
            run_to_end(build(docker_engine, base), ctx)
    assert "\n" not in str(caught.value)
    assert list(ctx.scratch.iterdir()) == []
    del caught
    collect()
    docker_engine.start()
    assert docker_engine.kept() != before
    built(build(docker_engine, base), ctx)
    assert docker_engine.kept() == before
