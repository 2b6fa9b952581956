"""Model servers as containers of a real engine: labels, limits, addresses, and taking away."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from at_docker import NAME, OWNER, asked, deployed
from docker_engine import DockerEngine

from waystage.errors import Hopeless, Retryable
from waystage.plugin import DeploySpec
from waystage.testing import FakeContext
from waystage.testing.runtime_contracts import check_online_runtime, wait_until_ready
from waystage_plugins.runtimes.docker import DockerServing

pytestmark = pytest.mark.heavy
Release = Callable[..., DeploySpec]
Runtime = Callable[..., DockerServing]


def test_it_holds_to_the_contract(
    runtime: Runtime, ctx: FakeContext, release: Release, world: Any
) -> None:
    before = world()
    seen = check_online_runtime(runtime(), ctx, release())
    rest, grpc, metrics = seen.endpoints
    assert rest.url.endswith("/v1/models/credit-risk/versions/1")
    assert (grpc.protocol, metrics.name) == ("grpc", "metrics")
    assert world() == before


def test_champion_and_challenger_share_one_server_by_labels(
    runtime: Runtime, ctx: FakeContext, release: Release, networked_engine: DockerEngine, world: Any
) -> None:
    docker, before = runtime(), world()
    first = deployed(docker, ctx, release("1", slope=0.01), "a/1/deploy")
    second = deployed(docker, ctx, release("2", "challenger", slope=0.02), "b/1/deploy")
    assert len(networked_engine.client.api.containers()) == 1
    champion, challenger = docker.observe(ctx, first), docker.observe(ctx, second)
    assert champion.endpoints[0].url.endswith("/labels/champion")
    assert challenger.endpoints[0].url.endswith("/labels/challenger")
    base = champion.endpoints[0].url.removesuffix("champion")
    assert asked(f"{base}champion") == pytest.approx(0.7310586)
    assert asked(f"{base}challenger") == pytest.approx(0.8807970)
    rows = [{"income": 100.0, "owner": False}]
    (score,) = docker.predict(ctx, second, rows)
    assert score["score"] == pytest.approx(0.8807970)
    docker.delete(ctx, second)
    assert docker.observe(ctx, second).phase == "absent"
    assert docker.observe(ctx, first).phase == "ready"
    assert asked(f"{base}champion") == pytest.approx(0.7310586)
    docker.delete(ctx, first)
    assert world() == before


def test_a_label_moves_to_what_is_loaded_and_comes_back(
    runtime: Runtime, ctx: FakeContext, release: Release
) -> None:
    docker = runtime()
    first = deployed(docker, ctx, release("1", slope=0.01), "a/1/deploy")
    url = docker.observe(ctx, first).endpoints[0].url
    ctx.key = "b/1/deploy"
    second = docker.apply(ctx, release("2", slope=0.02, seconds=1.5))
    with pytest.raises(Retryable, match=r"version 2 is (LOADING|not there)"):
        docker.set_traffic(ctx, second)
    answers = set()
    while docker.observe(ctx, second).phase != "ready":
        answers.add(round(asked(url), 3))
    assert answers <= {0.731}, "requests went to the new version before they were sent there"
    docker.set_traffic(ctx, second)
    assert asked(url) == pytest.approx(0.8807970)
    assert docker.observe(ctx, first).endpoints[0].url.endswith("/versions/1")
    docker.delete(ctx, second)
    assert asked(url) == pytest.approx(0.7310586), "the former champion has the label again"
    assert docker.observe(ctx, first).endpoints[0].url == url


def test_a_container_can_do_nothing_that_it_need_not(
    runtime: Runtime, ctx: FakeContext, release: Release, networked_engine: DockerEngine
) -> None:
    docker = runtime(limits={"cpus": 0.5, "memory": "512m", "processes": 100})
    deployed(docker, ctx, release(), "a/1/deploy")
    told = networked_engine.client.api.inspect_container(NAME)
    host, labels = told["HostConfig"], told["Config"]["Labels"]
    assert host["ReadonlyRootfs"] is True
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert (host["Memory"], host["MemorySwap"], host["NanoCpus"], host["PidsLimit"]) == (
        512 << 20, 512 << 20, 500_000_000, 100,
    )  # fmt: skip
    assert told["Config"]["User"] == "65534:65534"
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    assert labels["waystage.dev/owner"] == OWNER
    assert labels["waystage.dev/service"] == "credit-risk"
    (bound,) = host["PortBindings"]["8501/tcp"]
    assert bound["HostIp"] == "127.0.0.1"


def test_its_address_stays_over_restarts_and_new_settings(
    runtime: Runtime, ctx: FakeContext, release: Release, networked_engine: DockerEngine
) -> None:
    docker, spec = runtime(), release()
    handle = deployed(docker, ctx, spec, "a/1/deploy")
    url = docker.observe(ctx, handle).endpoints[0].url
    networked_engine.client.api.restart(NAME, timeout=5)
    wait_until_ready(docker, ctx, handle)
    assert docker.observe(ctx, handle).endpoints[0].url == url
    assert asked(url) == pytest.approx(0.5, abs=0.3)
    other = runtime(limits={"memory": "768m"})
    other.apply(ctx, spec)
    wait_until_ready(other, ctx, handle)
    assert other.observe(ctx, handle).endpoints[0].url == url
    told = networked_engine.client.api.inspect_container(NAME)
    assert told["HostConfig"]["Memory"] == 768 << 20
    networked_engine.client.api.remove_container(NAME, force=True)
    seen = docker.observe(ctx, handle)
    assert (seen.reason, seen.differs[0].what) == ("gone", "container")
    assert docker.restore(ctx, spec, handle, serves=True) == handle
    wait_until_ready(docker, ctx, handle)
    assert docker.observe(ctx, handle).endpoints[0].url == url


def test_example_rows_are_answered_before_a_version_is_available(
    runtime: Runtime, ctx: FakeContext, release: Release, networked_engine: DockerEngine
) -> None:
    deployed(runtime(), ctx, release(), "a/1/deploy")
    api = networked_engine.client.api
    path = "/waystage/models/1/assets.extra/tf_serving_warmup_requests"
    chunks, about = api.get_archive(NAME, path)
    assert b"".join(chunks)
    assert about["size"] > 0


def test_logs_tell_what_it_printed_and_how_many_requests_it_had(
    runtime: Runtime, ctx: FakeContext, release: Release
) -> None:
    docker = runtime()
    handle = deployed(docker, ctx, release(), "a/1/deploy")
    docker.predict(ctx, handle, [{"income": 1.0, "owner": True}])
    first, *_, last = docker.logs(ctx, handle).splitlines()
    assert first == "== 1 requests answered, 0 failed since its start"
    assert "Exporting HTTP/REST API" in last


def test_what_others_made_is_left_alone(
    runtime: Runtime, ctx: FakeContext, release: Release, networked_engine: DockerEngine, world: Any
) -> None:
    docker = runtime()
    handle = deployed(docker, ctx, release(), "a/1/deploy")
    stranger = runtime(owner="somebody")
    assert stranger.observe(ctx, handle).phase == "absent"
    before = world()
    other = FakeContext(ctx.root.parent / "other")
    assert docker.observe(other, handle).reason == "elsewhere"
    with pytest.raises(Hopeless, match="was deployed by a daemon with another directory"):
        docker.delete(other, handle)
    with pytest.raises(Hopeless, match=r"container .* not made by this daemon for owner tests-"):
        docker.apply(other, release())
    with pytest.raises(Hopeless, match="not made by this daemon for owner somebody; it is"):
        stranger.apply(other, release())
    assert world() == before
    assert docker.observe(ctx, handle).phase == "ready"


def test_a_container_of_another_image_is_told(
    runtime: Runtime, ctx: FakeContext, release: Release, networked_engine: DockerEngine
) -> None:
    docker = runtime()
    handle = deployed(docker, ctx, release(), "a/1/deploy")
    api = networked_engine.client.api
    labels = api.inspect_container(NAME)["Config"]["Labels"]
    api.remove_container(NAME, force=True)
    api.create_container("crashing:1", name=NAME, labels=labels)
    seen = docker.observe(ctx, handle)
    assert (seen.phase, seen.reason) == ("degraded", "digest_mismatch")
    assert seen.digest is None
