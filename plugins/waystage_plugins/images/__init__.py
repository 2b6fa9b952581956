"""What is built from a snapshot so that it can be shipped."""

from typing import TYPE_CHECKING

from waystage_plugins.lazy import lazily

if TYPE_CHECKING:
    from waystage_plugins.images.listed import (
        IMAGES,
        BuildBundle,
        BuildServingImage,
        Login,
        PushImage,
        Registry,
    )

__all__ = ["IMAGES", "BuildBundle", "BuildServingImage", "Login", "PushImage", "Registry"]
__getattr__ = lazily(__name__, __all__)
