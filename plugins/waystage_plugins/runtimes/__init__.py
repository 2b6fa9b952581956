"""Places where models run."""

from typing import TYPE_CHECKING

from waystage_plugins.lazy import lazily

if TYPE_CHECKING:
    from waystage_plugins.runtimes.listed import RUNTIMES, KafkaScorer, LocalProcess, LocalServing

__all__ = ["RUNTIMES", "KafkaScorer", "LocalProcess", "LocalServing"]
__getattr__ = lazily(__name__, __all__)
