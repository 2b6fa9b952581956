"""Places where models run."""

from waystage_plugins.runtimes.kubernetes import KUBERNETES
from waystage_plugins.runtimes.local_process import LocalProcess
from waystage_plugins.runtimes.local_serving import LocalServing

RUNTIMES = (LocalServing, LocalProcess, *KUBERNETES)

__all__ = ["RUNTIMES", "LocalProcess", "LocalServing"]
