"""House rules over the catalog, on top of the contract suites: one plugin, one file, one name."""

from __future__ import annotations

import inspect
import re
from collections import Counter
from importlib.metadata import EntryPoint

import pytest

from waystage import registry
from waystage.errors import NotFound
from waystage.plugin import Plugin
from waystage.registry import PluginsUnfit, find, load_catalog

CATALOG = load_catalog()


def test_the_catalog_has_every_kind_that_the_first_version_ships() -> None:
    kinds = {plugin.kind for plugin in CATALOG.values()}
    assert kinds >= {
        "step", "online_runtime", "batch_runtime", "repository", "monitor", "notifier",
        "secret_store", "scoring_log",
    }  # fmt: skip


def test_one_file_holds_one_plugin() -> None:
    counted = Counter(plugin.__module__ for plugin in CATALOG.values())
    families = {"waystage_plugins.monitors.auc"}  # AUC and Gini are one number in two scales
    assert {name for name, count in counted.items() if count > 1} <= families


@pytest.mark.parametrize("use", CATALOG)
def test_a_plugin_is_frozen_closed_and_takes_nothing_from_outside(use: str) -> None:
    plugin = CATALOG[use]
    assert plugin.model_config["frozen"] is True
    assert plugin.model_config["extra"] == "forbid"
    code = inspect.getsource(inspect.getmodule(plugin) or plugin)
    assert not re.search(r"datetime\.now\(|\btime\.time\(|time\.sleep\(|utcnow\(", code), use


def test_an_unknown_plugin_is_told_its_nearest_name() -> None:
    with pytest.raises(NotFound, match=r"did you mean 'performance.ks'"):
        find(CATALOG, "performance.kz")


def test_a_distribution_that_is_not_installed_is_named() -> None:
    with pytest.raises(PluginsUnfit, match=r"'nobodys' is not installed \(installed: .*builtin"):
        load_catalog(("nobodys",))


class Foreign(Plugin):
    """Look like the notify step."""

    use = "notify"
    kind = "step"


NO_PLUGINS = ("text",)
TWICE = (Foreign,)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("waystage.nowhere:PLUGINS", r"theirs \(waystage.nowhere:PLUGINS\) cannot be loaded"),
        ("waystage.errors:__all__", r"theirs .* cannot be loaded"),
        (f"{__name__}:NO_PLUGINS", r"names 'text', no plugin"),
        (f"{__name__}:TWICE", r"plugin 'notify' is there twice: .*Notify and .*Foreign"),
    ],
)
def test_a_broken_distribution_ends_in_one_clear_line(
    value: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = registry.entry_points

    def with_theirs(group: str) -> list[EntryPoint]:
        return [*known(group=group), EntryPoint("theirs", value, group)]

    monkeypatch.setattr(registry, "entry_points", with_theirs)
    registry._load.cache_clear()
    with pytest.raises(PluginsUnfit, match=says) as caught:
        load_catalog(("builtin", "theirs"))
    registry._load.cache_clear()
    assert "\n" not in str(caught.value)
