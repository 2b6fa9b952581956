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
    plugins = request.config.pluginmanager
    terminal, capture = map(plugins.get_plugin, ("terminalreporter", "capturemanager"))

    def tell(line: str) -> None:
        with capture.global_and_fixture_disabled():  # else it is kept until the test has failed
            terminal.write_line(line)

    return partial(told, tell=tell if terminal is not None and capture is not None else None)
