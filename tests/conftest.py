"""What all tests share: which package they test, and how hypothesis behaves."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

import waystage

# a busy machine must not fail a property; how long things take is for the benchmarks
settings.register_profile("waystage", deadline=None)
settings.load_profile("waystage")


def pytest_report_header() -> str:
    """Say which copy of Waystage is tested."""
    return f"waystage {waystage.__version__} from {Path(waystage.__file__).parent}"


def pytest_sessionstart() -> None:
    """Refuse to test the checkout when the wheel is meant."""
    if os.environ.get("WAYSTAGE_TESTED") == "wheel" and "site-packages" not in waystage.__file__:
        pytest.exit(f"the wheel is to be tested, not {waystage.__file__}", returncode=4)
