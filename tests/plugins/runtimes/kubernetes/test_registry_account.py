"""OpenShift's own registry takes tokens of accounts: pushes log in with one that still holds."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from image_registry import ImageRegistry, NoRegistry, small_layer
from kube_answers import Answered
from pydantic import ValidationError
from real_pods import MANIFEST
from registry_stand_in import StandIn
from saved_models import saved_model
from token_server import TokenServer

from waystage.errors import Hopeless
from waystage.plugin import Done
from waystage.testing import FakeContext, run_to_end
from waystage_plugins.images import BuildServingImage
from waystage_plugins.repositories.folder import Folder
from waystage_plugins.runtimes.kubernetes import OpenShiftServing, cluster

from .conftest import World

LIFE = 1000  # seconds that a token holds
BASE = "mirror/serving"


class Guard:
    """Lets those in whose token the cluster knows, and keeps the tokens that it saw."""

    def __init__(self, world: World) -> None:
        self.world, self.seen, self.closed = world, list[str](), False

    def __call__(self, user: str, password: str) -> bool:
        assert self.world.api is not None
        if password and password not in self.seen:
            self.seen.append(password)
        try:
            who = self.world.api.store.user(password)
        except Answered:
            return False
        return not self.closed and who == "system:serviceaccount:models:waystage"


@pytest.fixture
def guard(world: World) -> Guard:
    return Guard(world)


@pytest.fixture
def registry(tmp_path: Path, guard: Guard) -> Iterator[ImageRegistry]:
    if shutil.which("openssl") is None:
        pytest.skip("NOT TESTED: no openssl")
    tokens = TokenServer(tmp_path, guard)
    try:
        found = ImageRegistry(tmp_path / "registry", tokens=tokens)
    except NoRegistry as error:
        tokens.stop()
        pytest.skip(str(error))
    yield found
    found.stop()
    tokens.stop()


@pytest.fixture
def open_registry() -> Iterator[StandIn]:
    found = StandIn()
    found.put_image(BASE, "2.19.1", small_layer(), ["MODEL_BASE_PATH=/models"])
    yield found
    found.stop()


def runtime_of(world: World, registry: ImageRegistry) -> OpenShiftServing:
    cluster._tokens.clear()
    its = {"host": registry.address, "project": "models", "plain_http": True}
    return world.openshift(
        registry=its, registry_account=True, service_account="waystage", token_seconds=LIFE
    )


def context(root: Path, world: World, runtime: OpenShiftServing) -> FakeContext:
    """Register a version, and give the context of its build in PROD."""
    ctx = FakeContext(
        root, stage="PROD", repository=Folder(path="models"), runtimes={"okd": runtime},
        secrets={"env/TOKEN": world.token()},
    )  # fmt: skip
    (root / "source" / "variables").mkdir(parents=True)
    (root / "source" / "saved_model.pb").write_bytes(saved_model())
    ctx.snapshot = ctx.repository.register(ctx, root / "source", dict(MANIFEST), key="k1")
    return ctx


def build(open_registry: StandIn, tag: str) -> BuildServingImage:
    return BuildServingImage.model_validate({
        "base": f"{open_registry.address}/{BASE}:2.19.1", "base_login": {"plain_http": True},
        "tag": tag, "stamp": tag != "1",
    })  # fmt: skip


@pytest.mark.heavy
def test_images_are_pushed_by_the_accounts_token_and_by_a_new_one_before_it_ends(
    world: World, guard: Guard, registry: ImageRegistry, open_registry: StandIn, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    runtime = runtime_of(world, registry)
    ctx = context(tmp_path / "project", world, runtime)
    answer = run_to_end(build(open_registry, "1"), ctx)
    assert isinstance(answer, Done)
    assert f"{registry.address}/models/credit-risk@sha256:" in str(answer.output)
    assert len(guard.seen) == 1
    assert guard.seen != [ctx.secrets["env/TOKEN"]], "the token of the settings goes nowhere else"
    start = cluster.wall_seconds()
    for seconds, tag, asked in ((0.7 * LIFE, "2", 1), (0.81 * LIFE, "3", 2)):
        monkeypatch.setattr(cluster, "wall_seconds", lambda at=start + seconds: at)
        assert isinstance(run_to_end(build(open_registry, tag), ctx), Done)
        assert len(guard.seen) == asked

    guard.closed = True
    with pytest.raises(Hopeless, match="user 'waystage' is not let in with this token"):
        run_to_end(build(open_registry, "4"), ctx)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"service_account": ""}, "needs registry: and service_account:"),
        ({"registry": None}, "needs registry: and service_account:"),
        ({"registry": {"host": "r.example", "user": "a", "token": {"secret": "env/T"}}},
         "goes without user and token of registry:"),
    ],
)  # fmt: skip
def test_what_lends_no_token_is_refused(more: dict[str, Any], says: str) -> None:
    told = {"api": "https://api.example:6443", "token": {"secret": "env/TOKEN"},
            "project": "models", "registry": "r.example", "registry_account": True,
            "service_account": "waystage"}  # fmt: skip
    OpenShiftServing.model_validate(told)
    with pytest.raises(ValidationError, match=says):
        OpenShiftServing.model_validate(told | more)
