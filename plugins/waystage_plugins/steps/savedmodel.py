"""What a TensorFlow SavedModel can be asked, read from its bytes: no TensorFlow, no model code.

Field numbers are those of TensorFlow's `saved_model.proto`, `meta_graph.proto`,
`tensor_shape.proto` and `types.proto`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from waystage.plugin import Column
from waystage_plugins.repositories.tree import tree_files
from waystage_plugins.steps.archives import is_archive, unpack
from waystage_plugins.steps.graph import GraphInput, input_problems
from waystage_plugins.steps.protobuf import (
    NotProtobuf,
    entries,
    last_number,
    parts,
    text,
)

FILE = "saved_model.pb"
SIGNATURE = "serving_default"  # the one that TensorFlow Serving answers unless another is named
SERVE = "serve"  # the tag of the graph that TensorFlow Serving loads
METHODS = "tensorflow/serving/"
LARGEST = 2 << 30  # protocol buffers go no further
TYPES = {
    1: "float", 2: "double", 3: "int32", 4: "uint8", 5: "int16", 6: "int8", 7: "string",
    9: "int64", 10: "bool", 14: "bfloat16", 17: "uint16", 19: "half", 22: "uint32", 23: "uint64",
}  # fmt: skip


class Unservable(Exception):
    """TensorFlow Serving could not serve this; the text says why, in one line."""


class Tensor(NamedTuple):
    """One input or output: its type and its sizes (-1: any), None where the rank is open."""

    type: str
    shape: tuple[int, ...] | None


class Signature(NamedTuple):
    """How a model is called: its inputs and outputs by name."""

    method: str
    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]


def model_root(files: Iterable[str]) -> PurePosixPath:
    """Give the directory of the one SavedModel among these paths; raises `Unservable`."""
    found = [path for path in map(PurePosixPath, files) if path.name == FILE]
    if not found:
        raise Unservable(f"there is no {FILE}")
    if len(found) > 1:
        raise Unservable(f"there are {len(found)} files {FILE}; a snapshot is one model")
    return found[0].parent


def model_files(source: Path, files: Mapping[str, str], into: Path) -> Path:
    """Give the directory of the snapshot's one SavedModel.

    One that lies in an archive is unpacked below `into`. Raises `Unservable` when there is
    none, and `Hopeless` for an archive that is refused.
    """
    archives = [path for path in files if is_archive(path)]
    if len(archives) != 1 or any(PurePosixPath(path).name == FILE for path in files):
        return source / model_root(files)
    unpack(source / archives[0], into)
    return into / model_root(tree_files(into))


def serving_signature(directory: Path) -> Signature:
    """Read the signature that is served by default; raises `Unservable`."""
    place = directory / FILE
    if place.stat().st_size > LARGEST:
        raise Unservable(f"{FILE} is larger than 2 GiB")
    try:
        return _serving(memoryview(place.read_bytes()))
    except NotProtobuf as error:
        raise Unservable(f"{FILE} is no SavedModel: {error}") from None


def model_problems(
    directory: Path, inputs: tuple[Column, ...], outputs: tuple[Column, ...]
) -> list[str]:
    """Say why TensorFlow Serving could not serve the model for these columns."""
    try:
        signature = serving_signature(directory)
    except Unservable as error:
        return [str(error)]
    takes = [GraphInput(name, t.type, _width(t)) for name, t in signature.inputs.items()]
    return [*input_problems(FILE, takes, inputs), *_output_problems(signature, outputs)]


def _serving(message: memoryview) -> Signature:
    tags: list[str] = []
    for graph in parts(message, 2):
        own = [text(tag) for about in parts(graph, 1) for tag in parts(about, 4)]
        tags += own
        if SERVE in own:
            return _chosen(dict(entries(graph, 5)))
    if not tags and not list(parts(message, 2)):
        raise Unservable(f"{FILE} holds no graph")
    raise Unservable(f"{FILE} has no graph for serving: its tags are {', '.join(tags) or 'none'}")


def _chosen(signatures: dict[str, memoryview]) -> Signature:
    if SIGNATURE not in signatures:
        others = ", ".join(sorted(name for name in signatures if not name.startswith("__")))
        raise Unservable(
            f"{FILE} has no serving signature {SIGNATURE!r} (it has {others or 'none'}); "
            f"export it with signatures={{'{SIGNATURE}': ...}}"
        )
    found = _signature(signatures[SIGNATURE])
    if not found.method.startswith(METHODS) or not found.inputs or not found.outputs:
        raise Unservable(
            f"{FILE}: signature {SIGNATURE!r} cannot be served: method {found.method!r}, "
            f"{len(found.inputs)} inputs, {len(found.outputs)} outputs"
        )
    return found


def _signature(message: memoryview) -> Signature:
    method = "".join(text(part) for part in parts(message, 3))
    return Signature(
        method,
        {name: _tensor(part) for name, part in entries(message, 1)},
        {name: _tensor(part) for name, part in entries(message, 2)},
    )


def _tensor(message: memoryview) -> Tensor:
    number = last_number(message, 2)
    shape: tuple[int, ...] | None = None
    for part in parts(message, 3):
        sizes = tuple(_signed(last_number(size, 1)) for size in parts(part, 2))
        shape = None if last_number(part, 3) else sizes
    return Tensor(TYPES.get(number, f"type {number}"), shape)


def _signed(number: int) -> int:
    return number - (1 << 64) if number >> 63 else number


def _width(tensor: Tensor) -> int | None:
    """How many columns it takes: its second size, 1 if it has none, None if any."""
    if tensor.shape is None:
        return None
    if len(tensor.shape) < 2:
        return 1
    return tensor.shape[1] if tensor.shape[1] >= 0 else None


def _output_problems(signature: Signature, columns: tuple[Column, ...]) -> list[str]:
    """A single output may have any name; several are told apart by theirs."""
    if len(signature.outputs) == 1:
        return []
    given = ", ".join(signature.outputs)
    return [
        f"the manifest has output {column.name!r}, {FILE} gives {given}"
        for column in columns
        if column.name not in signature.outputs
    ]
