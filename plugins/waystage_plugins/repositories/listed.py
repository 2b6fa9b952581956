"""All repositories."""

from waystage_plugins.repositories.folder import Folder
from waystage_plugins.repositories.mlflow import Mlflow
from waystage_plugins.repositories.sas import Sas

REPOSITORIES = (Folder, Mlflow, Sas)

__all__ = ["REPOSITORIES", "Folder", "Mlflow", "Sas"]
