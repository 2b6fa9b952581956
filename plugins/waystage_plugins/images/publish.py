"""Bringing images into a registry by its HTTP API, and tags that never move."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from waystage.errors import Hopeless
from waystage.plugin import Context
from waystage_plugins.images.compose import Image
from waystage_plugins.images.layer import Layer, workshop
from waystage_plugins.images.login import Login, Registry
from waystage_plugins.images.reference import Reference
from waystage_plugins.images.remote import DOCKER_LIST, OCI_INDEX, Manifest, Remote, remote
from waystage_plugins.repositories.layout import locked


class Target(NamedTuple):
    """Where an image shall be, by which tag, and as whom we bring it there."""

    reference: Reference
    login: Registry

    def pinned(self, digest: str) -> str:
        """Give the name by which the image is deployed."""
        return f"{self.reference.name}@{digest}"


def publish(
    ctx: Context, target: Target, image: Image, layer: Layer, base: Reference, login: Login
) -> str:
    """Make the tag stand for this image, and give the digest that the registry has it by.

    The base's layers come from its own registry. Raises `Hopeless` when the tag stands for
    another image.
    """
    with _both(ctx, target, base, login) as (here, there):
        if kept := held(there, target, image.id):
            return kept
        for part in as_manifest(image).layers[:-1]:
            bring(ctx, here, there, part, same=base.host == target.reference.host)
        if not there.has(layer.digest):
            there.upload(layer.path, layer.digest, "the model's layer")
        _bring_bytes(ctx, there, image.config, image.id)
        return _tagged(there, target, as_manifest(image))


def copy(ctx: Context, target: Target, source: Reference, login: Login) -> tuple[str, str]:
    """Bring an image from one repository into another as it is; give its digest and its id."""
    with _both(ctx, target, source, login) as (here, there):
        found = here.manifest(source.version)
        if found is None:
            raise Hopeless(f"the image {source} is not there")
        if not held(there, target, found.config, found.digest):
            _copy_parts(ctx, here, there, found, same=source.host == target.reference.host)
            return _tagged(there, target, found), found.config
        return found.digest, found.config


def held(there: Remote, target: Target, image: str, digest: str = "") -> str:
    """Give the digest by which the tag stands for this image, or `` if the tag is free.

    An image is the same when its configuration is, which names all layers by what is in them.
    Engines that keep images in containerd know it by its manifest. Raises `Hopeless` when the
    tag stands for another one.
    """
    found = there.manifest(target.reference.tag)
    if found is None:
        return ""
    if found.digest == digest if digest else image in (found.config, found.digest):
        return found.digest
    raise Hopeless(
        f"the tag {target.reference} is taken by another image, {found.digest}; "
        f"a tag is never moved: choose another one"
    )


def verified(there: Remote, target: Target, digest: str) -> str:
    """Ask the registry again what the tag stands for; raises `Hopeless` if it is another."""
    found = there.manifest(target.reference.tag)
    if found is None or found.digest != digest:
        what = found.digest if found else "nothing"
        raise Hopeless(f"{target.reference} was pushed as {digest} but stands for {what}")
    return digest


def as_manifest(image: Image) -> Manifest:
    """Give the image as a registry would show it."""
    return Manifest(image.manifest, image.type, image.digest)


def bring(ctx: Context, here: Remote, there: Remote, digest: str, *, same: bool) -> None:
    """Have a blob in another repository: it is there, or taken over inside, or carried."""
    if there.has(digest) or (same and there.mount(digest, here.path)):
        return
    place = workshop(ctx) / digest.replace(":", "-")
    try:
        here.fetch(digest, place)
        there.upload(place, digest, f"layer {digest[:19]}")
    finally:
        place.unlink(missing_ok=True)


@contextmanager
def turn(ctx: Context, target: Target) -> Iterator[None]:
    """Keep others of this machine from a repository's tags between looking and setting."""
    home = ctx.state / "images"
    home.mkdir(exist_ok=True)
    name = hashlib.sha256(target.reference.name.encode()).hexdigest()[:32]
    with locked(home / f"{name}.lock"):
        yield


@contextmanager
def _both(
    ctx: Context, target: Target, source: Reference, login: Login
) -> Iterator[tuple[Remote, Remote]]:
    goal = target.reference
    also = source.path if source.host == goal.host else ""
    with ExitStack() as stack:
        stack.enter_context(turn(ctx, target))
        here = stack.enter_context(remote(ctx, source.host, login, source.path))
        there = remote(ctx, goal.host, target.login, goal.path, push=True, also=also)
        yield here, stack.enter_context(there)


def _tagged(there: Remote, target: Target, manifest: Manifest) -> str:
    """Look at the tag once more, which may have been set while layers went over the wire."""
    if not held(there, target, manifest.config, manifest.digest):
        there.put_manifest(target.reference.tag, manifest.raw, manifest.type)
    return verified(there, target, manifest.digest)


def _copy_parts(
    ctx: Context, here: Remote, there: Remote, manifest: Manifest, *, same: bool
) -> None:
    if manifest.type in (DOCKER_LIST, OCI_INDEX):
        for digest, _ in manifest.platforms:
            part = here.manifest(digest)
            if part is None:
                raise Hopeless(f"{here.path}: {digest} of the image is not there")
            _copy_parts(ctx, here, there, part, same=same)
            there.put_manifest(part.digest, part.raw, part.type)
        return
    for digest in (*manifest.layers, manifest.config):
        bring(ctx, here, there, digest, same=same)


def _bring_bytes(ctx: Context, there: Remote, raw: bytes, digest: str) -> None:
    if not there.has(digest):
        place = workshop(ctx) / "config.json"
        place.write_bytes(raw)
        there.upload(place, digest, "the image's configuration")
