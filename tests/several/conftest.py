"""Daemons as processes of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from side_by_side import Side, make_project


@pytest.fixture
def effects(tmp_path: Path) -> Path:
    """Give the file that plugins write to."""
    return tmp_path / "effects"


@pytest.fixture
def start(tmp_path: Path, effects: Path) -> Iterator[Callable[..., Side]]:
    """Start a daemon with a project of its own on a database, or in a project that is there."""
    made: list[Side] = []

    def begin(url: str, lifecycles: dict[str, str] | None = None, **more: Any) -> Side:
        root = more.pop("root", None)
        if root is None:
            root = make_project(tmp_path / f"project{len(made)}", url, lifecycles)
        made.append(Side(root, effects, **more))
        return made[-1]

    yield begin
    for side in made:
        side.close()
