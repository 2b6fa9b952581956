"""The built-in plugins, found by the engine exactly like anybody's."""

from typing import TYPE_CHECKING

from waystage_plugins.lazy import lazily

if TYPE_CHECKING:
    from waystage_plugins.listed import PLUGINS

__all__ = ["PLUGINS"]
__getattr__ = lazily(__name__, __all__)
