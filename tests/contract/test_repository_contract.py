"""Every built-in repository keeps the contract of repositories."""

from __future__ import annotations

from pathlib import Path

from waystage.testing import FakeContext, check_repository
from waystage_plugins.repositories.folder import Folder


def test_a_folder_keeps_the_contract(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "model.onnx").write_bytes(b"weights")
    ctx = FakeContext(tmp_path, secrets={"env/KEY": "open-sesame-4711"})
    made = check_repository(Folder(path="models"), ctx, source, {"name": "credit"})
    assert made.id == "credit/1"
