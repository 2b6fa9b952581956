"""An image's configuration and manifest, made of a base image's and the model's layer.

The configuration holds what containers are started by and nothing that differs between two
builds of the same model on the same base: no time, no history, no name of a machine. Its digest
is the image's id, and it is the same whoever builds: an engine or we ourselves.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from waystage.errors import Hopeless
from waystage_plugins.images.layer import Layer
from waystage_plugins.images.remote import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    Manifest,
    Remote,
    json_object,
    sha256,
)

EPOCH = "1970-01-01T00:00:00Z"
# what a configuration may say about containers, by the OCI image specification and Docker
KEPT = (
    "User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels",
    "StopSignal", "Healthcheck", "Shell",
)  # fmt: skip
MODELS = "/models"  # where TensorFlow Serving's own image looks
CONFIG_TYPE = {
    DOCKER_MANIFEST: "application/vnd.docker.container.image.v1+json",
    OCI_MANIFEST: "application/vnd.oci.image.config.v1+json",
}
LAYER_TYPE = {
    DOCKER_MANIFEST: "application/vnd.docker.image.rootfs.diff.tar.gzip",
    OCI_MANIFEST: "application/vnd.oci.image.layer.v1.tar+gzip",
}


class Base(NamedTuple):
    """What of a base image goes into another: its platform, its settings, its layers."""

    platform: str
    settings: Mapping[str, Any]
    diffs: tuple[str, ...]
    digest: str  # by which its registry has it; empty when it is in an engine alone
    manifest: Mapping[str, Any]  # empty when it is in an engine alone
    type: str = DOCKER_MANIFEST
    engine_id: str = ""  # by which an engine has it

    @property
    def models(self) -> str:
        """The directory that the server looks for models in."""
        return environment(self.settings).get("MODEL_BASE_PATH", MODELS)


class Image(NamedTuple):
    """An image that is ready to be pushed."""

    config: bytes
    manifest: bytes
    type: str

    @property
    def id(self) -> str:
        """The digest of the configuration."""
        return sha256(self.config)

    @property
    def digest(self) -> str:
        """The digest of the manifest: what the image is deployed by."""
        return sha256(self.manifest)


def resolve_base(found: Remote, version: str, platform: str) -> Base:
    """Read a base image from its registry; raises `Hopeless` when it is not there or unfit."""
    top = found.manifest(version)
    if top is None:
        raise Hopeless(f"the base image {found.path}:{version} is not there")
    manifest = _of_platform(found, top, platform)
    config = json_object(found.blob(manifest.config, "the base's configuration"), "the base")
    on = [config.get(key) for key in ("os", "architecture", "variant") if config.get(key)]
    settings, diffs = config.get("config") or {}, (config.get("rootfs") or {}).get("diff_ids")
    if len(on) < 2 or not isinstance(settings, dict) or not isinstance(diffs, list):
        raise Hopeless(f"the base image {found.path}:{version} has no usable configuration")
    if len(diffs) != len(manifest.layers):
        raise Hopeless(f"the base image {found.path}:{version} has layers without digests")
    platform, named = "/".join(map(str, on)), tuple(map(str, diffs))
    return Base(platform, settings, named, top.digest, manifest.body, manifest.type)


def image_config(base: Base, layer: Layer, model: str, labels: Mapping[str, str]) -> bytes:
    """Write the configuration of base and layer that serves `model`."""
    settings = {key: base.settings[key] for key in KEPT if base.settings.get(key)}
    names = environment(base.settings) | {"MODEL_NAME": model, "MODEL_BASE_PATH": base.models}
    settings["Env"] = [f"{name}={value}" for name, value in names.items()]
    settings["Labels"] = {**(settings.get("Labels") or {}), **labels}
    os, architecture, *variant = base.platform.split("/")
    told = {
        "architecture": architecture, "os": os, "created": EPOCH, "config": settings,
        "rootfs": {"type": "layers", "diff_ids": [*base.diffs, layer.diff]},
        **({"variant": variant[0]} if variant else {}),
    }  # fmt: skip
    return _canonical(told)


def image_of(base: Base, layer: Layer, config: bytes) -> Image:
    """Write the manifest, in the dialect of the base's own."""
    own = {"mediaType": LAYER_TYPE[base.type], "size": layer.size, "digest": layer.digest}
    told = {
        "schemaVersion": 2,
        "mediaType": base.type,
        "config": {
            "mediaType": CONFIG_TYPE[base.type], "size": len(config), "digest": sha256(config),
        },
        "layers": [*base.manifest["layers"], own],
    }  # fmt: skip
    return Image(config, _canonical(told), base.type)


def environment(settings: Mapping[str, Any]) -> dict[str, str]:
    """Give the variables of a configuration."""
    pairs = (str(each).partition("=") for each in settings.get("Env") or ())
    return {name: value for name, _, value in pairs}


def _of_platform(found: Remote, top: Manifest, platform: str) -> Manifest:
    if top.type in (DOCKER_LIST, OCI_INDEX):
        fitting = [d for d, name in top.platforms if f"{name}/".startswith(f"{platform}/")]
        one = found.manifest(fitting[0]) if fitting else None
        if one is None:
            raise Hopeless(f"the base image {found.path} is not there for {platform}")
        top = one
    if top.type not in CONFIG_TYPE:
        raise Hopeless(f"the base image {found.path} has a manifest of type {top.type!r:.80}")
    return top


def _canonical(told: Mapping[str, Any]) -> bytes:
    return json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
