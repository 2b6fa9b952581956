"""Requests that a server answers to itself before a version gets any: the warm-up file.

TensorFlow Serving reads `assets.extra/tf_serving_warmup_requests` of a SavedModel: a TFRecord
file of `PredictionLog`. The layout of TFRecord is that of TensorFlow's `record_writer`: length,
masked CRC-32C of the length, bytes, masked CRC-32C of the bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from waystage.plugin import JsonObject, Snapshot
from waystage_plugins.steps.savedmodel import Signature, serving_signature
from waystage_plugins.tfserving.messages import message
from waystage_plugins.tfserving.over_grpc import predict_request
from waystage_plugins.tfserving.rows import inputs_of

PLACE = Path("assets.extra", "tf_serving_warmup_requests")
MOST = 1000  # records that TensorFlow Serving takes
MASK = 0xA282EAD8  # of TensorFlow's masked checksums
POLYNOMIAL = 0x82F63B78  # CRC-32C (Castagnoli), reflected


class NotRecords(ValueError):
    """The bytes are no TFRecord file."""


def warmup_of(root: Path, model: str, snapshot: Snapshot) -> bytes:
    """Give the warm-up file for the SavedModel in `root`, made of the snapshot's example rows.

    It is empty when there is nothing to make it of, or the model's author brought one. Raises
    `Hopeless` when the example does not fit the signature.
    """
    if (root / PLACE).is_file() or not snapshot.example:
        return b""
    signature, columns = serving_signature(root), [column.name for column in snapshot.inputs]
    rows = snapshot.example[:MOST]
    return records(prediction_log(model, signature, [row], columns) for row in rows)


def prediction_log(
    model: str, signature: Signature, rows: Sequence[JsonObject], columns: Sequence[str]
) -> bytes:
    """Give one request as the log of it that a server replays."""
    made = message("PredictionLog")()
    inputs = inputs_of(signature, rows, columns)
    made.predict_log.request.CopyFrom(predict_request(model, inputs, signature))
    return bytes(made.SerializeToString(deterministic=True))


def records(contents: Iterable[bytes]) -> bytes:
    """Write a TFRecord file."""
    written = bytearray()
    for content in contents:
        length = struct.pack("<Q", len(content))
        written += length + _checksum(length) + content + _checksum(content)
    return bytes(written)


def read_records(written: bytes) -> Iterator[bytes]:
    """Give the records of a TFRecord file; raises `NotRecords` for damaged ones."""
    at = 0
    while at < len(written):
        length, told = written[at : at + 8], written[at + 8 : at + 12]
        if len(told) < 4 or _checksum(length) != told:
            raise NotRecords(f"the length at byte {at} is damaged")
        size = struct.unpack("<Q", length)[0]
        content, told = written[at + 12 : at + 12 + size], written[at + 12 + size : at + 16 + size]
        if len(content) != size or _checksum(content) != told:
            raise NotRecords(f"the record at byte {at} is damaged")
        yield content
        at += 16 + size


def _checksum(content: bytes) -> bytes:
    value = _crc(content)
    masked = ((value >> 15 | value << 17) + MASK) & 0xFFFF_FFFF
    return struct.pack("<I", masked)


def _crc(content: bytes) -> int:
    value = 0xFFFF_FFFF
    for byte in content:
        value = _TABLE[(value ^ byte) & 0xFF] ^ value >> 8
    return value ^ 0xFFFF_FFFF


def _row(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (POLYNOMIAL if byte & 1 else 0)
    return byte


_TABLE = [_row(byte) for byte in range(256)]
