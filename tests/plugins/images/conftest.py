"""A snapshot with a SavedModel, registries of both kinds, and a Docker engine if there is one."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from docker_engine import DockerEngine, NoEngine
from image_registry import PASSWORD, USER, ImageRegistry, NoRegistry, Shelf, small_layer
from registry_stand_in import StandIn
from saved_models import saved_model
from token_server import TokenServer

from waystage.testing import FakeContext
from waystage_plugins.repositories.folder import Folder

BASE, MODEL_ENV = "mirror/serving", ["PATH=/bin", "MODEL_BASE_PATH=/models", "MODEL_NAME=model"]
MANIFEST = {
    "name": "credit",
    "services": ["credit-risk"],
    "format": "savedmodel",
    "author": "ada",
    "inputs": [{"name": "income"}, {"name": "owner", "type": "boolean"}],
    "outputs": [{"name": "score"}],
    "example": [{"income": 20.0, "owner": True}],
}


@pytest.fixture
def release(tmp_path: Path) -> Callable[..., FakeContext]:
    """Register a version with these files and give the context of a run on it."""

    def make(files: dict[str, bytes] | None = None, root: str = "first", **own: Any) -> FakeContext:
        repository = Folder(path="models")
        secrets = {"env/REGISTRY_TOKEN": PASSWORD}
        ctx = FakeContext(tmp_path / root, repository=repository, secrets=secrets)
        number = len(repository.snapshots(ctx)) + 1
        source = tmp_path / root / f"source-{number}"
        default = {"saved_model.pb": saved_model(), "variables/variables.index": b"weights"}
        for name, content in (files or default).items():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes(content)
        ctx.snapshot = repository.register(ctx, source, {**MANIFEST, **own}, key=f"k{number}")
        ctx.run, ctx.key = f"credit-risk-{number}", f"credit-risk-{number}/1/image"
        return ctx

    return make


@pytest.fixture
def ctx(release: Callable[..., FakeContext]) -> FakeContext:
    return release()


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    shelf = StandIn()
    shelf.put_image(BASE, "2.19.1", small_layer(), MODEL_ENV)
    yield shelf
    shelf.stop()


@pytest.fixture
def real_registry(tmp_path: Path) -> Iterator[ImageRegistry]:
    try:
        shelf = ImageRegistry(tmp_path / "registry")
    except NoRegistry as error:
        pytest.skip(str(error))
    yield shelf
    shelf.stop()


@pytest.fixture(params=["stand-in", pytest.param("docker-registry", marks=pytest.mark.heavy)])
def shelf(request: pytest.FixtureRequest) -> Shelf:
    """Give a registry with a base image, once of each kind."""
    if request.param == "stand-in":
        found: Shelf = request.getfixturevalue("stand_in")
        return found
    real: ImageRegistry = request.getfixturevalue("real_registry")
    real.put_image(BASE, "2.19.1", small_layer(), MODEL_ENV)
    return real


@pytest.fixture
def tokens(tmp_path: Path) -> Iterator[TokenServer]:
    """Give a token server that knows the one user of the registries."""
    if shutil.which("openssl") is None:
        pytest.skip("NOT TESTED: no openssl")
    server = TokenServer(tmp_path, lambda *told: told == (USER, PASSWORD))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[DockerEngine]:
    """Give the session's Docker engine; without one, the tests say why they did not run."""
    try:
        engine = DockerEngine()
    except NoEngine as error:
        pytest.skip(str(error))
    yield engine
    engine.remove()
