"""Images built without Docker: the same bytes every time, in a registry, by digest."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
from image_registry import DOCKER, OCI, Shelf, small_layer
from saved_models import saved_model

from waystage.errors import Hopeless
from waystage.plugin import Done
from waystage.testing import FakeContext, check_step, run_to_end
from waystage_plugins.images import BuildServingImage

Release = Callable[..., FakeContext]
PATH = "models/credit-risk"


def build(shelf: Shelf, **own: Any) -> BuildServingImage:
    """Give the step that builds on the shelf's base and pushes to the shelf."""
    settings: dict[str, Any] = {
        "base": f"{shelf.address}/mirror/serving:2.19.1",
        "tag": "1.0.3",
        "registry": {"host": shelf.address, "project": "models", "plain_http": True},
    }
    return BuildServingImage.model_validate(settings | own)


def built(step: BuildServingImage, ctx: FakeContext) -> BuildServingImage.Output:
    answer = run_to_end(step, ctx)
    assert isinstance(answer, Done), answer
    assert isinstance(answer.output, BuildServingImage.Output)
    return answer.output


def test_the_image_is_the_base_with_the_model_as_one_more_layer(
    shelf: Shelf, ctx: FakeContext
) -> None:
    answer = check_step(build(shelf), ctx, world=lambda: shelf.manifest(PATH, "1.0.3"))
    assert isinstance(answer, Done)
    told = answer.output
    assert isinstance(told, BuildServingImage.Output)
    base, made = shelf.manifest("mirror/serving", "2.19.1"), shelf.manifest(PATH, "1.0.3")
    assert base
    assert made
    assert made["layers"][:-1] == base["layers"]
    assert (told.digest, told.base) == (made["digest"], base["digest"])
    assert told.image == f"{shelf.address}/{PATH}@{made['digest']}"
    assert told.tag == f"{shelf.address}/{PATH}:1.0.3"
    assert told.id == made["config"]["digest"]


def test_the_layer_holds_the_model_where_tensorflow_serving_looks(
    shelf: Shelf, ctx: FakeContext
) -> None:
    built(build(shelf), ctx)
    entries = shelf.layer(PATH, "1.0.3")
    assert list(entries) == [
        "models",
        "models/credit-risk",
        "models/credit-risk/1",
        "models/credit-risk/1/saved_model.pb",
        "models/credit-risk/1/variables",
        "models/credit-risk/1/variables/variables.index",
    ]
    assert {(e.uid, e.gid, e.mtime, e.uname) for e in entries.values()} == {(0, 0, 0, "")}
    assert entries["models/credit-risk/1/saved_model.pb"].mode == 0o644


@pytest.mark.parametrize(("oci", "types"), [(True, OCI), (False, DOCKER)])
def test_the_image_is_written_in_the_dialect_of_its_base(
    shelf: Shelf, ctx: FakeContext, oci: bool, types: tuple[str, ...]
) -> None:
    shelf.put_image("mirror/other", "1", small_layer(), [], oci=oci)
    built(build(shelf, base=f"{shelf.address}/mirror/other:1"), ctx)
    made = shelf.manifest(PATH, "1.0.3")
    assert made
    kinds = {layer["mediaType"] for layer in made["layers"]}
    assert (made["mediaType"], made["config"]["mediaType"], *kinds) == types


def test_labels_and_settings_say_what_is_served(shelf: Shelf, ctx: FakeContext) -> None:
    told = built(build(shelf), ctx)
    config = shelf.config(PATH, "1.0.3")
    assert config["config"]["Labels"] == {
        "maintainer": "me",
        "waystage.snapshot": "credit/1",
        "waystage.digest": ctx.snapshot.digest,
        "waystage.service": "credit-risk",
        "org.opencontainers.image.base.name": f"{shelf.address}/mirror/serving:2.19.1",
        "org.opencontainers.image.base.digest": told.base,
    }
    assert config["config"]["Env"] == [
        "PATH=/bin", "MODEL_BASE_PATH=/models", "MODEL_NAME=credit-risk",
    ]  # fmt: skip
    assert config["config"]["Entrypoint"] == ["/bin/busybox"]
    assert config["created"] == "1970-01-01T00:00:00Z"
    assert len(config["rootfs"]["diff_ids"]) == 2


def test_a_stamped_image_also_says_which_run_and_step_built_it(
    shelf: Shelf, ctx: FakeContext
) -> None:
    built(build(shelf, stamp=True), ctx)
    labels = shelf.config(PATH, "1.0.3")["config"]["Labels"]
    assert (labels["waystage.run"], labels["waystage.key"]) == (ctx.run, ctx.key)


