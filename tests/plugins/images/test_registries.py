"""What arrives, and what a registry that lies, dies or sends elsewhere leads to."""

from __future__ import annotations

import hashlib
import json
import random
import socket
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from image_builds import PATH, TOKEN, build, failed, failing
from image_registry import MANIFEST, PASSWORD, USER, ImageRegistry, small_layer
from registry_stand_in import StandIn
from saved_models import saved_model

from waystage.errors import Hopeless, Retryable
from waystage.plugin import Done
from waystage.testing import FakeContext, run_to_end
from waystage_plugins.images import PushImage


def test_a_base_with_other_bytes_than_its_digest_is_not_used(
    stand_in: StandIn, ctx: FakeContext
) -> None:
    good = stand_in.manifest("mirror/serving", "2.19.1")
    assert good
    raw, kind = stand_in.manifests["mirror/serving"][good["digest"]]
    stand_in.manifests["mirror/serving"][good["digest"]] = (raw + b" ", kind)
    step = build(stand_in).model_copy(
        update={"base": f"{stand_in.address}/mirror/serving@{good['digest']}"}
    )
    assert "the registry gave other bytes" in failing(step, ctx, Hopeless)


def test_a_layer_with_other_bytes_is_not_handed_on(stand_in: StandIn, ctx: FakeContext) -> None:
    other = StandIn()
    base = stand_in.manifest("mirror/serving", "2.19.1")
    assert base
    digest = base["layers"][0]["digest"]
    stand_in.blobs["mirror/serving"][digest] = b"tampered"
    try:
        step = build(other).model_copy(
            update={"base": f"{stand_in.address}/mirror/serving:2.19.1"}
        ).model_copy(update={"base_login": build(stand_in).registry})  # fmt: skip
        assert f"instead of {digest}" in failing(step, ctx, Hopeless)
        assert other.blobs == {}
        assert other.manifests.get(PATH, {}) == {}
    finally:
        other.stop()


@pytest.mark.parametrize(
    "part", [{"digest": "../../../up"}, {"digest": 7}, {}, "text", {"digest": "sha512:00"}]
)
@pytest.mark.parametrize("field", ["layers", "config", "manifests"])
def test_a_manifest_that_names_no_digests_is_not_followed(
    stand_in: StandIn, ctx: FakeContext, part: object, field: str
) -> None:
    kind = "application/vnd.oci.image.index.v1+json" if field == "manifests" else MANIFEST
    body = {"mediaType": kind, "config": {"digest": "sha256:" + "0" * 64}, "layers": []}
    raw = json.dumps({**body, field: part if field == "config" else [part]}).encode()
    digest = "sha256:" + hashlib.sha256(raw).hexdigest()
    stand_in.manifests["mirror/serving"][digest] = (raw, kind)
    registry = build(stand_in).registry
    step = PushImage(
        image=f"{stand_in.address}/mirror/serving@{digest}", tag="1", registry=registry
    )
    assert "names a part without a sha256 digest" in failing(step, ctx, Hopeless)
    other = build(stand_in).model_copy(update={"base": step.image})
    assert failing(other, ctx, Hopeless)
    assert stand_in.tags(PATH) == []


@pytest.mark.parametrize(
    "config", [b"[]", b"{}", b'{"os": "linux"}', b"no", b'{"os": "l", "architecture": "a"}']
)
def test_a_base_without_a_configuration_is_told(
    stand_in: StandIn, ctx: FakeContext, config: bytes
) -> None:
    digest = "sha256:" + hashlib.sha256(config).hexdigest()
    stand_in.blobs["mirror/serving"][digest] = config
    raw = json.dumps({"mediaType": MANIFEST, "config": {"digest": digest}, "layers": []}).encode()
    stand_in.manifests["mirror/serving"]["bad"] = (raw, MANIFEST)
    step = build(stand_in).model_copy(update={"base": f"{stand_in.address}/mirror/serving:bad"})
    assert failing(step, ctx, Hopeless)


