"""Naming the monitors costs no time: numbers are loaded when something is measured."""

from __future__ import annotations

import subprocess
import sys


def test_importing_the_plugins_loads_no_numerical_library() -> None:
    code = (
        "import sys, waystage_plugins.monitors, waystage_plugins.scoring;"
        "print(sorted({'numpy', 'scipy', 'sqlalchemy'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