def test_the_same_model_and_base_give_the_same_digest(shelf: Shelf, release: Release) -> None:
    first, again = release(), release(root="elsewhere")
    again.key, again.run = "credit-risk-7/3/image", "credit-risk-7"
    one = built(build(shelf), first)
    other = built(build(shelf, tag="again"), again)
    assert other.digest == one.digest
    assert other.tag != one.tag
    for place in again.project.rglob("*"):
        assert place.name != "layer.tar.gz", "the packed layer was left behind"


def test_another_model_gives_another_digest(shelf: Shelf, release: Release) -> None:
    other = release({"saved_model.pb": saved_model(), "variables/x": b"other"}, root="other")
    assert built(build(shelf), release()).digest != built(build(shelf, tag="b"), other).digest


def test_a_tag_that_another_image_has_is_not_moved(shelf: Shelf, release: Release) -> None:
    one = built(build(shelf), release())
    other = release({"saved_model.pb": saved_model(), "variables/x": b"other"}, root="other")
    with pytest.raises(Hopeless, match=rf"1\.0\.3 is taken by another image, {one.digest}"):
        run_to_end(build(shelf), other)
    made = shelf.manifest(PATH, "1.0.3")
    assert made
    assert made["digest"] == one.digest
    assert shelf.tags(PATH) == ["1.0.3"]


def test_a_base_by_digest_is_taken_by_digest(shelf: Shelf, ctx: FakeContext) -> None:
    base = shelf.manifest("mirror/serving", "2.19.1")
    assert base
    told = built(build(shelf, base=f"{shelf.address}/mirror/serving@{base['digest']}"), ctx)
    assert told.base == base["digest"]


def test_a_base_that_is_not_there_is_named(shelf: Shelf, ctx: FakeContext) -> None:
    with pytest.raises(Hopeless, match=r"the base image mirror/serving:9 is not there"):
        run_to_end(build(shelf, base=f"{shelf.address}/mirror/serving:9"), ctx)
    assert shelf.tags(PATH) == []


def test_a_model_that_cannot_be_served_is_not_built(shelf: Shelf, release: Release) -> None:
    bare = release({"saved_model.pb": saved_model(signature="train_step")})
    with pytest.raises(Hopeless, match=r"credit/1 cannot be served: .* no serving signature"):
        run_to_end(build(shelf), bare)
    onnx = release({"model.onnx": b"x"}, format="onnx")
    with pytest.raises(Hopeless, match=r"credit/2 is onnx; TensorFlow Serving serves savedmodel"):
        run_to_end(build(shelf), onnx)
    assert shelf.tags(PATH) == []


def test_changed_bytes_are_not_built(shelf: Shelf, ctx: FakeContext) -> None:
    (ctx.project / "models/credit/1/variables/variables.index").write_bytes(b"tampered")
    with pytest.raises(Hopeless, match=r"variables/variables\.index has sha256"):
        run_to_end(build(shelf), ctx)
    assert shelf.tags(PATH) == []


def test_without_a_registry_it_is_said_where_to_name_one(ctx: FakeContext) -> None:
    step = BuildServingImage(base="tensorflow/serving:2.19.1", tag="1")
    with pytest.raises(Hopeless, match="no registry is named"):
        run_to_end(step, ctx)


@pytest.mark.parametrize("tag", ["", ";rm", "--privileged", "../up", "x" * 129, "a b", "ä", "a\n"])
def test_a_tag_that_is_none_is_refused(tag: str) -> None:
    with pytest.raises(ValueError, match="tag"):
        BuildServingImage(base="tensorflow/serving:2.19.1", tag=tag)


def test_a_model_in_an_archive_gives_the_same_layer_and_a_bad_one_none(
    shelf: Shelf, release: Release
) -> None:
    plain = {"saved_model.pb": saved_model(), "variables/variables.index": b"weights"}
    packed, bad = io.BytesIO(), io.BytesIO()
    for buffer, more in ((packed, {}), (bad, {"../../up": b"x"})):
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, content in (plain | more).items():
                archive.writestr(name, content)
    one = built(build(shelf), release(plain))
    other = built(build(shelf, tag="zip"), release({"m.zip": packed.getvalue()}, root="zip"))
    assert shelf.layer(PATH, "zip").keys() == shelf.layer(PATH, "1.0.3").keys()
    assert other.digest != one.digest  # the label says another snapshot
    wrong = release({"m.zip": bad.getvalue()}, root="bad")
    with pytest.raises(Hopeless, match="leads out of the archive; nothing was unpacked"):
        run_to_end(build(shelf, tag="bad"), wrong)
    assert "bad" not in shelf.tags(PATH)
    assert list(wrong.scratch.iterdir()) == []
