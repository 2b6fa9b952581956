"""A model server with both interfaces on loopback, over small models."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from saved_models import saved_model

Place = Callable[..., Path]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Write a version of a model below `models/credit`: `place(3, slope=0.02)`."""

    def make(number: int, content: bytes | None = None, **tiny: Any) -> Path:
        root = tmp_path / "models" / "credit" / str(number)
        (root / "variables").mkdir(parents=True)
        (root / "saved_model.pb").write_bytes(saved_model() if content is None else content)
        (root / "variables" / "tiny.json").write_text(json.dumps(tiny))
        return root

    return make


@pytest.fixture
def server(tmp_path: Path, place: Place) -> Iterator[Any]:
    """Serve versions 1 (the champion) and 2 of `credit`."""
    pytest.importorskip("grpc", reason="grpcio is not installed")
    from tf_server import Server

    from waystage_plugins.tfserving.models_config import ServedModel, specific

    place(1, slope=0.01)
    place(2, slope=0.02)
    base = str(tmp_path / "models" / "credit")
    made = Server([ServedModel(name="credit", base_path=base, versions=specific(1, 2),
                               labels={"champion": 1})])  # fmt: skip
    yield made
    made.stop()
