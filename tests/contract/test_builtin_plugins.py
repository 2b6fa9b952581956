"""House rules over the one list of built-in plugins."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections import Counter

import pytest

from waystage.plugin import Plugin, Step
from waystage.testing import check_plugin
from waystage_plugins import PLUGINS


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda plugin: plugin.use)
def test_a_plugin_is_closed_and_its_example_loads(plugin: type[Plugin]) -> None:
    check_plugin(plugin)


def test_no_two_plugins_of_one_kind_have_the_same_name() -> None:
    counted = Counter((plugin.kind, plugin.use) for plugin in PLUGINS)
    assert [name for name, count in counted.items() if count > 1] == []


@pytest.mark.parametrize(
    "plugin", [p for p in PLUGINS if issubclass(p, Step)], ids=lambda plugin: plugin.use
)
def test_a_step_says_which_runtime_it_needs_and_types_its_output(plugin: type[Step]) -> None:
    assert plugin.needs_runtime in ("any", "online", "batch", None)  # type: ignore[attr-defined]  # a class attribute by convention
    assert "Output" in vars(plugin)
    assert plugin.Output.__doc__


@pytest.mark.parametrize(
    "plugin", [p for p in PLUGINS if issubclass(p, Step)], ids=lambda plugin: plugin.use
)
def test_a_step_refuses_if_and_only_if_it_says_so(plugin: type[Step]) -> None:
    assert ("Refused(" in inspect.getsource(sys.modules[plugin.__module__])) == plugin.refuses


def test_importing_the_plugins_loads_no_heavy_library() -> None:
    heavy = {"numpy", "scipy", "onnx", "onnxruntime", "docker", "kubernetes", "sklearn"}
    code = "import sys, waystage_plugins; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert heavy & set(done.stdout.split()) == set()
