"""Where models and their versions are kept."""

from waystage_plugins.repositories.folder import Folder
from waystage_plugins.repositories.mlflow import Mlflow

REPOSITORIES = (Folder, Mlflow)

__all__ = ["REPOSITORIES", "Folder", "Mlflow"]
