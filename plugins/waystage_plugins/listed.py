"""All built-in plugins."""

from waystage_plugins.canary import CANARY
from waystage_plugins.delivery import DELIVERY
from waystage_plugins.describers import DESCRIBERS
from waystage_plugins.images import IMAGES
from waystage_plugins.monitors import COMPARISONS, MONITORS
from waystage_plugins.notifiers import NOTIFIERS
from waystage_plugins.repositories import REPOSITORIES
from waystage_plugins.runtimes import RUNTIMES
from waystage_plugins.scoring import SCORING_LOGS
from waystage_plugins.secrets import SECRETS
from waystage_plugins.signing import SIGNERS
from waystage_plugins.steps import STEPS
from waystage_plugins.storage import STORAGES

PLUGINS = (
    *STEPS,
    *DELIVERY,
    *IMAGES,
    *REPOSITORIES,
    *NOTIFIERS,
    *SECRETS,
    *SIGNERS,
    *RUNTIMES,
    *SCORING_LOGS,
    *STORAGES,
    *MONITORS,
    *COMPARISONS,
    *CANARY,
    *DESCRIBERS,
)

__all__ = ["PLUGINS"]