def test_a_base_of_another_registry_is_carried_over(stand_in: StandIn, ctx: FakeContext) -> None:
    other = StandIn()
    try:
        step = build(other).model_copy(
            update={
                "base": f"{stand_in.address}/mirror/serving:2.19.1",
                "base_login": build(stand_in).registry,
            }
        )
        assert isinstance(run_to_end(step, ctx), Done)
        made = other.manifest(PATH, "1")
        assert made
        assert {layer["digest"] for layer in made["layers"]} < other.blobs[PATH].keys()
    finally:
        other.stop()


def test_a_base_of_the_same_registry_is_taken_over_inside_of_it(
    stand_in: StandIn, ctx: FakeContext
) -> None:
    run_to_end(build(stand_in), ctx)
    base = stand_in.manifest("mirror/serving", "2.19.1")
    assert base
    digest = base["layers"][0]["digest"]
    assert f"GET /v2/mirror/serving/blobs/{digest}" not in stand_in.asked
    assert digest in stand_in.blobs[PATH]


def test_layers_are_carried_where_a_registry_takes_none_over(
    stand_in: StandIn, ctx: FakeContext
) -> None:
    def deny(handler: Any) -> bool:
        handler.path = handler.path.partition("?")[0]
        return False

    stand_in.faults["POST mount="] = deny
    assert isinstance(run_to_end(build(stand_in), ctx), Done)
    assert stand_in.uploads == {}


def cut(handler: Any) -> bool:
    """Read a little of what comes, then hang up like a dying registry."""
    if int(handler.headers.get("Content-Length", 0)) > 10:
        handler.rfile.read(10)
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True
    return True


@pytest.mark.parametrize(
    "where",
    ["PATCH /uploads/", "PUT digest=", "PUT /manifests/1", "HEAD /blobs/", "GET /manifests/"],
)
def test_a_registry_that_dies_midway_is_tried_again_later(
    stand_in: StandIn, ctx: FakeContext, where: str
) -> None:
    stand_in.faults[where] = cut
    assert "the connection failed" in failing(build(stand_in), ctx, Retryable)
    assert stand_in.tags(PATH) == [] or where == "GET /manifests/"
    stand_in.faults.clear()
    assert isinstance(run_to_end(build(stand_in), ctx), Done)


@pytest.mark.parametrize("where", ["PATCH /uploads/", "PUT digest=", "PUT /manifests/1"])
@pytest.mark.parametrize("status", [500, 503, 429, 400, 403, 404])
def test_a_registry_that_refuses_leaves_nothing_and_is_quoted(
    stand_in: StandIn, ctx: FakeContext, where: str, status: int
) -> None:
    def refuse(handler: Any) -> bool:
        handler.body()
        body = b'{"errors": [{"code": "QUOTA", "message": "no\\nroom \\u202e left"}]}'
        handler.say(status, body, {"Retry-After": "9"})
        return True

    stand_in.faults[where] = refuse
    later = status >= 500 or status == 429
    no = failed(build(stand_in), ctx, Retryable if later else Hopeless)
    assert getattr(no, "after", None) == (timedelta(seconds=9) if later else None)
    told = str(no)
    assert told.endswith("(QUOTA: no room left)")
    assert stand_in.tags(PATH) == []
    assert stand_in.uploads == {}


def test_a_tag_that_stands_for_something_else_in_the_end_is_told(
    stand_in: StandIn, ctx: FakeContext
) -> None:
    def swap(handler: Any) -> bool:
        raw = handler.body()
        stand_in.manifests[PATH]["1"] = (raw + b" ", handler.headers["Content-Type"])
        handler.say(201)
        return True

    stand_in.faults["PUT /manifests/1"] = swap
    assert "was pushed as sha256:" in failing(build(stand_in), ctx, Hopeless)


