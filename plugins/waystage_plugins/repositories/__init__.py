"""Where models and their versions are kept."""

from waystage_plugins.repositories.folder import Folder

REPOSITORIES = (Folder,)

__all__ = ["REPOSITORIES", "Folder"]
