"""The built-in plugins, found by the engine exactly like anybody's."""

from waystage_plugins.images import IMAGES
from waystage_plugins.notifiers import NOTIFIERS
from waystage_plugins.repositories import REPOSITORIES
from waystage_plugins.secrets import SECRETS
from waystage_plugins.steps import STEPS

PLUGINS = (*STEPS, *IMAGES, *REPOSITORIES, *NOTIFIERS, *SECRETS)

__all__ = ["PLUGINS"]
