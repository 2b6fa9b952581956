"""Runtimes on a Docker engine."""

from waystage_plugins.runtimes.docker.job import DockerJob
from waystage_plugins.runtimes.docker.tfserving import DockerServing

DOCKER = (DockerServing, DockerJob)

__all__ = ["DOCKER", "DockerJob", "DockerServing"]
