"""Where secrets are looked up."""

from waystage_plugins.secrets.env import EnvironmentSecrets
from waystage_plugins.secrets.file import FileSecrets

SECRETS = (EnvironmentSecrets, FileSecrets)

__all__ = ["SECRETS", "EnvironmentSecrets", "FileSecrets"]
