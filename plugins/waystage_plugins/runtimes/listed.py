"""All runtimes."""

from waystage_plugins.runtimes.docker import DOCKER
from waystage_plugins.runtimes.kubernetes import KUBERNETES
from waystage_plugins.runtimes.local_kafka_scorer import KafkaScorer
from waystage_plugins.runtimes.local_process import LocalProcess
from waystage_plugins.runtimes.local_serving import LocalServing
from waystage_plugins.runtimes.spark import SPARK

RUNTIMES = (LocalServing, KafkaScorer, LocalProcess, *DOCKER, *KUBERNETES, *SPARK)

__all__ = ["RUNTIMES", "KafkaScorer", "LocalProcess", "LocalServing"]