def test_a_registry_is_not_followed_to_other_hosts_with_uploads(
    stand_in: StandIn, ctx: FakeContext
) -> None:
    def elsewhere(handler: Any) -> bool:
        handler.body()
        handler.say(202, headers={"Location": "http://127.0.0.1:1/upload"})
        return True

    stand_in.faults["POST /uploads/"] = elsewhere
    assert "sends uploads to another host, 127.0.0.1:1" in failing(build(stand_in), ctx, Hopeless)


def test_layers_may_lie_elsewhere_which_is_not_told_who_asks(ctx: FakeContext) -> None:
    shelf, store = StandIn(user=(USER, PASSWORD)), StandIn()
    shelf.put_image("mirror/serving", "2.19.1", small_layer(), [])
    store.blobs = shelf.blobs

    def away(handler: Any) -> bool:
        handler.say(307, headers={"Location": f"{store.url}{handler.path}"})
        return True

    shelf.faults["GET /blobs/"] = away
    try:
        assert isinstance(run_to_end(build(shelf, user=USER, token=TOKEN), ctx), Done)
        assert any("/blobs/" in line for line in store.asked)
        assert set(store.told) == {""}
    finally:
        shelf.stop()
        store.stop()


def test_a_whole_list_of_platforms_is_searched_for_ours(
    stand_in: StandIn, ctx: FakeContext
) -> None:
    base = stand_in.manifest("mirror/serving", "2.19.1")
    assert base
    entry = {"mediaType": base["mediaType"], "digest": base["digest"], "size": 1}
    index = json.dumps({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [
            {**entry, "digest": "sha256:" + "0" * 64,
             "platform": {"os": "linux", "architecture": "arm64", "variant": "v8"}},
            {**entry, "platform": {"os": "linux", "architecture": "amd64"}},
        ],
    }).encode()  # fmt: skip
    kind = "application/vnd.oci.image.index.v1+json"
    stand_in.manifests["mirror/serving"]["all"] = (index, kind)
    step = build(stand_in).model_copy(update={"base": f"{stand_in.address}/mirror/serving:all"})
    assert isinstance(run_to_end(step, ctx), Done)
    other = step.model_copy(update={"platform": "linux/s390x"})
    assert "is not there for linux/s390x" in failing(other, ctx, Hopeless)


def test_a_run_that_no_longer_waits_stops_the_upload(stand_in: StandIn, ctx: FakeContext) -> None:
    ctx.cancelled = True
    assert "no longer waits" in failing(build(stand_in), ctx, Retryable)
    assert stand_in.uploads == {}


def test_an_engine_without_the_extra_says_what_to_install(
    stand_in: StandIn, ctx: FakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "docker", None)
    step = build(stand_in).model_copy(update={"builder": "docker"})
    assert failing(step, ctx, Hopeless) == "builder docker needs the extra waystage[docker]"


@pytest.mark.heavy
def test_a_registry_that_is_killed_midway_has_no_tag_and_is_pushed_to_again(
    real_registry: ImageRegistry, release: Callable[..., FakeContext]
) -> None:
    """The context is asked between pieces whether to go on: that is when the registry dies."""
    real_registry.put_image("mirror/serving", "2.19.1", small_layer(), [])
    weights = random.Random(7).randbytes(6 << 20)
    ctx = release({"saved_model.pb": saved_model(), "variables/variables.data": weights})
    asked: list[int] = []

    class Killing(type(ctx)):  # type: ignore[misc]  # the class is known well enough
        def __getattribute__(self, name: str) -> Any:
            if name == "cancelled":
                asked.append(1)
                if len(asked) == 5:
                    real_registry.stop()
            return super().__getattribute__(name)

    ctx.__class__ = Killing
    told = failing(build(real_registry), ctx, Retryable)
    assert "the model's layer: the connection failed" in told
    real_registry.start()
    assert real_registry.tags(PATH) == []
    assert isinstance(run_to_end(build(real_registry), ctx), Done)
    assert real_registry.tags(PATH) == ["1"]
