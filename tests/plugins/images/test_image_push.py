"""Images go from one registry to another as they are, and never over a tag of another image."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest
from image_registry import Shelf, small_layer
from registry_stand_in import StandIn
from saved_models import saved_model

from waystage.errors import Hopeless
from waystage.plugin import BatchRuntime, Done
from waystage.testing import FakeContext, check_step, run_to_end
from waystage_plugins.images import BuildServingImage, PushImage, Registry
from waystage_plugins.runtimes.local_process import LocalProcess

Release = Callable[..., FakeContext]
PATH = "models/credit-risk"


@pytest.fixture
def live() -> Iterator[StandIn]:
    shelf = StandIn()
    yield shelf
    shelf.stop()


def at(shelf: Shelf) -> dict[str, Any]:
    return {"host": shelf.address, "project": "models", "plain_http": True}


def built(shelf: Shelf, ctx: FakeContext, tag: str = "1") -> BuildServingImage.Output:
    step = BuildServingImage.model_validate(
        {"base": f"{shelf.address}/mirror/serving:2.19.1", "tag": tag, "registry": at(shelf)}
    )
    answer = run_to_end(step, ctx)
    assert isinstance(answer, Done)
    assert isinstance(answer.output, BuildServingImage.Output)
    return answer.output


def push(image: str, live: Shelf) -> PushImage:
    login = {"plain_http": True}
    return PushImage.model_validate(
        {"image": image, "tag": "live", "registry": at(live), "from_login": login}
    )


def test_an_image_keeps_its_digest_in_another_registry(
    shelf: Shelf, live: StandIn, ctx: FakeContext
) -> None:
    made = built(shelf, ctx)
    answer = check_step(push(made.image, live), ctx, world=lambda: live.manifests)
    assert isinstance(answer, Done)
    assert answer.output == PushImage.Output(
        image=f"{live.address}/{PATH}@{made.digest}",
        digest=made.digest,
        tag=f"{live.address}/{PATH}:live",
        id=made.id,
    )
    assert live.manifest(PATH, "live") == shelf.manifest(PATH, "1")
    assert set(live.blobs[PATH]) == {
        made.id, *(layer["digest"] for layer in (live.manifest(PATH, "live") or {})["layers"])
    }  # fmt: skip


def test_a_tag_of_another_image_is_not_moved(
    stand_in: StandIn, live: StandIn, release: Release
) -> None:
    first = built(stand_in, release())
    other = release({"saved_model.pb": saved_model(), "variables/x": b"other"}, root="other")
    second = built(stand_in, other, tag="2")
    run_to_end(push(first.image, live), other)
    with pytest.raises(Hopeless, match=rf"live is taken by another image, {first.digest}"):
        run_to_end(push(second.image, live), other)


def test_an_image_by_tag_alone_is_refused(
    stand_in: StandIn, live: StandIn, ctx: FakeContext
) -> None:
    made = built(stand_in, ctx)
    with pytest.raises(Hopeless, match="names no digest"):
        run_to_end(push(made.tag, live), ctx)
    gone = made.image[:-1] + ("0" if made.image[-1] != "0" else "1")
    with pytest.raises(Hopeless, match="is not there"):
        run_to_end(push(gone, live), ctx)


def test_an_image_for_several_platforms_arrives_whole(
    stand_in: StandIn, live: StandIn, ctx: FakeContext
) -> None:
    digests = [
        stand_in.put_image("mirror/both", name, small_layer(), [f"ON={name}"])
        for name in ("amd64", "arm64")
    ]
    kind = "application/vnd.oci.image.index.v1+json"
    manifests = [{"digest": digest, "size": 1} for digest in digests]
    index = json.dumps({"schemaVersion": 2, "mediaType": kind, "manifests": manifests}).encode()
    stand_in.send("PUT", "/v2/mirror/both/manifests/all", content=index,
                  headers={"Content-Type": kind})  # fmt: skip
    whole = (stand_in.manifest("mirror/both", "all") or {})["digest"]
    answer = run_to_end(push(f"{stand_in.address}/mirror/both@{whole}", live), ctx)
    assert isinstance(answer, Done)
    assert live.manifests[PATH].keys() == {"live", whole, *digests}


class Keeper(LocalProcess):
    """A batch runtime that names the registry of its stage."""

    use: ClassVar[str] = "test.keeper"
    registry: Registry


def test_the_stage_s_runtime_may_name_the_registry(stand_in: StandIn, ctx: FakeContext) -> None:
    runtime = Keeper.model_validate({"registry": at(stand_in)})
    assert isinstance(runtime, BatchRuntime)
    ctx.runtimes["here"] = runtime
    step = BuildServingImage(base=f"{stand_in.address}/mirror/serving:2.19.1", tag="7")
    assert isinstance(run_to_end(step, ctx), Done)
    assert stand_in.tags(PATH) == ["7"]
    ctx.stage = None
    with pytest.raises(Hopeless, match="no registry is named"):
        run_to_end(step, ctx)
