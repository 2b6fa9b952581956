"""Where models and their versions are kept."""

from typing import TYPE_CHECKING

from waystage_plugins.lazy import lazily

if TYPE_CHECKING:
    from waystage_plugins.repositories.listed import REPOSITORIES, Folder, Mlflow, Sas

__all__ = ["REPOSITORIES", "Folder", "Mlflow", "Sas"]
__getattr__ = lazily(__name__, __all__)
