"""A real MLflow server, and what a data scientist logged there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow_logging import Registry
from mlflow_server import MlflowServer, NoMlflow

from waystage.testing import FakeContext
from waystage_plugins.repositories import Mlflow


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    try:
        server = MlflowServer(tmp_path_factory.mktemp("mlflow"))
    except NoMlflow as error:
        pytest.skip(str(error))
    yield Registry(server)
    server.stop()


@pytest.fixture
def mlflow(registry: Registry, name: str) -> Mlflow:
    """Give the server as a repository of the test's own model."""
    return Mlflow(url=registry.server.url, models=(name,))


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """Give a model name that no other test uses."""
    return str(request.node.name).removeprefix("test_").replace("_", "-").lower()[:100]


@pytest.fixture
def ctx(tmp_path: Path) -> FakeContext:
    return FakeContext(tmp_path, secrets={"env/KEY": "open-sesame-4711"})
