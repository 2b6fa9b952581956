"""What is built from a snapshot so that it can be shipped."""

from waystage_plugins.images.bundle import BuildBundle

IMAGES = (BuildBundle,)

__all__ = ["IMAGES", "BuildBundle"]
