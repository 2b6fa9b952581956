"""Where secrets are looked up."""

from waystage_plugins.secrets.env import EnvironmentSecrets
from waystage_plugins.secrets.file import FileSecrets
from waystage_plugins.secrets.vault import VaultSecrets

SECRETS = (EnvironmentSecrets, FileSecrets, VaultSecrets)

__all__ = ["SECRETS", "EnvironmentSecrets", "FileSecrets", "VaultSecrets"]
