"""An engine whose containers have a network, a serving base in it, and versions of a model."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from at_docker import OWNER
from docker_engine import Bridge, DockerEngine, NoEngine
from saved_models import saved_model
from serving_image import mounts, serving_base

from waystage.plugin import DeploySpec, Snapshot
from waystage.testing import FakeContext
from waystage_plugins.repositories.tree import tree_digest, tree_files
from waystage_plugins.runtimes.docker import DockerServing

INPUTS = [{"name": "income"}, {"name": "owner", "type": "boolean"}]
ROWS = [{"income": 0.0, "owner": False}, {"income": 100, "owner": False}]
Release = Callable[..., DeploySpec]


@pytest.fixture(scope="session")
def networked_engine() -> Iterator[DockerEngine]:
    """Give an engine whose containers' ports are published on loopback."""
    pytest.importorskip("grpc", reason="grpcio is not installed")
    bridge = None
    try:
        bridge = Bridge()
        engine = DockerEngine(bridge.name)
        serving_base(engine)
        serving_base(engine, "crashing:1", TEST_CRASH="ImportError-no-module-named-scoring")
    except NoEngine as error:
        if bridge is not None:
            bridge.remove()
        pytest.skip(str(error))
    yield engine
    engine.remove()
    bridge.remove()


class World:
    """Everything that an engine holds: what a test counts before and after."""

    def __init__(self, engine: DockerEngine) -> None:
        self._api = engine.client.api

    def __call__(self) -> tuple[list[str], list[str], list[str]]:
        """Give the containers, images and volumes."""
        return (
            sorted(each["Names"][0] for each in self._api.containers(all=True)),
            sorted(each["Id"] for each in self._api.images()),
            sorted(each["Name"] for each in self._api.volumes()["Volumes"] or ()),
        )


@pytest.fixture(autouse=True)
def world(networked_engine: DockerEngine) -> Iterator[World]:
    """Count what is there; whatever a failed test leaves is taken away."""
    made = World(networked_engine)
    yield made
    api = networked_engine.client.api
    for each in api.containers(all=True):
        api.remove_container(each["Id"], v=True, force=True)
    for each in api.volumes()["Volumes"] or ():
        api.remove_volume(each["Name"])


@pytest.fixture
def runtime(networked_engine: DockerEngine) -> Callable[..., DockerServing]:
    """Make the runtime with these settings."""

    def make(**own: Any) -> DockerServing:
        told = {"engine": networked_engine.host, "image": "serving:2.19.1", "mounts": mounts(),
                "limits": {"memory": "1g"}, "owner": OWNER, **own}  # fmt: skip
        return DockerServing.model_validate(told)

    return make


@pytest.fixture
def ctx(tmp_path: Path) -> FakeContext:
    return FakeContext(tmp_path)


@pytest.fixture
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """Make a snapshot with its files: `release("2", slope=0.02)`; see `tf_core` for the rest."""

    def make(
        version: str = "1", role: str = "champion", image: str = "",
        content: bytes | None = None, files: dict[str, bytes] | None = None, **tiny: Any,
    ) -> DeploySpec:  # fmt: skip
        source = tmp_path_factory.mktemp("model")
        own = {"saved_model.pb": saved_model() if content is None else content,
               "variables/tiny.json": json.dumps(tiny).encode()}  # fmt: skip
        for name, raw in (own if files is None else files).items():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes(raw)
        found = tree_files(source)
        snapshot = Snapshot.model_validate({
            "name": "credit", "version": version, "digest": tree_digest(found),
            "format": "savedmodel", "inputs": INPUTS, "outputs": [{"name": "score"}],
            "example": ROWS, "files": found,
        })  # fmt: skip
        return DeploySpec.model_validate(
            {"service": "credit-risk", "stage": "DEV", "snapshot": snapshot, "role": role,
             "source": str(source), "image": image}
        )  # fmt: skip

    return make
