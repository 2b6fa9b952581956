"""Bad models, images, ports and engines: one clear reason, nothing left, nothing stops serving."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from at_docker import NAME, answers, asked, deployed
from docker_engine import DockerEngine
from image_registry import PASSWORD, USER
from registry_stand_in import StandIn
from saved_models import saved_model

import waystage_plugins.runtimes.docker as package
from waystage.errors import Hopeless, Retryable
from waystage.plugin import Deployed, DeploySpec, Observation, Placement, Refused
from waystage.testing import FakeContext, run_to_end
from waystage.testing.runtime_contracts import (
    LOOK_SECONDS,
    killed_at_each_line,
    wait_until_ready,
)
from waystage_plugins.runtimes.docker import DockerServing
from waystage_plugins.steps.probe import Probe

pytestmark = pytest.mark.heavy
Release = Callable[..., DeploySpec]
Runtime = Callable[..., DockerServing]
LINES = frozenset(map(str, Path(package.__file__ or "").parent.glob("*.py")))
# one line in so many; `WAYSTAGE_EVERY_LINE=1` takes all of them
EVERY = int(os.environ.get("WAYSTAGE_EVERY_LINE", "149"))
BROKEN = {"saved_model.pb": saved_model(), "variables/tiny.json": b"{"}


def failed(runtime: DockerServing, ctx: FakeContext, spec: DeploySpec, key: str) -> Observation:
    """Deploy what cannot run, and look until it is told."""
    ctx.key = key
    handle = runtime.apply(ctx, spec)
    end = time.monotonic() + 150  # a server of the tests takes its time on a busy machine
    while (seen := runtime.observe(ctx, handle)).phase != "failed":
        assert time.monotonic() < end, seen
        time.sleep(LOOK_SECONDS)
    assert runtime.observe(ctx, handle) == seen, "what failed is told the same each time"
    return seen


@contextmanager
def serving(runtime: DockerServing, ctx: FakeContext, release: Release) -> Iterator[str]:
    """Have a champion that answers before, while and after something goes wrong."""
    handle = deployed(runtime, ctx, release("1", slope=0.01), "a/1/deploy")
    url = runtime.observe(ctx, handle).endpoints[0].url
    yield url
    seen = runtime.observe(ctx, handle)
    assert seen.phase == "ready", seen
    assert asked(url) == pytest.approx(0.7310586)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (saved_model(signature="train"), "has no serving signature 'serving_default'"),
        (b"not a model", "is no SavedModel"),
    ],
)
def test_a_model_without_a_signature_touches_nothing(
    runtime: Runtime, ctx: FakeContext, release: Release, world: Any, content: bytes, told: str
) -> None:
    before = world()
    with pytest.raises(Hopeless, match=f"credit/2 cannot be served: .*{told}"):
        runtime().apply(ctx, release("2", content=content))
    assert world() == before
    assert not (ctx.state / "docker" / NAME).exists()


def test_an_image_without_the_model_is_told_and_nothing_is_left(
    runtime: Runtime, ctx: FakeContext, release: Release, networked_engine: DockerEngine, world: Any
) -> None:
    docker, before = runtime(), world()
    image = networked_engine.client.images.get("serving:2.19.1").id
    with pytest.raises(Hopeless, match=r"no model at /models/credit-risk/1/saved_model\.pb: build"):
        docker.apply(ctx, release("1", image=image))
    assert world() == before
    with pytest.raises(Hopeless, match="the engine has no image sha256:ffffffffffff"):
        docker.apply(ctx, release("1", image="sha256:" + "f" * 64))
    assert world() == before


def test_a_version_that_cannot_be_loaded_is_kept_out_and_the_champion_serves_on(
    runtime: Runtime, ctx: FakeContext, release: Release, networked_engine: DockerEngine
) -> None:
    docker = runtime()
    with serving(docker, ctx, release) as url:
        seen = failed(docker, ctx, release("2", files=BROKEN), "b/1/deploy")
        assert seen.reason == "bad_model"
        assert "the server cannot load it: cannot load" in seen.message
        assert asked(url) == pytest.approx(0.7310586)
        # also a server that starts anew must not trip over it
        networked_engine.client.api.restart(NAME, timeout=5)
        handle = docker.apply(ctx, release("1", slope=0.01))
        wait_until_ready(docker, ctx, handle)


def test_a_server_with_nothing_that_it_could_load_is_taken_away(
    runtime: Runtime, ctx: FakeContext, release: Release, world: Any
) -> None:
    docker, before = runtime(), world()
    seen = failed(docker, ctx, release("1", files=BROKEN), "a/1/deploy")
    assert "Failed to start server. Error: cannot load" in seen.message
    assert world() == before
    ctx.key = "a/2/deploy"
    handle = docker.apply(ctx, release("1", slope=0.01))
    wait_until_ready(docker, ctx, handle)
    docker.delete(ctx, handle)
    assert world() == before


def test_a_crash_loop_is_told_with_its_last_line_and_ended(
    runtime: Runtime, ctx: FakeContext, release: Release, world: Any
) -> None:
    before = world()
    seen = failed(runtime(image="crashing:1"), ctx, release(), "a/1/deploy")
    assert seen.reason == "crash_loop"
    assert seen.message.endswith("last log line: ImportError-no-module-named-scoring")
    assert world() == before


def test_a_version_that_eats_the_memory_is_kept_out(
    runtime: Runtime, ctx: FakeContext, release: Release
) -> None:
    docker = runtime(limits={"memory": "300m"})
    handle = deployed(docker, ctx, release("1", slope=0.01), "a/1/deploy")
    url = docker.observe(ctx, handle).endpoints[0].url
    seen = failed(docker, ctx, release("2", eats=600), "b/1/deploy")
    assert seen.reason == "out_of_memory"
    wait_until_ready(docker, ctx, handle)
    assert asked(url) == pytest.approx(0.7310586)


def test_a_port_that_is_taken_is_told_and_nothing_is_left(
    runtime: Runtime, ctx: FakeContext, release: Release, world: Any
) -> None:
    before = world()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        docker = runtime(port=port)
        with pytest.raises(Retryable, match=f"port_in_use: port {port} .* is taken by somebody"):
            docker.apply(ctx, release())
        assert world() == before
    handle = docker.apply(ctx, release())
    wait_until_ready(docker, ctx, handle)
    assert docker.observe(ctx, handle).endpoints[0].url.startswith(f"http://127.0.0.1:{port}/")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"image": "nowhere.invalid/serving:1"}, "pulling nowhere.invalid/serving:1"),
        ({"mounts": {"/x": "/there/is/no/such/place"}}, "bind source path does not exist"),
    ],
    ids=["image", "mount"],
)
def test_settings_that_cannot_be_had_leave_the_server_as_it_was(
    runtime: Runtime, ctx: FakeContext, release: Release, world: Any,
    settings: dict[str, Any], told: str,
) -> None:  # fmt: skip
    docker = runtime()
    with serving(docker, ctx, release) as url:
        before = world()
        for key, spec in (("a/1/deploy", release("1", slope=0.01)), ("b/1/deploy", release("2"))):
            ctx.key = key
            with pytest.raises((Hopeless, Retryable), match=told):
                runtime(**settings).apply(ctx, spec)
            assert world() == before
            end = time.monotonic() + 120
            while not answers(url):
                assert time.monotonic() < end, "the server does not come back"


def test_a_registry_that_lets_nobody_in_is_told_before_anything_is_touched(
    runtime: Runtime, ctx: FakeContext, release: Release, world: Any
) -> None:
    shelf, before = StandIn(user=(USER, PASSWORD)), world()
    try:
        image = f"{shelf.address}/models/credit@sha256:{'a' * 64}"
        with pytest.raises(Hopeless, match=f"pulling {shelf.address}/models/credit@.*auth"):
            runtime().apply(ctx, release(image=image))
        told = {"host": shelf.address, "user": USER, "plain_http": True,
                "token": {"secret": "env/REGISTRY_TOKEN"}}  # fmt: skip
        ctx.secrets["env/REGISTRY_TOKEN"] = PASSWORD
        with pytest.raises((Hopeless, Retryable), match="pulling ") as caught:
            runtime(registry=told).apply(ctx, release(image=image))
        assert "auth" not in str(caught.value), "the registry's user is let in"
        assert PASSWORD not in str(caught.value)
    finally:
        shelf.stop()
    assert world() == before


def test_a_model_that_answers_nan_is_refused_by_the_probe(
    runtime: Runtime, ctx: FakeContext, release: Release
) -> None:
    docker, spec = runtime(), release(nan=True)
    handle = deployed(docker, ctx, spec, "a/1/deploy")
    told = Deployed(stage="DEV", runtime="docker", mode="online", handle=handle.ref)
    ctx.snapshot, ctx.runtimes = spec.snapshot, {"docker": docker}
    ctx.inventory = [Placement("credit-risk", spec.snapshot, told, "credit-risk-1", ctx.now)]
    answer = run_to_end(Probe(), ctx)
    assert isinstance(answer, Refused)
    assert "nan" in answer.why.lower()


def test_an_engine_that_stops_is_waited_for_and_everything_comes_back(
    runtime: Runtime, ctx: FakeContext, release: Release, networked_engine: DockerEngine, world: Any
) -> None:
    docker, before = runtime(), world()
    handle = deployed(docker, ctx, release("1", slope=0.01), "a/1/deploy")
    url = docker.observe(ctx, handle).endpoints[0].url
    networked_engine.stop()
    ctx.key = "b/1/deploy"
    for call in (
        lambda: docker.apply(ctx, release("2", slope=0.02)),
        lambda: docker.observe(ctx, handle),
        lambda: docker.delete(ctx, handle),
    ):
        with pytest.raises(Retryable, match="the Docker engine does not answer"):
            call()
    assert "does not answer" in docker.diagnose(ctx)[0]
    networked_engine.start()
    wait_until_ready(docker, ctx, handle)
    assert asked(url) == pytest.approx(0.7310586)
    second = docker.apply(ctx, release("2", slope=0.02))
    wait_until_ready(docker, ctx, second)
    docker.delete(ctx, second)
    docker.delete(ctx, handle)
    assert type(world)(networked_engine)() == before


def test_a_daemon_killed_at_any_line_of_apply_and_delete_leaves_one_server_or_none(
    runtime: Runtime, ctx: FakeContext, release: Release, world: Any
) -> None:
    docker, spec, before = runtime(), release(), world()

    def again() -> FakeContext:
        return FakeContext(ctx.root, key="a/1/deploy")

    for line in killed_at_each_line(lambda: docker.apply(again(), spec), of=LINES, every=EVERY):
        handle = docker.apply(again(), spec)
        assert world()[0] == [f"/{NAME}"], f"killed at line {line}"
        assert world()[2] == [NAME], f"killed at line {line}"
        assert docker.apply(again(), spec) == handle
        deaths = killed_at_each_line(partial(docker.delete, again(), handle), of=LINES, every=211)
        next(deaths, None)  # dead once is enough: the next call must finish it
        docker.delete(again(), handle)
        assert world() == before, f"killed at line {line}"
