"""How the registries of OpenShift, Harbor and Artifactory ask, and where they differ."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from image_builds import PATH, TOKEN, build, failing
from image_registry import PASSWORD, USER, basic
from registry_stand_in import StandIn

from waystage.errors import Hopeless
from waystage.plugin import Done
from waystage.testing import FakeContext, run_to_end
from waystage_plugins.images.login import Login
from waystage_plugins.images.wire import Wire, _challenges

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
BASE = "mirror/serving"


class OpenShift:
    """The rules of OpenShift's registry: its token server gives back the password of the user.

    Who has no token is asked for one by `Bearer`; a token without the right is answered by a
    `Basic` challenge, as openshift/image-registry does it (pkg/dockerregistry/server/auth.go).
    """

    def __init__(self, shelf: StandIn, challenge: str = "") -> None:
        self.shelf, self.asked = shelf, list[str]()
        self.may: Callable[[str, str], bool] = lambda method, path: True
        self.challenge = challenge or f'Bearer realm="{shelf.url}/openshift/token?account=x"'
        for method in METHODS:
            shelf.faults[f"{method} "] = self.guard

    def guard(self, handler: Any) -> bool:
        """Answer who may not do this; let all others through."""
        given = handler.headers.get("Authorization", "")
        if handler.path.startswith("/openshift/token"):
            self.asked.append(handler.path)
            if given == basic(USER, PASSWORD):
                handler.say(200, json.dumps({"access_token": PASSWORD}).encode())
            else:
                handler.say(401)
            return True
        if not given:
            handler.body()
            handler.say(401, headers={"WWW-Authenticate": self.challenge})
            return True
        known = given == f"Bearer {PASSWORD}"
        if known and self.may(handler.command, handler.path):
            return False
        handler.body()
        told = {"WWW-Authenticate": 'Basic realm=openshift,error="access denied"'}
        handler.say(401, headers=told)
        return True


@pytest.fixture
def openshift(stand_in: StandIn) -> Iterator[OpenShift]:
    yield OpenShift(stand_in)
    stand_in.faults.clear()


def test_openshift_s_registry_is_asked_as_it_wants(
    openshift: OpenShift, stand_in: StandIn, ctx: FakeContext
) -> None:
    assert isinstance(run_to_end(build(stand_in, user=USER, token=TOKEN), ctx), Done)
    for asked in openshift.asked:
        assert asked.startswith("/openshift/token?account=x&scope=repository")
        assert "service=" not in asked, "it named no service, so none is made up"


def test_a_token_that_may_read_and_not_push_is_told_as_that(
    openshift: OpenShift, stand_in: StandIn, ctx: FakeContext
) -> None:
    openshift.may = lambda method, path: method in ("GET", "HEAD")
    told = failing(build(stand_in, user=USER, token=TOKEN), ctx, Hopeless)
    assert told.endswith("user 'builder' may not do this")
    stand_in.faults.clear()
    assert stand_in.tags(PATH) == []


def test_layers_are_carried_where_who_pushes_may_not_mount(
    openshift: OpenShift, stand_in: StandIn, ctx: FakeContext
) -> None:
    openshift.may = lambda method, path: "mount=" not in path
    assert isinstance(run_to_end(build(stand_in, user=USER, token=TOKEN), ctx), Done)
    stand_in.faults.clear()
    manifest = stand_in.manifest(BASE, "2.19.1")
    assert manifest
    assert manifest["layers"][0]["digest"] in stand_in.blobs[PATH]
    assert stand_in.uploads == {}


def test_a_manifest_comes_with_its_length(stand_in: StandIn, ctx: FakeContext) -> None:
    seen: list[tuple[Any, Any]] = []

    def look(handler: Any) -> bool:
        headers = handler.headers
        seen.append((headers.get("Transfer-Encoding"), headers.get("Content-Length")))
        return False

    stand_in.faults["PUT /manifests/"] = look
    stand_in.faults["PATCH /uploads/"] = look
    run_to_end(build(stand_in), ctx)
    assert seen
    assert all(chunked is None and int(length) > 0 for chunked, length in seen), seen


def test_an_upload_s_address_may_name_another_scheme_and_the_usual_port(
    ctx: FakeContext,
) -> None:
    wire = Wire(ctx, ctx.http, "registry.example.org", Login(), ())
    for told in ("https://registry.example.org:443", "http://Registry.example.org", ""):
        assert wire._url(f"{told}/v2/a/b?_state=x") == (
            "https://registry.example.org/v2/a/b?_state=x"
        )
    with pytest.raises(Hopeless, match="another host"):
        wire._url("https://registry.example.org:444/v2/a")


@pytest.mark.parametrize(
    ("headers", "read"),
    [
        (['Bearer realm="https://a/t",service="a,b"'], {"bearer": {"realm": "https://a/t",
                                                                    "service": "a,b"}}),
        (['Bearer realm="https://a/t",service="a"', 'Basic realm="Artifactory Realm"'],
         {"bearer": {"realm": "https://a/t", "service": "a"},
          "basic": {"realm": "Artifactory Realm"}}),
        (['Basic realm="z", Bearer realm="https://a/t", scope="repository:x:pull,push"'],
         {"basic": {"realm": "z"},
          "bearer": {"realm": "https://a/t", "scope": "repository:x:pull,push"}}),
        (['Basic realm=openshift,error="access denied"'],
         {"basic": {"realm": "openshift", "error": "access denied"}}),
        (["Negotiate"], {"negotiate": {}}),
        ([], {}),
    ],
)  # fmt: skip
def test_several_challenges_are_told_apart(
    headers: list[str], read: dict[str, dict[str, str]]
) -> None:
    assert _challenges(headers) == read


def test_a_registry_that_asks_in_two_ways_gets_a_token(stand_in: StandIn, ctx: FakeContext) -> None:
    realm = f"{stand_in.url}/openshift/token"
    OpenShift(stand_in, f'Bearer realm="{realm}",service="art", Basic realm="Artifactory Realm"')
    assert isinstance(run_to_end(build(stand_in, user=USER, token=TOKEN), ctx), Done)
    assert f"Basic {base64.b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}" in stand_in.told
