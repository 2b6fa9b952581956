"""What Docker engines of several kinds say of a push, and what is taken from it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from image_builds import PATH, build
from registry_stand_in import StandIn

from waystage.errors import Hopeless, Retryable
from waystage.plugin import Done
from waystage.testing import FakeContext, run_to_end
from waystage_plugins.images.engine import Engine
from waystage_plugins.images.login import Registry
from waystage_plugins.images.publish import Target, held
from waystage_plugins.images.reference import Reference
from waystage_plugins.images.remote import remote

DIGEST = f"sha256:{'d' * 64}"
Word = dict[str, Any]


class Said:
    """An engine's API that says these words to every push."""

    def __init__(self, *words: Word) -> None:
        self._words = words

    def push(self, *_: Any, **__: Any) -> Iterator[Word]:
        return iter(self._words)


def pushed(*words: Word) -> str:
    return Engine(Said(*words), lambda: False).push("registry.example/models/m:1", None)


@pytest.mark.parametrize(
    "last",
    [
        [{"aux": {"Tag": "1", "Digest": DIGEST, "Size": 1071}}],
        [{"status": f"1: digest: {DIGEST} size: 1071"}],  # images in containerd, as since 29
        [{"status": f"1: digest: {DIGEST} size: 1071"},
         {"progressDetail": {}, "aux": {"Tag": "1", "Digest": DIGEST, "Size": 1071}}],
    ],
)  # fmt: skip
def test_the_digest_of_a_push_is_known_however_an_engine_tells_it(last: list[Word]) -> None:
    begins = {"status": "The push refers to repository [registry.example/models/m]"}
    assert pushed(begins, {"status": "Pushed", "id": "d" * 12}, *last) == DIGEST


def test_a_push_that_names_no_digest_or_fails_behind_it_has_none() -> None:
    with pytest.raises(Retryable, match="without saying a digest"):
        pushed({"status": "Pushed", "id": "d" * 12})
    with pytest.raises(Hopeless, match="denied: requested access"):
        pushed({"status": f"1: digest: {DIGEST} size: 1"}, {"error": "denied: requested access"})


def test_an_image_is_known_by_its_manifest_too(stand_in: StandIn, ctx: FakeContext) -> None:
    """Engines with images in containerd call an image so: a push that is done again is none."""
    done = run_to_end(build(stand_in), ctx)
    assert isinstance(done, Done)
    told = done.output.model_dump()
    host, tag = stand_in.address, str(told["tag"]).rpartition(":")[2]
    login = Registry(host=host, plain_http=True)
    target = Target(Reference(host, PATH, tag), login)
    with remote(ctx, host, login, PATH) as there:
        assert held(there, target, told["id"]) == told["digest"]
        assert held(there, target, told["digest"]) == told["digest"]
        with pytest.raises(Hopeless, match="taken by another image"):
            held(there, target, DIGEST)
