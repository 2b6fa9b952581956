"""A project with keys, and a model beside it that may be signed."""

from __future__ import annotations

from pathlib import Path

import pytest
from model_signer import Authority

from waystage.testing import FakeContext


@pytest.fixture
def ctx(tmp_path: Path) -> FakeContext:
    return FakeContext(tmp_path)


@pytest.fixture
def keys(ctx: FakeContext) -> Path:
    place = ctx.project / "keys"
    place.mkdir()
    return place


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A directory as a repository keeps it."""
    place = tmp_path / "model"
    (place / "variables").mkdir(parents=True)
    (place / "saved_model.pb").write_bytes(b"graph")
    (place / "variables" / "variables.index").write_bytes(b"weights")
    (place / "variables.txt").write_bytes(b"beside the directory in the order of paths")
    (place / "manifest.yaml").write_text("name: credit\n")
    return place


@pytest.fixture
def authority(keys: Path, ctx: FakeContext) -> Authority:
    return Authority(keys, ctx.now)
