"""Projects whose deployments are changed by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from drifting import Drifting


@pytest.fixture
def drifting(database_url: str, tmp_path: Path) -> Iterator[Callable[..., Drifting]]:
    """Make a project with a daemon, on each kind of database."""
    made: list[Drifting] = []

    def make(**stage: Any) -> Drifting:
        made.append(Drifting(tmp_path / "project", database_url, tmp_path / "home", **stage))
        return made[-1]

    yield make
    for each in made:
        each.stop()
