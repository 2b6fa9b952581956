"""Runtimes on a Docker engine."""

from waystage_plugins.runtimes.docker.tfserving import DockerServing

DOCKER = (DockerServing,)

__all__ = ["DOCKER", "DockerServing"]
