"""One image by several digests: told apart from another image, and asked of one registry alone."""

from __future__ import annotations

import json

import pytest
from image_registry import small_layer
from registry_stand_in import StandIn

from waystage.testing import FakeContext
from waystage_plugins.images import sameness
from waystage_plugins.images.login import Registry
from waystage_plugins.images.sameness import same_image
from waystage_plugins.runtimes.kubernetes import OpenShiftServing


@pytest.fixture
def registry(stand_in: StandIn) -> Registry:
    sameness._known.clear()
    return Registry(host=stand_in.address, plain_http=True)


def put(shelf: StandIn, path: str, kind: str, manifest: dict[str, object]) -> str:
    """Keep a manifest, and give its name by digest."""
    raw = json.dumps({"schemaVersion": 2, "mediaType": kind, **manifest}).encode()
    shelf.send("PUT", f"/v2/{path}/manifests/x", content=raw, headers={"Content-Type": kind})
    return f"{shelf.address}/{path}@{(shelf.manifest(path, 'x') or {})['digest']}"


def test_an_image_of_a_list_is_the_list_for_its_platform(
    stand_in: StandIn, registry: Registry, ctx: FakeContext
) -> None:
    digests = [
        stand_in.put_image("mirror/both", name, small_layer(), [f"ON={name}"])
        for name in ("amd64", "arm64", "other")
    ]
    listed = [{"digest": digest, "size": 1} for digest in digests[:2]]
    kind = "application/vnd.oci.image.index.v1+json"
    whole = put(stand_in, "mirror/both", kind, {"manifests": listed})
    amd64, arm64, other = (f"{stand_in.address}/mirror/both@{each}" for each in digests)
    assert same_image(ctx, registry, whole, amd64)
    assert same_image(ctx, registry, whole, arm64)
    assert not same_image(ctx, registry, whole, other)


def test_another_packing_of_the_same_image_is_the_same(
    stand_in: StandIn, registry: Registry, ctx: FakeContext
) -> None:
    digest = stand_in.put_image("a/one", "1", small_layer(), ["X=1"])
    manifest = stand_in.manifest("a/one", "1")
    assert manifest
    kind = manifest["mediaType"]
    again = {"config": manifest["config"], "layers": [{**manifest["layers"][0], "size": 7}]}
    other = stand_in.put_image("a/three", "1", small_layer(), ["X=2"])
    one = f"{stand_in.address}/a/one@{digest}"
    assert same_image(ctx, registry, one, put(stand_in, "b/two", kind, again))
    assert not same_image(ctx, registry, one, f"{stand_in.address}/a/three@{other}")
    asked = len(stand_in.asked)
    assert not same_image(ctx, registry, one, f"{stand_in.address}/a/three@{other}")
    assert len(stand_in.asked) == asked, "what a digest stands for never changes"


def test_a_registry_that_a_node_names_is_never_asked(
    stand_in: StandIn, registry: Registry, ctx: FakeContext
) -> None:
    digest = stand_in.put_image("a/one", "1", small_layer(), ["X=1"])
    elsewhere = Registry(host="registry.example.org")
    one, asked = f"{stand_in.address}/a/one@{digest}", len(stand_in.asked)
    assert not same_image(ctx, elsewhere, one, one)
    assert not same_image(ctx, registry, one, "no reference")
    assert not same_image(ctx, registry, one, f"{stand_in.address}/a/one:1")
    assert len(stand_in.asked) == asked


def test_a_registry_that_is_away_vouches_for_nothing_and_is_asked_again(
    stand_in: StandIn, registry: Registry, ctx: FakeContext
) -> None:
    digest = stand_in.put_image("a/one", "1", small_layer(), ["X=1"])
    one = f"{stand_in.address}/a/one@{digest}"

    def away(handler: object) -> bool:
        handler.say(503)  # type: ignore[attr-defined]  # the stand-in's handler is local to it
        return True

    stand_in.faults["GET /manifests/"] = away
    assert not same_image(ctx, registry, one, one)
    stand_in.faults.clear()
    assert same_image(ctx, registry, one, one)


def test_a_cluster_s_own_name_for_the_registry_is_understood(
    stand_in: StandIn, registry: Registry, ctx: FakeContext
) -> None:
    digest = stand_in.put_image("models/credit", "1", small_layer(), ["X=1"])
    inside = f"image-registry.svc:5000/models/credit@{digest}"
    runtime = OpenShiftServing(
        project="models", registry=registry, pull_registry="image-registry.svc:5000"
    )
    known = runtime._same(ctx, inside)
    assert known(inside)
    assert known(f"docker-pullable://{inside}")
    assert not known(inside.replace("credit@", "other@"))
    assert not OpenShiftServing(project="models")._same(ctx, inside)(inside)
