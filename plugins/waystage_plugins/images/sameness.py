"""Whether two references name one image, although their digests differ.

A node knows an image by its configuration, and may tell any manifest of it that it ever saw: of
another repository, of another packing of the same layers, or the one of its platform where a list
of several was asked for.
"""

from __future__ import annotations

from waystage.errors import Hopeless, WaystageError
from waystage.plugin import Services
from waystage_plugins.images.login import Registry
from waystage_plugins.images.reference import Reference, parse_reference
from waystage_plugins.images.remote import DOCKER_LIST, OCI_INDEX, Manifest, remote

MOST = 1000
_known: dict[tuple[str, str], bool] = {}  # what a digest stands for never changes


def same_image(ctx: Services, registry: Registry, wanted: str, told: str) -> bool:
    """Ask the registry whether both are one image; False where it cannot be asked.

    No other registry than the one of the settings is asked, whatever the node tells.
    """
    try:
        one, other = parse_reference(wanted), parse_reference(told)
    except Hopeless:
        return False
    if not one.host == other.host == registry.host or not (one.digest and other.digest):
        return False
    key = (str(one), str(other))
    if key not in _known:
        try:
            found = _is_same(ctx, registry, one, other)
        except WaystageError:
            return False  # asked again at the next look
        if len(_known) >= MOST:
            _known.clear()
        _known[key] = found
    return _known[key]


def _is_same(ctx: Services, registry: Registry, one: Reference, other: Reference) -> bool:
    first = _manifest(ctx, registry, one)
    if first is None:
        return False
    if first.type in (DOCKER_LIST, OCI_INDEX):
        return other.digest in [digest for digest, _ in first.platforms]
    second = _manifest(ctx, registry, other)
    return second is not None and second.config == first.config != ""


def _manifest(ctx: Services, registry: Registry, image: Reference) -> Manifest | None:
    with remote(ctx, registry.host, registry, image.path) as shelf:
        return shelf.manifest(image.digest)
