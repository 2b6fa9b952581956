"""Faults at the scale that `WAYSTAGE_FAULTS` asks for; see the helper `fault_rows`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from fault_rows import told


@pytest.fixture
def progress(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Give `progress(things, of, name)`, which says on the terminal how far a long loop is."""
    terminal = request.config.pluginmanager.get_plugin("terminalreporter")
    return partial(told, tell=getattr(terminal, "write_line", None))
