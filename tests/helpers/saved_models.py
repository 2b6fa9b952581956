"""SavedModels: small ones written byte by byte, and a real one made by TensorFlow if it is there.

TensorFlow is not among the test dependencies: it weighs 270 MB and brings versions of its own.
`python -m venv .cache/tensorflow && .cache/tensorflow/bin/pip install tensorflow-cpu` gets it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

PLACE = Path(__file__).parents[2] / ".cache" / "tensorflow"
FLOAT, STRING, BOOL = 1, 7, 10
MAKE = """
import sys, tensorflow as tf

class Score(tf.Module):
    def __init__(self):
        self.slope = tf.Variable(0.01)

    @tf.function(input_signature=[
        tf.TensorSpec([None], tf.float32, "income"), tf.TensorSpec([None], tf.bool, "owner")])
    def serve(self, income, owner):
        return {"score": tf.sigmoid(self.slope * income + tf.cast(owner, tf.float32))}

model = Score()
tf.saved_model.save(model, sys.argv[1], signatures={"serving_default": model.serve})
tf.saved_model.save(tf.Module(), sys.argv[2])
"""


class NoTensorFlow(Exception):
    """TensorFlow cannot be had here; the text says how to get it."""


def saved_model(
    inputs: Mapping[str, tuple[int, tuple[int, ...]]] | None = None,
    outputs: Mapping[str, tuple[int, tuple[int, ...]]] | None = None,
    *,
    signature: str = "serving_default",
    tag: str = "serve",
    method: str = "tensorflow/serving/predict",
) -> bytes:
    """Give the bytes of a `saved_model.pb` whose graph is empty; names map to (type, sizes)."""
    inputs = {"income": (FLOAT, (-1,)), "owner": (BOOL, (-1,))} if inputs is None else inputs
    outputs = {"score": (FLOAT, (-1,))} if outputs is None else outputs
    called = _tensors(1, inputs) + _tensors(2, outputs) + field(3, method.encode())
    about = field(1, field(4, tag.encode()))
    graph = about + field(2, b"") + field(5, field(1, signature.encode()) + field(2, called))
    return field(1, 1) + field(2, graph)


def real_models() -> tuple[Path, Path]:
    """Give a SavedModel with a serving signature and one without, both made by TensorFlow."""
    home = PLACE / "waystage-models"
    PLACE.parent.mkdir(exist_ok=True)
    with (PLACE.parent / "tensorflow.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run in several processes
        if not home.is_dir():
            _make(home)
    return home / "served", home / "bare"


def _make(home: Path) -> None:
    python = PLACE / "bin" / "python"
    if not python.is_file():
        raise NoTensorFlow("NOT TESTED: there is no TensorFlow in .cache/tensorflow")
    beside = home.with_name("models.new")
    shutil.rmtree(beside, ignore_errors=True)
    quiet = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    told = subprocess.run(
        [python, "-c", MAKE, beside / "served", beside / "bare"],
        env=quiet, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    if told.returncode:
        raise NoTensorFlow(f"NOT TESTED: TensorFlow cannot be used here: {told.stderr[-300:]}")
    beside.rename(home)


def field(number: int, value: int | bytes) -> bytes:
    """Write one field of a protocol buffer message."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _tensors(number: int, tensors: Mapping[str, tuple[int, tuple[int, ...]]]) -> bytes:
    written = b""
    for name, (kind, sizes) in tensors.items():
        shape = b"".join(field(2, field(1, size)) for size in sizes)
        about = field(1, f"{name}:0".encode()) + field(2, kind) + field(3, shape)
        written += field(number, field(1, name.encode()) + field(2, about))
    return written


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*written, value])
