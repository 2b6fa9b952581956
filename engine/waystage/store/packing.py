"""Columns of a batch as PostgreSQL's arrays in binary form.

The form is that of `array_recv` and of each element's `recv` function: number of dimensions,
whether any element is null, the elements' type, length and lower bound; then each element's
length (-1: null) and bytes, all in network order. The driver packs value by value in Python,
which took a tenth of a commit.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

HEAD = struct.Struct(">iiIii")
LENGTH = struct.Struct(">i").pack
NULL = LENGTH(-1)
NUMBERS = {"BIGINT": ("q", 8), "INTEGER": ("i", 4)}
TYPES = {"BIGINT": (20, 1016), "INTEGER": (23, 1007), "BYTEA": (17, 1001), "TEXT": (25, 1009)}


class Packed(bytes):
    """An array that is packed already."""


class PackedBigint(Packed):
    """Of `bigint`."""


class PackedInteger(Packed):
    """Of `integer`."""


class PackedBytea(Packed):
    """Of `bytea`."""


class PackedText(Packed):
    """Of `text`."""


CLASSES: dict[str, type[Packed]] = {
    "BIGINT": PackedBigint, "INTEGER": PackedInteger, "BYTEA": PackedBytea, "TEXT": PackedText
}  # fmt: skip


def packed(kind: str, values: Sequence[Any]) -> Packed:
    """Pack the values of one column; `kind` is the elements' type, in capitals."""
    nulls = None in values
    head = HEAD.pack(1, nulls, TYPES[kind][0], len(values), 1)
    if kind in NUMBERS:
        body = _sparse(kind, values) if nulls else _numbers(kind, values)
    else:
        body = _texts(values if kind == "BYTEA" else _encoded(values))
    return CLASSES[kind](head + body)


def teach(adapters: Any) -> None:
    """Have the driver send what is packed as it is."""
    from psycopg import pq
    from psycopg.adapt import Dumper

    class Plain(Dumper):
        format = pq.Format.BINARY

        def dump(self, obj: Any) -> Any:
            return obj

    for kind, (_, oid) in TYPES.items():
        adapters.register_dumper(CLASSES[kind], type(f"{kind}Dumper", (Plain,), {"oid": oid}))


def _numbers(kind: str, values: Sequence[int]) -> bytes:
    letter, size = NUMBERS[kind]
    cells = [size] * (2 * len(values))
    cells[1::2] = values
    return struct.pack(">" + f"i{letter}" * len(values), *cells)


def _sparse(kind: str, values: Sequence[int | None]) -> bytes:
    letter, size = NUMBERS[kind]
    pack = struct.Struct(f">i{letter}").pack
    return b"".join([NULL if value is None else pack(size, value) for value in values])


def _encoded(values: Sequence[str | None]) -> list[bytes | None]:
    return [None if value is None else value.encode() for value in values]


def _texts(values: Sequence[bytes | None]) -> bytes:
    parts: list[bytes] = []
    for value in values:
        parts += (NULL,) if value is None else (LENGTH(len(value)), value)
    return b"".join(parts)
