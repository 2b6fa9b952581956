"""A snapshot's SavedModel as the layer that a server is given."""

from __future__ import annotations

import shutil
from pathlib import Path

from waystage.errors import Hopeless
from waystage.plugin import Context, Snapshot
from waystage_plugins.images.layer import Layer, workshop, write_layer
from waystage_plugins.repositories.tree import tree_files
from waystage_plugins.steps.savedmodel import Unservable, model_files, serving_signature
from waystage_plugins.tfserving.warmup import PLACE, warmup_of


def pack_model(
    ctx: Context, snapshot: Snapshot, source: Path, prefix: str, warm_as: str = ""
) -> Layer:
    """Pack the SavedModel in `source` below `prefix`; raises `Hopeless` when it cannot be served.

    With `warm_as`, the model's name, the example rows become its warm-up requests. It lies in
    the workshop, which the caller has open.
    """
    if snapshot.format not in ("", "savedmodel"):
        raise Hopeless(f"{snapshot.id} is {snapshot.format}; TensorFlow Serving serves savedmodel")
    try:
        root = model_files(source, tree_files(source), workshop(ctx) / "unpacked")
        serving_signature(root)
    except Unservable as error:
        raise Hopeless(f"{snapshot.id} cannot be served: {error}") from None
    files = tree_files(root)
    if warm_as and (records := warmup_of(root, warm_as, snapshot)):
        root, files = _warmed(ctx, root, files, records)
    return write_layer(root, files, prefix, workshop(ctx) / "layer.tar.gz")


def _warmed(
    ctx: Context, root: Path, files: dict[str, str], records: bytes
) -> tuple[Path, dict[str, str]]:
    """Give the model's files with the warm-up file beside them; the snapshot's own stay as is."""
    beside = workshop(ctx) / "warmed"
    shutil.rmtree(beside, ignore_errors=True)
    for name in files:
        (beside / name).parent.mkdir(parents=True, exist_ok=True)
        (beside / name).symlink_to((root / name).absolute())
    (beside / PLACE).parent.mkdir(exist_ok=True)
    (beside / PLACE).write_bytes(records)
    return beside, {**files, PLACE.as_posix(): ""}
