"""All steps that build or ship images."""

from waystage_plugins.images.bundle import BuildBundle
from waystage_plugins.images.login import Login, Registry
from waystage_plugins.images.push import PushImage
from waystage_plugins.images.tfserving import BuildServingImage

IMAGES = (BuildBundle, BuildServingImage, PushImage)

__all__ = ["IMAGES", "BuildBundle", "BuildServingImage", "Login", "PushImage", "Registry"]
