"""Plugin discovery: one entry point per distribution, each naming a tuple of plugin classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from waystage.errors import NotFound, WaystageError
from waystage.plugin import Plugin

GROUP = "waystage.plugins"

Catalog = Mapping[str, type[Plugin]]


class PluginsUnfit(WaystageError):
    """The installed plugins cannot be used together."""

    code = "E-PLUGINS"


def load_catalog(allowed: Sequence[str] = ("builtin",)) -> Catalog:
    """Give every plugin of the allowed entry points by its `use`.

    Raises `PluginsUnfit` for an entry point that is missing or broken, for something in it
    that is no plugin, and for two plugins of one name.
    """
    return _load(tuple(allowed))


def find(catalog: Catalog, use: str) -> type[Plugin]:
    """Give the plugin of that name; raises `NotFound` with the nearest name."""
    found = catalog.get(use)
    if found is not None:
        return found
    near = get_close_matches(use, catalog, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "; `waystage plugins` lists them"
    raise NotFound(f"there is no plugin {use!r}{hint}")


@cache
def _load(allowed: tuple[str, ...]) -> Catalog:
    known = {entry.name: entry for entry in entry_points(group=GROUP)}
    catalog: dict[str, type[Plugin]] = {}
    for name in allowed:
        if name not in known:
            have = ", ".join(sorted(known)) or "none"
            raise PluginsUnfit(f"plugins: {name!r} is not installed (installed: {have})")
        for plugin in _plugins(known[name]):
            other = catalog.get(plugin.use)
            if other is not None and other is not plugin:
                both = (
                    f"{other.__module__}.{other.__name__} and {plugin.__module__}.{plugin.__name__}"
                )
                raise PluginsUnfit(f"plugin {plugin.use!r} is there twice: {both}")
            catalog[plugin.use] = plugin
    return catalog


def _plugins(entry: EntryPoint) -> list[type[Plugin]]:
    try:
        found = entry.load()
    except Exception as error:
        text = f"plugins: {entry.name} ({entry.value}) cannot be loaded: {error}"
        raise PluginsUnfit(text) from error
    for each in found:
        if not (isinstance(each, type) and issubclass(each, Plugin)):
            raise PluginsUnfit(f"plugins: {entry.name} ({entry.value}) names {each!r}, no plugin")
    return list(found)
