"""Packages that list plugins and import them no sooner than somebody asks.

The processes of servers and jobs need single modules, and start many times a day.
"""

from collections.abc import Callable, Collection
from importlib import import_module


def lazily(package: str, names: Collection[str]) -> Callable[[str], object]:
    """Give a package its `__getattr__`: the names are those of its module `listed`."""

    def find(name: str) -> object:
        if name not in names:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        found: object = getattr(import_module(f"{package}.listed"), name)
        return found

    return find
